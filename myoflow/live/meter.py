"""Meter: percentiles of any number of latencies in a few kilobytes."""

from __future__ import annotations

import math

import numpy as np

LEAST_S = 1e-6
DECADES = 9  # 1 us to 1000 s
PER_DECADE = 200  # a bin is 1.2 % wide


class Meter:
    """Counts positive numbers in bins of equal ratio; a percentile is right to 0.6 %, the maximum is exact."""

    def __init__(self) -> None:
        self.counts = np.zeros(DECADES * PER_DECADE, np.int64)
        self.count = 0
        self.largest = 0.0
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one number, in s."""
        place = int(PER_DECADE * math.log10(value / LEAST_S)) if value > LEAST_S else 0
        self.counts[min(place, len(self.counts) - 1)] += 1
        self.count += 1
        self.sum += value
        if value > self.largest:
            self.largest = value

    def percentile(self, share: float) -> float:
        """The number that `share` percent of all do not exceed; 0 when there are none."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(share / 100 * self.count))
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        middle = LEAST_S * 10 ** ((place + 0.5) / PER_DECADE)
        return float(min(middle, self.largest))

    def spread(self, bins: int, low_s: float, high_s: float) -> list[int]:
        """Counts in `bins` of equal ratio from `low_s` to `high_s`; the ends take what lies outside."""
        edges = np.geomspace(low_s, high_s, bins + 1)[1:-1]
        middles = LEAST_S * 10 ** ((np.arange(len(self.counts)) + 0.5) / PER_DECADE)
        found = np.bincount(np.searchsorted(edges, middles), weights=self.counts, minlength=bins)
        return [int(number) for number in found]
