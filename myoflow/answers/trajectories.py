"""Trajectories: what a regressor said about a continuous stream in each window of a test split, beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import evolve, field, frozen

from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.answers.columns import floats, ints, names, singles, strings
from myoflow.answers.scores import score
from myoflow.errors import InputError

COUNT, ABSOLUTE, SQUARE, TRUTH, SAID, BOTH, ALL = range(7)  # rows of a tally


def _each(function: Callable[[Any], Any]) -> Callable[[Any], Floats]:
    """A metric of each target channel, as the mean over those for which it is defined."""

    def mean(tallies: Any) -> Floats:
        values = np.asarray(tallies, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            each = function([values[..., row, :] for row in range(values.shape[-2])])
        known = np.isfinite(each)
        total = np.where(known, each, 0.0).sum(-1)
        return np.asarray(np.divide(total, known.sum(-1), out=np.full(total.shape, np.nan), where=known.any(-1)))

    return mean


METRICS: dict[str, Callable[[Any], Floats]] = {
    "mae": _each(lambda t: t[ABSOLUTE] / t[COUNT]),
    "rmse": _each(lambda t: np.sqrt(t[SQUARE] / t[COUNT])),
    "r2": _each(lambda t: 1 - t[SQUARE] / t[TRUTH]),
    "r2_pooled": _each(lambda t: 1 - t[SQUARE] / t[ALL]),
    "correlation": _each(lambda t: t[BOTH] / np.sqrt(t[TRUTH] * t[SAID])),
}


@frozen(eq=False, kw_only=True)
class Trajectories(Answers):
    """What one model said, `values` `(window, step, target)`, and the `truth`, in `units`, steps at `rate_hz`.

    Metrics are computed per target channel over all steps of all windows, and averaged over channels. `mae` is the
    mean absolute error, `rmse` the root of the mean squared one. `r2` is 1 minus the squared error over the truth's
    variation around the mean of its own recording, so that differences between people or sessions explain
    nothing; `r2_pooled` takes one mean of all, as is often published. `correlation` is Pearson's, truth and answer
    each around its mean in its recording.

    Raises:
        InputError: fields of different shapes, or values that are not finite.
    """

    said: ClassVar[tuple[str, ...]] = ("values",)
    known: ClassVar[tuple[str, ...]] = ("subject", "session", "recording", "start_s", "truth", "repetition")
    shared: ClassVar[tuple[str, ...]] = ("targets", "units", "rate_hz")
    functions: ClassVar[Mapping[str, Callable[[Any], Floats]]] = METRICS

    values: npt.NDArray[np.float32] = field(converter=singles)
    truth: npt.NDArray[np.float32] = field(converter=singles)
    targets: tuple[str, ...] = field(converter=names)
    units: str = field(converter=str)
    rate_hz: float = field(converter=float)
    subject: Strings = field(converter=strings)
    session: Strings = field(converter=strings)
    repetition: Ints = field(converter=ints)
    recording: Strings = field(converter=strings)
    start_s: Floats = field(converter=floats)

    def __attrs_post_init__(self) -> None:
        shape = (len(self.start_s), self.values.shape[1] if self.values.ndim == 3 else 0, len(self.targets))
        for name in ("values", "truth"):
            if getattr(self, name).shape != shape:
                raise InputError(f"predictions: {name} has shape {getattr(self, name).shape}, expected {shape}")
        for name in ("subject", "session", "repetition", "recording"):
            if getattr(self, name).shape != shape[:1]:
                raise InputError(f"predictions: {name} has shape {getattr(self, name).shape} for {shape[0]} windows")
        if not np.isfinite(self.values).all():
            bad = int((~np.isfinite(self.values).all(axis=(1, 2))).sum())
            raise InputError(f"predictions: {bad} of {shape[0]} windows have values that are not finite")

    def tally(self, unit: Ints | None = None) -> Floats:
        """Sums for the metrics, `(unit, 7, target)`: count, |e|, e^2, truth and answer squared and multiplied around
        their recordings' means, and the truth squared around the mean of all."""
        unit = np.zeros(len(self), np.int64) if unit is None else unit
        truth, said = self.truth.astype(np.float64), self.values.astype(np.float64)
        error = said - truth
        own, answer = truth.copy(), said.copy()
        for recording in np.unique(self.recording):
            rows = self.recording == recording
            own[rows] -= own[rows].mean(axis=(0, 1))
            answer[rows] -= answer[rows].mean(axis=(0, 1))
        pooled = truth - truth.mean(axis=(0, 1)) if len(self) else truth
        cells = (np.ones_like(truth), np.abs(error), error**2, own**2, answer**2, own * answer, pooled**2)
        rows = np.stack([cell.sum(axis=1) for cell in cells], axis=1)
        found = np.zeros((int(unit.max(initial=0)) + 1, *rows.shape[1:]))
        np.add.at(found, unit, rows)
        return found

    def goodness(self) -> Floats:
        """Minus the mean absolute error of each window, targets divided by their spread."""
        spread = self.truth.std(axis=(0, 1)) if len(self) else np.ones(len(self.targets))
        error = np.abs(self.values - self.truth) / np.where(spread > 0, spread, 1.0)
        return np.asarray(-error.mean(axis=(1, 2)), np.float64)

    def newest(self, steps: int) -> Self:
        """The last `steps` of every window only: what a live decoder adds with it, knowing nothing later.

        `start_s` is then that of the piece.
        """
        if steps >= self.values.shape[1]:
            return self
        start_s = self.start_s + (self.values.shape[1] - steps) / self.rate_hz
        return evolve(self, values=self.values[:, -steps:], truth=self.truth[:, -steps:], start_s=start_s)

    def only(self, target: str) -> Self:
        """One target channel."""
        at = [self.targets.index(target)]
        return evolve(self, values=self.values[:, :, at], truth=self.truth[:, :, at], targets=(target,))

    def told(self) -> dict[str, Any]:
        """The targets, their units and rate."""
        count = {"windows": len(self), "steps": int(self.values.shape[1])}
        return {"targets": list(self.targets), "units": self.units, "rate_hz": self.rate_hz, **count}

    @classmethod
    def detail(cls, seeds: Sequence[Self], options: Mapping[str, Any]) -> dict[str, Any]:
        """Every metric of every target channel, with intervals."""
        found = {}
        for target in seeds[0].targets:
            scores = score([seed.only(target) for seed in seeds], **options)
            found[target] = {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in scores.items()}
        return {"targets": found}
