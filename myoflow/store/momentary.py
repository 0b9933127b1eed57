"""Momentary: windows on the grid of a live stream, with the moments of their recordings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.store.windows import Array, Windows


@frozen(eq=False, kw_only=True)
class Momentary(Windows):
    """Windows over signals whose events are moments: `onsets[recording]` in samples, `kinds[recording]` their labels.

    Frame f of a window has heard samples up to `heard + f hop` of it. Its target is 1 for every label with a moment
    from `pulse_s[0]` to `pulse_s[1]` before that time, else 0.
    """

    onsets: tuple[Array, ...]
    kinds: tuple[Array, ...]
    labels: int
    pulse_s: tuple[float, float]
    frames: int = 0
    heard: int = 0
    hop: int = 1

    @classmethod
    def of(cls, windows: Windows, **more: Any) -> Self:
        """Windows with what they need beside."""
        fields: dict[str, Any] = {field.name: getattr(windows, field.name) for field in attrs.fields(Windows)}
        return cls(**fields, **more)

    def truth(self, rows: Array) -> npt.NDArray[np.float32]:
        """Targets `(window, frame, label)`."""
        out = np.zeros((len(rows), self.frames, self.labels), np.float32)
        early, late = (seconds * self.rate_hz for seconds in self.pulse_s)
        for i, row in enumerate(rows):
            number = self.recording[row]
            first = self.start[row] + self.heard
            onset, kind = self.onsets[number], self.kinds[number]
            near = (onset + late >= first) & (onset + early <= first + self.frames * self.hop)
            for moment, label in zip(onset[near], kind[near], strict=True):
                begin = max(0, int(np.ceil((moment + early - first) / self.hop)))
                end = int(np.floor((moment + late - first) / self.hop)) + 1
                out[i, begin : max(end, 0), label] = 1
        return out

    def batches(self, size: int) -> Iterator[tuple[Array, Array]]:
        """All windows in order, `(x, targets)` in batches."""
        for first in range(0, len(self), size):
            rows = np.arange(first, min(first + size, len(self)))
            yield self.take(rows), self.truth(rows)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """All windows once, in random order."""
        order = rng.permutation(len(self))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield self.take(rows), self.truth(rows)
