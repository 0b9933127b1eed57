"""Windows: labelled spans of prepared signals, cut out batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

Array = npt.NDArray[Any]


@frozen(eq=False)
class Windows:
    """A table of windows over signals `(channel, time)` float32, which may be memory-mapped.

    Row i is `signals[recording[i]][:, start[i] : start[i] + length]`; `label` indexes the pipeline's labels,
    `recording` indexes `ids`, `subjects`, `sessions` and `subsets`. Rows are sorted by recording, then start.
    """

    signals: tuple[Array, ...]
    rate_hz: float
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    subsets: tuple[str, ...]
    length: int
    recording: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    repetition: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Array) -> npt.NDArray[np.float32]:
        """Windows `(window, channel, time)` of the given rows, in that order."""
        channels = self.signals[0].shape[0] if self.signals else 0
        out = np.empty((len(rows), channels, self.length), np.float32)
        for i, row in enumerate(rows):
            start = self.start[row]
            out[i] = self.signals[self.recording[row]][:, start : start + self.length]
        return out

    def select(self, keep: Array) -> Self:
        """The rows where `keep` is True (or the rows it lists)."""
        changes = {name: getattr(self, name)[keep] for name in ("recording", "start", "label", "repetition")}
        return attrs.evolve(self, **changes)

    def thin(self, share: float, seed: int) -> Windows:
        """The windows of that share of each label's executions, one at least, drawn by `seed`.

        An execution is a label's repetition in a recording. A smaller share is a part of a larger one.
        """
        columns = np.stack((self.label, self.recording, self.repetition), 1).astype(np.int64)
        kinds, execution = np.unique(columns, axis=0, return_inverse=True)
        rng = np.random.default_rng([23, seed])
        chosen = np.zeros(len(kinds), bool)
        for label in np.unique(self.label):
            own = np.flatnonzero(kinds[:, 0] == label)
            chosen[rng.permutation(own)[: max(1, round(share * len(own)))]] = True
        return self.select(chosen[execution.ravel()])

    def units(self, by: str) -> npt.NDArray[np.str_]:
        """The unit that each window belongs to: its subject, session, subset or repetition, as text."""
        if by == "repetition":
            return self.repetition.astype(np.str_)
        names = {"subject": self.subjects, "session": self.sessions, "subset": self.subsets}[by]
        return np.asarray(names, dtype=np.str_)[self.recording]

    def places(self) -> dict[str, Array]:
        """Where each window comes from, as `answers.base.Answers` knows it; `start_s` in s of its recording."""
        return {
            "subject": self.units("subject"),
            "session": self.units("session"),
            "repetition": self.repetition,
            "recording": np.asarray(self.ids)[self.recording],
            "start_s": self.start / self.rate_hz,
        }

    def steps(self, size: int) -> int:
        """How many batches of `size` windows there are."""
        return -(-len(self) // size)

    def truth(self, rows: Array) -> Any:
        """What a model should say of the given rows: here their labels."""
        return self.label[rows]

    def batches(self, size: int) -> Iterator[tuple[Array, Any]]:
        """All windows in order, `(x, truth)` in batches."""
        for first in range(0, len(self), size):
            rows = np.arange(first, min(first + size, len(self)))
            yield self.take(rows), self.truth(rows)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Any]]:
        """All windows once, in random order; the last batch may be smaller."""
        order = rng.permutation(len(self))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield self.take(rows), self.truth(rows)
