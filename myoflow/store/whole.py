"""Whole: examples that are whole recordings, one each, such as utterances."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import attrs
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Whole:
    """Base of frozen attrs classes whose rows are recordings; `per_row` names the tuples that run over rows."""

    per_row: ClassVar[tuple[str, ...]] = ()

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    subsets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def recording(self) -> npt.NDArray[np.integer[Any]]:
        """Each row is a recording of its own."""
        return np.arange(len(self))

    def select(self, keep: Array) -> Self:
        """The rows where `keep` is True, or those it lists."""
        rows = np.arange(len(self))[keep]
        changes: dict[str, Any] = {name: tuple(getattr(self, name)[row] for row in rows) for name in self.per_row}
        changed: Any = attrs.evolve(self, **changes)  # type: ignore[misc]
        return changed  # type: ignore[no-any-return]

    def units(self, by: str) -> npt.NDArray[np.str_]:
        """Each row's subject, session or subset; its repetition is always 1."""
        if by == "repetition":
            return np.full(len(self), "1")
        names = {"subject": self.subjects, "session": self.sessions, "subset": self.subsets}[by]
        return np.asarray(names, np.str_)

    def places(self) -> dict[str, Array]:
        """Where each row comes from, as `answers.base.Answers` knows it."""
        return {
            "subject": self.units("subject"),
            "session": self.units("session"),
            "repetition": np.ones(len(self), np.int64),
            "recording": np.asarray(self.ids, np.str_),
            "start_s": np.zeros(len(self)),
        }
