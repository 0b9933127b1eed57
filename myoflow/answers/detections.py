"""Detections: what a detector of moments did with each recording of a test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.answers.columns import floats, ints, names, strings
from myoflow.errors import InputError


def _ratio(top: Any, bottom: Any) -> Floats:
    bottom = np.asarray(bottom, np.float64)
    found: Floats = np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 0)
    return found


def cler(tables: Any) -> Floats:
    """Of the moments that were detected, the share that got another label, averaged over true labels.

    `tables` is `(..., label + 1, label + 1)` as `dsp.detection.tally` counts; so are those below.
    """
    paired = np.asarray(tables, np.float64)[..., :-1, :-1]
    seen = paired.sum(-1)
    right = _ratio(np.diagonal(paired, axis1=-2, axis2=-1), seen)
    known = seen > 0
    return 1 - _ratio(np.where(known, right, 0.0).sum(-1), known.sum(-1))


def miss_rate(tables: Any) -> Floats:
    """The share of true moments that nothing was detected for."""
    values = np.asarray(tables, np.float64)
    return _ratio(values[..., :-1, -1].sum(-1), values[..., :-1, :].sum((-2, -1)))


def false_per_hour(tables: Any) -> Floats:
    """Detections without a true moment, per hour of recording; the seconds stand in the tables' last cell."""
    values = np.asarray(tables, np.float64)
    return 3600 * _ratio(values[..., -1, :-1].sum(-1), values[..., -1, -1])


def precision(tables: Any) -> Floats:
    """The share of detections that belong to a true moment and name it rightly."""
    values = np.asarray(tables, np.float64)
    return _ratio(_right(values), values[..., :-1].sum((-2, -1)))


def recall(tables: Any) -> Floats:
    """The share of true moments that were detected and named rightly."""
    values = np.asarray(tables, np.float64)
    return _ratio(_right(values), values[..., :-1, :].sum((-2, -1)))


def f1(tables: Any) -> Floats:
    """Harmonic mean of precision and recall: right ones over the mean number of moments and detections."""
    values = np.asarray(tables, np.float64)
    return _ratio(2 * _right(values), values[..., :-1, :].sum((-2, -1)) + values[..., :-1].sum((-2, -1)))


def _right(values: Floats) -> Floats:
    found: Floats = np.diagonal(values[..., :-1, :-1], axis1=-2, axis2=-1).sum(-1)
    return found


METRICS: dict[str, Callable[[Any], Floats]] = {
    "cler": cler,
    "miss_rate": miss_rate,
    "false_per_hour": false_per_hour,
    "precision": precision,
    "recall": recall,
    "f1": f1,
}

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # that a report goes through, and `auto` tries


def best_threshold(tables: Any) -> float:
    """The one of THRESHOLDS with the highest F1 of `tables` `(threshold, label + 1, label + 1)`; of equals the middle.

    Raises:
        InputError: there is nothing to choose by, neither moments nor detections.
    """
    scores = f1(tables)
    if not np.isfinite(scores).any():
        raise InputError("train.threshold: auto has no moments in the validation split to choose by; give a number")
    equal = np.flatnonzero(scores >= np.nanmax(scores) - 1e-12)
    return THRESHOLDS[int(equal[(len(equal) - 1) // 2])]


@frozen(eq=False, kw_only=True)
class Detections(Answers):
    """One row a recording: `tables` `(recording, label + 1, label + 1)`, truth over detections, last column misses,
    last row false alarms, in the last cell the seconds that were listened to. `sweep` `(recording, threshold, label +
    1, label + 1)` are the tables at each of THRESHOLDS, `threshold` `(recording,)` is the one that `tables` are of."""

    said: ClassVar[tuple[str, ...]] = ("tables", "sweep", "threshold")
    shared: ClassVar[tuple[str, ...]] = ("labels",)
    functions: ClassVar[Mapping[str, Callable[[Any], Floats]]] = METRICS
    rows: ClassVar[str] = "recordings"

    tables: Floats = field(converter=floats)
    sweep: Floats = field(converter=floats)
    threshold: Floats = field(converter=floats)
    labels: tuple[str, ...] = field(converter=names)
    subject: Strings = field(converter=strings)
    session: Strings = field(converter=strings)
    repetition: Ints = field(converter=ints)
    recording: Strings = field(converter=strings)
    start_s: Floats = field(converter=floats)

    def __attrs_post_init__(self) -> None:
        self.check_rows()

    def tally(self, unit: Ints | None = None) -> npt.NDArray[Any]:
        """Tables added up by unit."""
        unit = np.zeros(len(self), np.int64) if unit is None else unit
        out = np.zeros((int(unit.max(initial=0)) + 1, *self.tables.shape[1:]))
        np.add.at(out, unit, self.tables)
        return out

    def goodness(self) -> Floats:
        """The share of moments detected with the right label."""
        return np.nan_to_num(recall(self.tables))

    def told(self) -> dict[str, Any]:
        """Recordings, moments and hours that were scored."""
        moments = int(self.tables[:, :-1].sum())
        hours = float(self.tables[:, -1, -1].sum() / 3600)
        return {"windows": len(self), "moments": moments, "hours": hours, "labels": list(self.labels)}

    @classmethod
    def detail(cls, seeds: Sequence[Self], options: Mapping[str, Any]) -> dict[str, Any]:
        """The summed table of the first seed, its thresholds (one a fold), and its metrics at every threshold."""
        first = seeds[0]
        table = first.tally()[0]
        table[-1, -1] = 0
        swept = first.sweep.sum(0)
        scores = {name: function(swept).tolist() for name, function in METRICS.items()}
        return {
            "table": table.astype(int).tolist(),
            "threshold": np.unique(first.threshold).tolist(),
            "sweep": {"threshold": list(THRESHOLDS), **scores},
        }
