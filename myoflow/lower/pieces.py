"""Pieces: a signal through a network that remembers, in pieces of one size, so that any cut gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


class Pieces:
    """A Program of a function from `(channel, size)` to frames `(1, frame, feature)`; the last piece may be shorter."""

    def __init__(
        self, function: Callable[[Array], Array], size: int, features: int, choices: tuple[str, ...] = ()
    ) -> None:
        self._function, self._size, self._features = function, size, features
        self._kept: list[Array] = []
        self._held = 0
        self.choices = choices

    def feed(self, chunk: Array) -> Array:
        self._kept.append(np.array(chunk, np.float32))
        self._held += chunk.shape[1]
        if self._held < self._size:
            return self._none()
        x = np.concatenate(self._kept, axis=1)
        stop = self._held - self._held % self._size
        found = [self._function(x[:, at : at + self._size]) for at in range(0, stop, self._size)]
        self._kept, self._held = [x[:, stop:]], self._held - stop
        return np.concatenate(found, axis=1)

    def flush(self) -> Array:
        if not self._held:
            return self._none()
        rest, self._kept, self._held = np.concatenate(self._kept, axis=1), [], 0
        return self._function(rest)

    def _none(self) -> Array:
        return np.empty((1, 0, self._features), np.float32)
