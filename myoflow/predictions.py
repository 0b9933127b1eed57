"""Predictions: what a model said about each window of a test split, and where the window comes from."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.errors import InputError
from myoflow.files import beside

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]

COLUMNS = ("label", "subject", "session", "repetition", "recording", "start_s")


def _float32(values: Any) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def _seconds(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _integers(values: Any) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _strings(values: Any) -> Strings:
    return np.asarray(values, dtype=np.str_)


def _names(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


@frozen(eq=False)
class Predictions:
    """What one model said about N windows, and where each window comes from.

    `scores` is `(window, label)`, any monotone score (logits, log-probabilities, votes): the decision is the label
    with the highest, the first one of equals. `label` indexes `labels`. `start_s` is the window's start in seconds
    from its recording's start; `repetition` counts the executions of one label within a recording.

    Raises:
        InputError: columns of different lengths, a label outside `labels`, scores that are not finite.
    """

    scores: npt.NDArray[np.float32] = field(converter=_float32)
    label: Ints = field(converter=_integers)
    labels: tuple[str, ...] = field(converter=_names)
    subject: Strings = field(converter=_strings)
    session: Strings = field(converter=_strings)
    repetition: Ints = field(converter=_integers)
    recording: Strings = field(converter=_strings)
    start_s: Floats = field(converter=_seconds)

    def __attrs_post_init__(self) -> None:
        shape = (len(self.label), len(self.labels))
        if self.scores.shape != shape:
            raise InputError(f"predictions: scores have shape {self.scores.shape}, labels ask for {shape}")
        for name in COLUMNS:
            column = getattr(self, name)
            if column.shape != shape[:1]:
                raise InputError(f"predictions: {name} has shape {column.shape} for {shape[0]} windows")
        if shape[0] and (self.label.min() < 0 or self.label.max() >= shape[1]):
            raise InputError(f"predictions: a label lies outside 0..{shape[1] - 1}")
        if not np.isfinite(self.scores).all():
            bad = int((~np.isfinite(self.scores).all(axis=1)).sum())
            raise InputError(f"predictions: {bad} of {shape[0]} windows have scores that are not finite")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def decision(self) -> Ints:
        """The label decided for each window, `(window,)`."""
        return _integers(self.scores.argmax(axis=1))

    def take(self, index: Any) -> Predictions:
        """Some windows: `index` is a boolean mask or positions, as numpy takes them."""
        return Predictions(
            self.scores[index], labels=self.labels, **{name: getattr(self, name)[index] for name in COLUMNS}
        )

    def ordered(self) -> Predictions:
        """The same windows in the order of recording and start, so that two models can be compared row by row."""
        return self.take(np.lexsort((self.label, self.start_s, self.recording, self.session, self.subject)))

    def save(self, path: str | Path) -> None:
        """Write one .npz without pickles; it is complete or absent."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        with beside(Path(path)) as part, part.open("wb") as file:
            np.savez_compressed(file, scores=self.scores, labels=_strings(self.labels), **columns)

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read what `save` wrote. Raises InputError when the file is absent or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["scores"], labels=tuple(file["labels"]), **{name: file[name] for name in COLUMNS})
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of predictions") from None
        except (KeyError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(f"{path}: not a file of predictions ({error})") from None


def concat(parts: Sequence[Predictions]) -> Predictions:
    """Several folds as one. Raises InputError when there are none or their labels differ."""
    if not parts:
        raise InputError("predictions: nothing to put together")
    for part in parts[1:]:
        if part.labels != parts[0].labels:
            raise InputError(f"predictions: labels differ between parts: {parts[0].labels} and {part.labels}")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return Predictions(np.concatenate([part.scores for part in parts]), labels=parts[0].labels, **columns)


def aligned(several: Sequence[Predictions], names: Sequence[str] | None = None) -> list[Predictions]:
    """The same windows of several models in one order.

    Raises:
        InputError: their windows or labels differ; the message says whose and how.
    """
    if not several:
        raise InputError("there are no predictions to score")
    names = names or [f"seed {i + 1}" for i in range(len(several))]
    parts = [p.ordered() for p in several]
    first = parts[0]
    for name, part in zip(names[1:], parts[1:], strict=True):
        pair = f"{names[0]} and {name}"
        if part.labels != first.labels:
            raise InputError(f"{pair} cannot be compared: their labels are {first.labels} and {part.labels}")
        if len(part) != len(first):
            raise InputError(f"{pair} cannot be compared: they saw {len(first)} and {len(part)} windows")
        for column in ("subject", "session", "recording", "start_s", "label"):
            differs = np.flatnonzero(getattr(part, column) != getattr(first, column))
            if len(differs):
                i = int(differs[0])
                where = f"{first.recording[i]} at {first.start_s[i]:g} s"
                ours, theirs = getattr(first, column)[i], getattr(part, column)[i]
                raise InputError(f"{pair} saw different windows: {column} of {where} is {ours} and {theirs}")
    return parts
