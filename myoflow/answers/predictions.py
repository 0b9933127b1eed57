"""Predictions: what a classifier said about each window of a test split, and where the window comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers import decisions
from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.answers.columns import floats, ints, names, singles, strings
from myoflow.errors import InputError


@frozen(eq=False)
class Predictions(Answers):
    """What one model said about N windows, and where each window comes from.

    `scores` is `(window, label)`, any monotone score (logits, log-probabilities, votes): the decision is the label
    with the highest, the first one of equals. `label` indexes `labels`. `start_s` is the window's start in seconds
    from its recording's start; `repetition` counts the executions of one label within a recording.

    Raises:
        InputError: columns of different lengths, a label outside `labels`, scores that are not finite.
    """

    said: ClassVar[tuple[str, ...]] = ("scores",)
    known: ClassVar[tuple[str, ...]] = ("subject", "session", "recording", "start_s", "label", "repetition")
    shared: ClassVar[tuple[str, ...]] = ("labels",)
    apart: ClassVar[tuple[str, ...]] = ("label",)
    functions: ClassVar[Mapping[str, Any]] = decisions.METRICS

    scores: npt.NDArray[np.float32] = field(converter=singles)
    label: Ints = field(converter=ints)
    labels: tuple[str, ...] = field(converter=names)
    subject: Strings = field(converter=strings)
    session: Strings = field(converter=strings)
    repetition: Ints = field(converter=ints)
    recording: Strings = field(converter=strings)
    start_s: Floats = field(converter=floats)

    def __attrs_post_init__(self) -> None:
        shape = (len(self.label), len(self.labels))
        if self.scores.shape != shape:
            raise InputError(f"predictions: scores have shape {self.scores.shape}, labels ask for {shape}")
        self.check_rows()
        if shape[0] and (self.label.min() < 0 or self.label.max() >= shape[1]):
            raise InputError(f"predictions: a label lies outside 0..{shape[1] - 1}")
        if not np.isfinite(self.scores).all():
            bad = int((~np.isfinite(self.scores).all(axis=1)).sum())
            raise InputError(f"predictions: {bad} of {shape[0]} windows have scores that are not finite")

    @property
    def decision(self) -> Ints:
        """The label decided for each window, `(window,)`."""
        return ints(self.scores.argmax(axis=1))

    def tally(self, unit: Ints | None = None) -> Ints:
        """Times each label was hit, true and decided, `(unit, 3, label)`."""
        return decisions.tally(self.label, self.decision, len(self.labels), unit)

    def goodness(self) -> Floats:
        """1 for a right decision, 0 for a wrong one."""
        return np.asarray(self.decision == self.label, np.float64)

    def turned(self, other: Self) -> int:
        """How many windows another model decided otherwise."""
        return int((self.decision != other.decision).sum())

    def confusion(self) -> Ints:
        """Counts `(truth, decision)`, `(label, label)`."""
        return decisions.confusion(self.label, self.decision, len(self.labels))

    def told(self) -> dict[str, Any]:
        """The labels, and how many windows have each."""
        each = np.bincount(self.label, minlength=len(self.labels)).tolist()
        labels = list(self.labels)
        return {"labels": labels, "windows": len(self), "windows_per_label": dict(zip(labels, each, strict=True))}

    @classmethod
    def detail(cls, seeds: Sequence[Self], options: Mapping[str, Any]) -> dict[str, Any]:
        """The confusion matrix; seeds are added up, so that each window counts once per seed."""
        return {"confusion": np.sum([p.confusion() for p in seeds], axis=0).tolist()}
