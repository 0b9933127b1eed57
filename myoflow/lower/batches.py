"""Batches: windows through a compiled network a batch at a time, on as many cores as pay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from myoflow.parallel import cores

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.spec import Spec

BATCH = 64  # windows at a time: bounds memory, and larger batches are no faster on a CPU
FEW = 4  # up to so many windows one core is as fast as two that wait for each other
# Up to so many windows go through recorded graphs on a GPU (lower/gpu.py), which plans say without importing torch.
THROUGH = 64


def threads_in_words(backend: Backend) -> str:
    """How many threads a backend's programs take, and why."""
    if backend.threads is not None:
        return f"{backend.threads} {'thread' if backend.threads == 1 else 'threads'}, as {backend.name}.yaml says"
    if cores() == 1:
        return "1 thread, the only core there is"
    return f"1 thread for up to {FEW} windows, where others would wait more than work; {cores()} for more"


class Batches:
    """A Program of a function `(batch, threads) -> outputs` that has no memory."""

    def __init__(
        self, function: Callable[[Array, int], Array], backend: Backend, output: Spec, choices: tuple[str, ...] = ()
    ) -> None:
        self._function = function
        self._empty = tuple(0 if size is None else size for size in output.sizes)
        self._fixed = backend.threads
        self.choices = choices

    def feed(self, chunk: Array) -> Array:
        if len(chunk) == 0:
            return np.empty(self._empty, np.float32)
        parts = []
        for start in range(0, len(chunk), BATCH):
            batch = np.ascontiguousarray(chunk[start : start + BATCH], dtype=np.float32)
            parts.append(self._function(batch, self.threads(len(batch))))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def flush(self) -> Array:
        return np.empty(self._empty, np.float32)

    def threads(self, windows: int) -> int:
        """Cores for that many windows at once."""
        if self._fixed is not None:
            return self._fixed
        return 1 if windows <= FEW else cores()
