"""Synthesis: sound from bands piece by piece, the same samples as from all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.errors import MyoflowError

Floats = npt.NDArray[np.floating[Any]]


class Synthesis:
    """Feeds frames to a vocoder as they come and gives the sound that no later frame can change.

    `vocoder` maps bands `(1, frame, band)` to sound `(1, frame * hop)`; it is called on each piece with `lookahead`
    frames of context on both sides, so the sound comes that many frames late. With the generator's own
    `Shape.lookahead` the samples are those of one call on all frames, to rounding. Less lookahead comes earlier and
    differs around the seams.
    """

    def __init__(self, vocoder: Callable[[Floats], Floats], hop: int, lookahead: int, context: int) -> None:
        """`context` is how many frames before a sample it depends on."""
        if lookahead < 0 or context < 0 or hop < 1:
            raise MyoflowError(f"synthesis needs lookahead, context >= 0 and hop >= 1: {lookahead}, {context}, {hop}")
        self._vocoder, self._hop = vocoder, hop
        self._lookahead, self._context = lookahead, context
        self._held: Floats | None = None  # frames still needed
        self._first = 0  # how many of them have sounded already

    def feed(self, frames: Floats) -> Floats:
        """Sound `(time,)` that `frames` `(frame, band)` complete; may be empty."""
        held = frames if self._held is None else np.concatenate([self._held, frames])
        self._held = held
        return self._sound(len(held) - self._lookahead)

    def flush(self) -> Floats:
        """The rest."""
        return self._sound(0 if self._held is None else len(self._held))

    def _sound(self, stop: int) -> Floats:
        """Sound of held frames up to `stop`."""
        if self._held is None or stop <= self._first:
            return np.zeros(0, np.float32)
        whole = self._vocoder(self._held[None])[0]
        out: Floats = whole[self._first * self._hop : stop * self._hop]
        drop = max(0, stop - self._context)
        self._held = self._held[drop:]
        self._first = stop - drop
        return out
