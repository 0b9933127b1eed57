"""Percentiles from bins agree with numpy's, in memory that does not grow."""

import numpy as np
import pytest

from myoflow.live.clock import Drift, Stamps
from myoflow.live.meter import Meter


@pytest.mark.parametrize("scale", [3e-5, 2e-3, 0.7])
def test_percentiles_are_numpys_within_a_bin(scale: float) -> None:
    values = scale * np.random.default_rng(0).lognormal(size=5000)
    meter = Meter()
    for value in values:
        meter.add(float(value))
    for share in (1, 50, 90, 99, 99.9):
        assert meter.percentile(share) == pytest.approx(np.percentile(values, share, method="inverted_cdf"), rel=0.012)
    assert meter.largest == values.max() and meter.percentile(100) == pytest.approx(values.max(), rel=0.012)
    assert sum(meter.spread(10, 1e-5, 1.0)) == 5000


def test_none_nothing_and_too_much() -> None:
    meter = Meter()
    assert meter.percentile(99) == 0.0
    for value in (0.0, 1e-9, 1e6):
        meter.add(value)
    assert meter.count == 3 and meter.largest == 1e6 and meter.percentile(50) <= 2e-6


def test_drift_needs_time_and_then_states_its_error() -> None:
    drift = Drift(1000.0)
    rng = np.random.default_rng(0)
    for i in range(100):
        drift.add(20 * (i + 1), 0.02 * (i + 1))
    assert drift.ppm() is None
    for i in range(100, 6000):
        drift.add(20 * (i + 1), 0.02 * (i + 1) * (1 - 50e-6) + rng.exponential(0.002))
    found = drift.ppm()
    assert found is not None and abs(found[0] - 50) < 4 * found[1] + 2 and found[1] < 5


def test_stamps_are_followed_to_the_true_period() -> None:
    stamps = Stamps(1000.0)
    for i in range(1, 1000):
        stamps.learn(20 * i, 0.02 * i * 1.0005)
    expected = stamps.expected(20_000 + 1000)
    assert expected == pytest.approx(21.0 * 1.0005, abs=1e-4)
