"""Statistics: centre and scale of rows of samples, at once or gathered over a training split.

Samples that are not finite are left out everywhere. A row that does not vary gets scale 1, a row without a finite
sample centre 0 and scale 1.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from myoflow.dsp.jit import given, jit, made
from myoflow.dsp.kernel import Array
from myoflow.errors import InputError

MOST = 1 << 20  # values a row that the quantile learner keeps


@jit(given("f4", 2), made("f8", 2))
def _moments(x: Array, out: Array) -> None:
    """Per row: count, mean, sum of squared distances from the mean. Two passes, from the first value on."""
    for r in range(x.shape[0]):
        count = 0
        origin = 0.0
        total = 0.0
        for t in range(x.shape[1]):
            value = float(x[r, t])
            if math.isfinite(value):
                if count == 0:
                    origin = value
                count += 1
                total += value - origin
        off = total / count if count > 0 else 0.0
        squares = 0.0
        for t in range(x.shape[1]):
            value = float(x[r, t])
            if math.isfinite(value):
                away = (value - origin) - off
                squares += away * away
        out[r, 0], out[r, 1], out[r, 2] = count, origin + off, squares


@jit(given("f4", 2), made("f8", 2))
def _range(x: Array, out: Array) -> None:
    """Per row: least and greatest value; inf and -inf for a row without one."""
    for r in range(x.shape[0]):
        least, greatest = math.inf, -math.inf
        for t in range(x.shape[1]):
            value = float(x[r, t])
            if math.isfinite(value):
                least = min(least, value)
                greatest = max(greatest, value)
        out[r, 0], out[r, 1] = least, greatest


@jit(given("f4", 2), made("f4", 2), given("f8", 1), given("f8", 1))
def _apply(x: Array, y: Array, centre: Array, scale: Array) -> None:
    for r in range(x.shape[0]):
        for t in range(x.shape[1]):
            y[r, t] = (float(x[r, t]) - centre[r]) / scale[r]


def moments(rows: Array) -> tuple[Array, Array, Array]:
    """Count, mean and sum of squared distances from it, of rows `(row, sample)` float32."""
    out = np.empty((len(rows), 3))
    _moments(rows, out)
    return out[:, 0], out[:, 1], out[:, 2]


def extremes(rows: Array) -> tuple[Array, Array]:
    """Least and greatest value of rows `(row, sample)` float32."""
    out = np.empty((len(rows), 2))
    _range(rows, out)
    return out[:, 0], out[:, 1]


def quartiles(rows: Array) -> tuple[Array, Array, Array]:
    """25th, 50th and 75th percentile of rows `(row, sample)`, linearly interpolated; 0 without a finite sample."""
    out = np.zeros((3, len(rows)))
    whole = np.isfinite(rows).all(axis=1) & (rows.shape[1] > 0)
    if whole.any():
        out[:, whole] = np.percentile(rows[whole].astype(np.float64), (25, 50, 75), axis=1)
    for r in np.flatnonzero(~whole):
        finite = rows[r][np.isfinite(rows[r])].astype(np.float64)
        if len(finite):
            out[:, r] = np.percentile(finite, (25, 50, 75))
    return out[0], out[1], out[2]


def _spread(scale: Array) -> Array:
    return np.where(scale > 0, scale, 1.0)


def _from_moments(count: Array, mean: Array, squares: Array) -> tuple[Array, Array]:
    return mean, _spread(np.sqrt(squares / np.maximum(count, 1)))


def _from_extremes(least: Array, greatest: Array) -> tuple[Array, Array]:
    least, greatest = np.where(greatest >= least, (least, greatest), 0.0)
    return (least + greatest) / 2, _spread((greatest - least) / 2)


def _from_quartiles(lower: Array, middle: Array, upper: Array) -> tuple[Array, Array]:
    return middle, _spread(upper - lower)


def centre_scale(method: str, rows: Array) -> tuple[Array, Array]:
    """Centre and scale of rows `(row, sample)`: mean and std, middle and half of the range, or median and IQR."""
    if method == "zscore":
        return _from_moments(*moments(rows))
    if method == "minmax":
        return _from_extremes(*extremes(rows))
    return _from_quartiles(*quartiles(rows))


def scale_windows(method: str, x: Array, pooled: bool) -> Array:
    """`(x - centre) / scale` for `(window, channel, time)`, each window by itself; `pooled`: over its channels."""
    x = np.ascontiguousarray(x, np.float32)
    windows, channels, length = x.shape
    rows = x.reshape((windows, channels * length) if pooled else (windows * channels, length))
    out = np.empty(rows.shape, np.float32)
    centre, scale = centre_scale(method, rows)
    _apply(rows, out, np.ascontiguousarray(centre), np.ascontiguousarray(scale))
    return out.reshape(x.shape)


class Learner(Protocol):
    """Gathers centre and scale from `(row, sample)` pieces; the result does not depend on how they are cut."""

    def add(self, rows: Array) -> None:
        """More samples of the same rows."""
        ...

    def result(self) -> tuple[Array, Array]:
        """Centre and scale, one per row. Raises InputError when a row never had a finite sample."""
        ...


class _Rows:
    """What the learners share: rows pooled into one on the way in, spread to all on the way out."""

    def __init__(self, rows: int, pooled: bool) -> None:
        self._rows, self._pooled = rows, pooled
        self._size = 1 if pooled else rows

    def _in(self, rows: Array) -> Array:
        return np.ascontiguousarray(rows.reshape(1, -1) if self._pooled else rows, np.float32)

    def _out(self, seen: Array, centre: Array, scale: Array) -> tuple[Array, Array]:
        if not np.all(seen):
            row = int(np.argmin(seen)) + 1
            raise InputError(
                f"the training split has no finite sample in channel (or feature) {row}; nothing to scale by"
            )
        return np.resize(centre, self._rows), np.resize(scale, self._rows)


class MomentsLearner(_Rows):
    """Mean and standard deviation; pieces are merged as in Chan, Golub, LeVeque 1983 (doi 10.2307/2683386)."""

    def __init__(self, rows: int, pooled: bool) -> None:
        super().__init__(rows, pooled)
        self._count, self._mean, self._squares = np.zeros(self._size), np.zeros(self._size), np.zeros(self._size)

    def add(self, rows: Array) -> None:
        count, mean, squares = moments(self._in(rows))
        total = self._count + count
        share = np.divide(count, total, out=np.zeros(self._size), where=total > 0)
        off = mean - self._mean
        self._squares += squares + off * off * self._count * share
        self._mean += off * share
        self._count = total

    def result(self) -> tuple[Array, Array]:
        return self._out(self._count > 0, *_from_moments(self._count, self._mean, self._squares))


class RangeLearner(_Rows):
    """Least and greatest value."""

    def __init__(self, rows: int, pooled: bool) -> None:
        super().__init__(rows, pooled)
        self._least, self._greatest = np.full(self._size, np.inf), np.full(self._size, -np.inf)

    def add(self, rows: Array) -> None:
        least, greatest = extremes(self._in(rows))
        self._least, self._greatest = np.minimum(self._least, least), np.maximum(self._greatest, greatest)

    def result(self) -> tuple[Array, Array]:
        return self._out(self._greatest >= self._least, *_from_extremes(self._least, self._greatest))


class QuartileLearner(_Rows):
    """Median and IQR; above MOST values a row, of every 2nd, then every 4th, ... sample in order of arrival."""

    def __init__(self, rows: int, pooled: bool) -> None:
        super().__init__(rows, pooled)
        self._kept: list[Array] = []
        self._held = 0
        self._seen = 0
        self._every = 1

    def add(self, rows: Array) -> None:
        rows = self._in(rows)
        piece = rows[:, -self._seen % self._every :: self._every].copy()
        self._seen += rows.shape[1]
        self._kept.append(piece)
        self._held += piece.shape[1]
        while self._held > MOST:
            kept = np.concatenate(self._kept, axis=1)[:, ::2]
            self._kept, self._held, self._every = [kept], kept.shape[1], self._every * 2

    def result(self) -> tuple[Array, Array]:
        kept = np.concatenate(self._kept, axis=1) if self._kept else np.empty((self._size, 0), np.float32)
        return self._out(np.isfinite(kept).any(axis=1), *_from_quartiles(*quartiles(kept)))


LEARNERS: dict[str, type[MomentsLearner] | type[RangeLearner] | type[QuartileLearner]] = {
    "zscore": MomentsLearner,
    "minmax": RangeLearner,
    "robust": QuartileLearner,
}
