"""Decisions: metrics of a classifier, as functions of a tally.

A tally says for each label how often it was decided rightly, was true, was decided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def confusion(truth: Ints, decision: Ints, labels: int) -> Ints:
    """Counts `(truth, decision)`, `(label, label)`."""
    counts: Ints = np.bincount(truth * labels + decision, minlength=labels * labels).reshape(labels, labels)
    return counts.astype(np.int64)


def tally(truth: Ints, decision: Ints, labels: int, unit: Ints | None = None) -> Ints:
    """Times each label was hit, true and decided, `(unit, 3, label)`.

    `unit` gives each window's unit, `(window,)` of 0, 1, ...; without it all windows are one unit.
    """
    unit = np.zeros(len(truth), dtype=np.int64) if unit is None else unit
    k, units = labels, int(unit.max(initial=0)) + 1
    hit = truth == decision
    parts = ((unit[hit], truth[hit]), (unit, truth), (unit, decision))
    counts: Ints = np.stack([np.bincount(u * k + v, minlength=units * k).reshape(units, k) for u, v in parts], axis=1)
    return counts.astype(np.int64)


def accuracy(tallies: Any) -> Floats:
    """Share of windows decided rightly. `tallies` is `(..., 3, label)` as `tally` gives it; so are those below."""
    hit, true, _ = _split(tallies)
    return _ratio(hit.sum(axis=-1), true.sum(axis=-1))


def balanced_accuracy(tallies: Any) -> Floats:
    """Mean recall over the labels that occur in the truth (Brodersen et al. 2010; as scikit-learn has it)."""
    hit, true, _ = _split(tallies)
    present = true > 0
    return _ratio(np.where(present, _ratio(hit, true), 0.0).sum(axis=-1), present.sum(axis=-1))


def macro_f1(tallies: Any) -> Floats:
    """Mean over labels of `2 hit / (true + decided)`, which is `2 TP / (2 TP + FP + FN)`.

    A label counts when it occurs in the truth or among the decisions (scikit-learn's default): one decided but never
    true scores 0, one that does neither says nothing and is left out.
    """
    hit, true, decided = _split(tallies)
    present = true + decided > 0
    return _ratio(np.where(present, _ratio(2 * hit, true + decided), 0.0).sum(axis=-1), present.sum(axis=-1))


def _split(tallies: Any) -> tuple[Floats, Floats, Floats]:
    values = np.asarray(tallies, dtype=np.float64)
    return values[..., 0, :], values[..., 1, :], values[..., 2, :]


def _ratio(top: Any, bottom: Any) -> Floats:
    bottom = np.asarray(bottom, dtype=np.float64)
    result: Floats = np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 0)
    return result


METRICS: dict[str, Callable[[Any], Floats]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
