"""Clock: how fast a source's samples really come, and where the next time stamp should be."""

from __future__ import annotations

import math

LEAST_BUCKETS = 10


class Drift:
    """A source's rate against this machine's clock, by least squares over the earliest arrival of each second.

    Arrivals are late by buffers and bursts, never early: the earliest of a second lies closest to the truth.
    """

    def __init__(self, rate_hz: float, pace: float = 1.0) -> None:
        self._rate, self._pace = rate_hz, pace
        self.forget()

    def forget(self) -> None:
        """Begin anew: the count of samples jumped by a number that is not known exactly."""
        self._bucket: int | None = None
        self._best = (0.0, math.inf)
        self._n = 0
        self._mean_t = self._mean_d = self._tt = self._td = self._dd = 0.0

    def add(self, samples: int, at_s: float) -> None:
        """`samples` in all had come at `at_s` of our clock."""
        bucket = int(at_s)
        if bucket != self._bucket:
            if self._bucket is not None:
                self._keep(*self._best)
            self._bucket, self._best = bucket, (0.0, math.inf)
        late = at_s * self._pace - samples / self._rate
        if late < self._best[1]:
            self._best = (at_s * self._pace, late)

    def _keep(self, t: float, late: float) -> None:
        self._n += 1
        dt, dd = t - self._mean_t, late - self._mean_d
        self._mean_t += dt / self._n
        self._mean_d += dd / self._n
        self._tt += dt * (t - self._mean_t)
        self._td += dt * (late - self._mean_d)
        self._dd += dd * (late - self._mean_d)

    def ppm(self) -> tuple[float, float] | None:
        """Parts per million that the source is too fast, and the standard error; None before there is enough."""
        if self._n < LEAST_BUCKETS or self._tt <= 0:
            return None
        slope = self._td / self._tt
        rest = max(0.0, self._dd - slope * self._td) / (self._n - 2)
        return -1e6 * slope, 1e6 * math.sqrt(rest / self._tt)


class Stamps:
    """Follows time stamps that shake: predicts the next one, learns phase and period as they come.

    A phase-locked loop of second order; a stamp weighs by the time it stands for, so that its speed does not depend on
    how the samples were packed.
    """

    SETTLE_S = 2.0

    def __init__(self, rate_hz: float) -> None:
        self._nominal = self._period = 1.0 / rate_hz
        self._index: int | None = None
        self._phase = 0.0

    def expected(self, index: int) -> float | None:
        """When sample `index` should be stamped; None before the first stamp."""
        if self._index is None:
            return None
        return self._phase + (index - self._index) * self._period

    def learn(self, index: int, stamp_s: float) -> None:
        """Sample `index` bears this stamp."""
        expected = self.expected(index)
        if expected is None or self._index is None:
            self._index, self._phase = index, stamp_s
            return
        count = index - self._index
        share = min(0.5, count * self._nominal / self.SETTLE_S)
        error = stamp_s - expected
        self._phase, self._index = expected + 2 * share * error, index
        if count > 0:
            self._period += share * share * error / count
            # A crystal is off by thousandths at most; more is a wrong rate, which the count of samples shows.
            self._period = min(max(self._period, 0.99 * self._nominal), 1.01 * self._nominal)

    def jump(self, index: int, stamp_s: float) -> None:
        """Sample `index` bears this stamp, whatever was expected; the period stays."""
        self._index, self._phase = index, stamp_s
