"""Moving averages against a plain loop; the running z-score against its definition."""

import numpy as np
import pytest

from myoflow.dsp.moving import MovingAverage, RunningZscore


@pytest.mark.parametrize("length", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("squared", [True, False])
def test_moving_average_is_the_mean_of_the_last_samples(length: int, squared: bool) -> None:
    x = np.random.default_rng(1).standard_normal((2, 137)).astype(np.float32)
    out = MovingAverage(2, length, squared=squared).feed(x)
    values = x.astype(np.float64) ** 2 if squared else np.abs(x.astype(np.float64))
    expected = np.array([[row[max(0, t + 1 - length) : t + 1].mean() for t in range(137)] for row in values])
    np.testing.assert_allclose(out, np.sqrt(expected) if squared else expected, rtol=1e-6)


def test_a_burst_leaves_no_trace() -> None:
    """A running sum that subtracts what leaves would keep rounding errors of the burst, and a NaN for good."""
    x = np.full((1, 300), 1e-6, np.float32)
    x[0, 20:30] = 1e6
    x[0, 40] = np.nan
    out = MovingAverage(1, 25, squared=True).feed(x)[0]
    assert np.isnan(out[40:65]).all() and np.isfinite(out[65:]).all() and np.isfinite(out[:40]).all()
    np.testing.assert_allclose(out[66:], 1e-6, rtol=1e-6)


def reference(x: np.ndarray, span: float) -> np.ndarray:
    """Weights written out: sample i counts prod of (1 - share) of all that came after it."""
    share = np.maximum(1 - np.exp(-1 / span), 1 / np.arange(1, len(x) + 1))
    out = []
    for t in range(len(x)):
        weights = share[: t + 1] * np.append(np.cumprod(1 - share[1 : t + 1][::-1])[::-1], 1.0)
        mean = (weights * x[: t + 1]).sum()
        spread = np.sqrt((weights * (x[: t + 1] - mean) ** 2).sum())
        out.append((x[t] - mean) / spread if t else 0.0)
    return np.array(out)


def test_running_zscore_is_a_weighted_one() -> None:
    x = np.random.default_rng(2).standard_normal((2, 90)).astype(np.float32) + np.float32(3.0)
    out = RunningZscore(2, 20.0, pooled=False).feed(x)
    for row, expected in zip(out, x.astype(np.float64), strict=True):
        np.testing.assert_allclose(row, reference(expected, 20.0), rtol=1e-4, atol=1e-5)


def test_pooled_running_zscore_of_equal_channels_is_that_of_one() -> None:
    x = np.random.default_rng(3).standard_normal((1, 200)).astype(np.float32)
    one = RunningZscore(1, 30.0, pooled=False).feed(x)
    out = RunningZscore(5, 30.0, pooled=True).feed(np.repeat(x, 5, axis=0))
    np.testing.assert_allclose(out, np.repeat(one, 5, axis=0), rtol=1e-4, atol=1e-5)


def test_pooled_running_zscore_keeps_the_ratio_between_channels() -> None:
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((2, 5000)) * [[1.0], [10.0]]).astype(np.float32)
    out = RunningZscore(2, 500.0, pooled=True).feed(x)[:, 2000:]
    assert out[1].std() / out[0].std() == pytest.approx(10.0, rel=0.1)
    assert np.sqrt((out**2).mean()) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("pooled", [True, False])
def test_running_zscore_of_constant_and_broken_samples(pooled: bool) -> None:
    x = np.full((2, 50), 0.1, np.float32)
    assert not RunningZscore(2, 10.0, pooled=pooled).feed(x).any()
    x = np.random.default_rng(5).standard_normal((2, 60)).astype(np.float32)
    x[:, 20] = np.nan
    out = RunningZscore(2, 10.0, pooled=pooled).feed(x)
    without = RunningZscore(2, 10.0, pooled=pooled).feed(np.delete(x, 20, axis=1))
    assert np.isnan(out[:, 20]).all()
    assert np.array_equal(np.delete(out, 20, axis=1), without)
