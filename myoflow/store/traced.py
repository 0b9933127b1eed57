"""Traced: windows with the piece of another stream that runs beside each, such as joint angles."""

from __future__ import annotations

from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.store.windows import Array, Windows


@frozen(eq=False, kw_only=True)
class Traced(Windows):
    """Windows over signals, and over targets `(channel, time)` of the same recordings at `target_rate_hz`.

    A window from s to s + `length` samples goes with the `count` target samples from the first that is not before it.
    """

    targets: tuple[Array, ...]
    target_rate_hz: float
    count: int

    @classmethod
    def of(cls, windows: Windows, targets: tuple[Array, ...], target_rate_hz: float, steps: int) -> Self:
        """The windows whose target is known (finite) throughout."""
        fields = {field.name: getattr(windows, field.name) for field in attrs.fields(Windows)}
        traced = cls(**fields, targets=targets, target_rate_hz=target_rate_hz, count=steps)
        keep = np.zeros(len(windows), bool)
        first = traced.first
        for number, target in enumerate(targets):
            unknown = np.concatenate(([0], np.cumsum(~np.isfinite(np.asarray(target)).all(axis=0))))
            rows = np.flatnonzero((windows.recording == number) & (first + steps <= target.shape[1]))
            keep[rows] = unknown[first[rows] + steps] == unknown[first[rows]]
        return traced.select(keep)

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """The first target sample of each window."""
        found: npt.NDArray[np.int64] = np.ceil(self.start * (self.target_rate_hz / self.rate_hz) - 1e-6).astype(
            np.int64
        )
        return found

    def truth(self, rows: Array) -> npt.NDArray[np.float32]:
        """The target beside each row, `(window, step, channel)`."""
        first = self.first[rows]
        channels = self.targets[0].shape[0] if self.targets else 0
        out = np.empty((len(rows), self.count, channels), np.float32)
        for i, (row, start) in enumerate(zip(rows, first, strict=True)):
            out[i] = self.targets[self.recording[row]][:, start : start + self.count].T
        return out

    def spread(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of each target channel over all windows; a channel that never moves gets 1."""
        total, squares, count = 0.0, 0.0, 0
        for begin in range(0, len(self), 4096):
            values = self.truth(np.arange(begin, min(begin + 4096, len(self)))).astype(np.float64)
            flat: Any = values.reshape(-1, values.shape[-1])
            total, squares, count = total + flat.sum(0), squares + (flat**2).sum(0), count + len(flat)
        mean = np.asarray(total / count)
        deviation = np.sqrt(np.maximum(np.asarray(squares / count) - mean**2, 0.0))
        return mean, np.where(deviation > 1e-9, deviation, 1.0)
