"""Masked: windows for pre-training, which know their electrodes and a number that decides what is hidden of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.store.windows import Windows

Array = npt.NDArray[Any]
Batch = tuple[dict[str, Array], dict[str, Array]]


@frozen(eq=False)
class Masked:
    """Windows as pre-training takes them.

    A batch is named arrays: `emg` `(window, channel, time)`, `present` `(window, channel)` True where there is an
    electrode, `draw` `(window,)` a number from which the network's masks are drawn: in `shuffled` a new one each time,
    in `batches` always the same. `present_in` says what is present in recordings, `(recording, channel)`;
    `left_out` names recordings that have nothing, and says so.
    """

    windows: Windows
    present_in: npt.NDArray[np.bool_]
    left_out: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, windows: Windows) -> Masked:
        """Electrodes whose signal never changes in a recording are not there: a stage `pad` has put them in, whatever
        a scale behind it made of its zeros. Windows of a recording without any electrode are left out."""
        heard = np.zeros((len(windows.signals), windows.signals[0].shape[0] if windows.signals else 0), bool)
        for number in np.unique(windows.recording):
            signal = windows.signals[number]  # a sample that is no number is no silence
            heard[number] = np.asarray(np.max(signal, axis=1) != np.min(signal, axis=1))
        silent = [int(number) for number in np.unique(windows.recording) if not heard[number].any()]
        why = tuple((windows.ids[number], "no channel ever changes") for number in silent)
        return cls(windows, heard, why).select(~np.isin(windows.recording, silent))

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of recordings."""
        return self.windows.ids

    @property
    def recording(self) -> npt.NDArray[np.int32]:
        """Each window's recording."""
        return self.windows.recording

    def __len__(self) -> int:
        return len(self.windows)

    def select(self, keep: Array) -> Masked:
        """The rows where `keep` is True, or those it lists."""
        return attrs.evolve(self, windows=self.windows.select(keep))

    def units(self, by: str) -> npt.NDArray[np.str_]:
        """Each window's subject, session or subset."""
        return self.windows.units(by)

    def places(self) -> dict[str, Array]:
        """Where each window comes from."""
        return self.windows.places()

    def steps(self, size: int) -> int:
        """How many batches of `size` windows there are."""
        return self.windows.steps(size)

    def take(self, rows: Array) -> dict[str, Array]:
        """The given rows, each with the number that it always has in `batches`."""
        return self._batch(
            np.asarray(rows), self.windows.start[rows] + 1_000_003 * self.recording[rows].astype(np.int64)
        )

    def batches(self, size: int) -> Iterator[Batch]:
        """All windows in order."""
        for first in range(0, len(self), size):
            yield self.take(np.arange(first, min(first + size, len(self)))), {}

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """All windows once, in random order, with new numbers."""
        order = rng.permutation(len(self))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield self._batch(rows, rng.integers(2**62, size=len(rows))), {}

    def _batch(self, rows: Array, draws: Array) -> dict[str, Array]:
        there = self.present_in[self.windows.recording[rows]]
        return {"emg": self.windows.take(rows), "present": there, "draw": draws.astype(np.int64)}
