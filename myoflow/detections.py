"""Detections: what a detector of moments did with each recording of a test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers import Answers, Floats, Ints, Strings


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float64)


def _ints(values: Any) -> Ints:
    return np.asarray(values, np.int64)


def _strings(values: Any) -> Strings:
    return np.asarray(values, np.str_)


def _names(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in np.asarray(values))


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


METRICS: dict[str, Callable[[Any], Floats]] = {
    "cler": cler,
    "miss_rate": miss_rate,
    "false_per_hour": false_per_hour,
}


@frozen(eq=False, kw_only=True)
class Detections(Answers):
    """One row a recording: `tables` `(recording, label + 1, label + 1)`, truth over detections, last column misses,
    last row false alarms, in the last cell the seconds that were listened to."""

    said: ClassVar[tuple[str, ...]] = ("tables",)
    shared: ClassVar[tuple[str, ...]] = ("labels",)
    functions: ClassVar[Mapping[str, Callable[[Any], Floats]]] = METRICS

    tables: Floats = field(converter=_floats)
    labels: tuple[str, ...] = field(converter=_names)
    subject: Strings = field(converter=_strings)
    session: Strings = field(converter=_strings)
    repetition: Ints = field(converter=_ints)
    recording: Strings = field(converter=_strings)
    start_s: Floats = field(converter=_floats)

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
        true = self.tables[:, :-1].sum((-2, -1))
        right = np.diagonal(self.tables[:, :-1, :-1], axis1=-2, axis2=-1).sum(-1)
        return np.nan_to_num(_ratio(right, true))

    def told(self) -> dict[str, Any]:
        """Recordings, moments and hours that were scored."""
        moments = int(self.tables[:, :-1].sum())
        hours = float(self.tables[:, -1, -1].sum() / 3600)
        return {"windows": len(self), "moments": moments, "hours": hours, "labels": list(self.labels)}

    @classmethod
    def detail(cls, seeds: Sequence[Self], options: Mapping[str, Any]) -> dict[str, Any]:
        """The summed table of the first seed."""
        table = seeds[0].tally()[0]
        table[-1, -1] = 0
        return {"table": table.astype(int).tolist()}
