"""Answers: what a model said about the examples of a test split, row by row, and where each row comes from."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.files import beside

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]

A = TypeVar("A", bound="Answers")


class Answers:
    """Base of the answers of all tasks; subclasses are frozen attrs classes made from keyword arguments.

    `said` are the fields that the model decides, `known` those that do not depend on it; both run over rows, `shared`
    fields hold for all rows. Every kind knows `subject`, `session`, `recording`, `repetition` and `start_s`.
    `functions` are metrics of a tally, which is a row's numbers added up over any set of rows (`answers/scores.py`);
    `apart` are fields in which rows of one repetition must agree, beside where they come from.
    """

    said: ClassVar[tuple[str, ...]] = ()
    known: ClassVar[tuple[str, ...]] = ("subject", "session", "repetition", "recording", "start_s")
    shared: ClassVar[tuple[str, ...]] = ()
    apart: ClassVar[tuple[str, ...]] = ()
    functions: ClassVar[Mapping[str, Callable[[Any], Floats]]] = {}
    rows: ClassVar[str] = "windows"  # what a report calls them

    subject: Strings
    session: Strings
    repetition: Ints
    recording: Strings
    start_s: Floats

    def __len__(self) -> int:
        return len(self.start_s)

    def tally(self, unit: Ints | None = None) -> npt.NDArray[Any]:
        """What the metrics are functions of, added up by unit: `(unit, ..., ...)`, two axes behind the unit.

        `unit` gives each row's unit 0, 1, ...; without it all rows are one unit.
        """
        raise TypeError(f"{type(self).__name__} does not define tally")

    def goodness(self) -> Floats:
        """A number per row, larger for a better answer."""
        raise TypeError(f"{type(self).__name__} does not define goodness")

    def turned(self, other: Self) -> int | None:
        """How many decisions another model took otherwise; None where nothing is decided."""
        return None

    def told(self) -> dict[str, Any]:
        """What metrics.json says of the rows that were scored, whatever the model."""
        return {"windows": len(self)}

    @classmethod
    def detail(cls, seeds: Sequence[Self], options: Mapping[str, Any]) -> dict[str, Any]:
        """What metrics.json says of one model beside its metrics; `seeds` are its answers, `options` the resampling."""
        return {}

    def take(self, index: Any) -> Self:
        """Some rows: `index` is a boolean mask or positions, as numpy takes them."""
        rows = {name: getattr(self, name)[index] for name in (*self.said, *self.known)}
        return type(self)(**rows, **{name: getattr(self, name) for name in self.shared})

    def ordered(self) -> Self:
        """The same rows in the order of recording and start, so that two models can be compared row by row."""
        keys = [getattr(self, name) for name in self.apart]
        return self.take(np.lexsort((*keys, self.start_s, self.recording, self.session, self.subject)))

    def save(self, path: str | Path) -> None:
        """Write one .npz without pickles; it is complete or absent."""
        fields: dict[str, Any] = {
            name: np.asarray(getattr(self, name)) for name in (*self.said, *self.shared, *self.known)
        }
        with beside(Path(path)) as part, part.open("wb") as file:
            np.savez_compressed(file, **fields)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError: no such file, an earlier version's, or something else."""
        names = (*cls.said, *cls.shared, *cls.known)
        try:
            with np.load(path, allow_pickle=False) as file:
                lost = [name for name in names if name not in file.files]
                if lost and len(lost) < len(names):
                    raise InputError(
                        f"{path}: predictions of an earlier version, which did not keep {', '.join(lost)}; delete the "
                        "file and let the trained model be asked again: myoflow run --resume RUN"
                    )
                return cls(**{name: file[name] for name in names})
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of predictions") from None
        except (KeyError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError, OSError) as error:
            reason = "damaged, or something else" if "pickle" in str(error) else error  # numpy's guess at other bytes
            raise InputError(f"{path}: not a file of predictions ({reason})") from None

    def keep(self, folder: Path) -> None:
        """What was learned for decoding alone, beside the weights in a model's folder, for `Task.listener`."""

    def check_rows(self) -> None:
        """Raise InputError when the fields differ in length."""
        for name in (*self.said, *self.known):
            column = getattr(self, name)
            if len(column) != len(self) or (name in self.known and column.ndim != 1):
                raise InputError(f"predictions: {name} has shape {column.shape} for {len(self)} windows")


def same(one: Any, other: Any) -> bool:
    """Whether two shared fields are equal, be they texts, numbers or arrays."""
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def concat(parts: Sequence[A]) -> A:
    """Several folds as one. Raises InputError when there are none or what they share differs."""
    if not parts:
        raise InputError("predictions: nothing to put together")
    first = parts[0]
    for part in parts[1:]:
        for name in first.shared:
            one, other = getattr(first, name), getattr(part, name)
            if not same(one, other):
                raise InputError(f"predictions: {name} differ between parts: {one} and {other}")
    rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in (*first.said, *first.known)}
    return type(first)(**rows, **{name: getattr(first, name) for name in first.shared})


def aligned(several: Sequence[A], names: Sequence[str] | None = None) -> list[A]:
    """The same rows of several models in one order.

    Raises:
        InputError: their rows, or what all rows share, differ; the message says whose and how.
    """
    if not several:
        raise InputError("there are no predictions to score")
    names = names or [f"seed {i + 1}" for i in range(len(several))]
    parts = [p.ordered() for p in several]
    first = parts[0]
    for name, part in zip(names[1:], parts[1:], strict=True):
        pair = f"{names[0]} and {name}"
        for shared in first.shared:
            one, other = getattr(first, shared), getattr(part, shared)
            if not same(one, other):
                raise InputError(f"{pair} cannot be compared: their {shared} are {one} and {other}")
        if len(part) != len(first):
            raise InputError(f"{pair} cannot be compared: they saw {len(first)} and {len(part)} windows")
        for column in (name for name in first.known if name != "repetition"):
            ours, theirs = getattr(first, column), getattr(part, column)
            rows = np.flatnonzero((ours != theirs).reshape(len(first), -1).any(axis=1))
            if len(rows):
                i = int(rows[0])
                where = f"{first.recording[i]} at {first.start_s[i]:g} s"
                raise InputError(f"{pair} saw different windows: {column} of {where} is {ours[i]} and {theirs[i]}")
    return parts
