"""Features against their formulas in numpy, linear algebra and scipy's periodogram."""

import numpy as np
import pytest
from scipy import linalg, signal

from myoflow.dsp.features import autoregression, feature_function, frequencies, time_domain

X = (np.random.default_rng(0).standard_normal((4, 3, 200)) * 1e-4).astype(np.float32)


def test_time_domain_formulas() -> None:
    x = X.astype(np.float64)
    d = np.diff(x, axis=2)
    expected = np.stack(
        [
            np.abs(x).mean(2),
            np.sqrt((x**2).mean(2)),
            np.abs(d).sum(2),
            (np.diff(np.sign(x), axis=2) != 0).sum(2),
            (np.diff(np.sign(d), axis=2) != 0).sum(2),
            x.var(2, ddof=1),
        ],
        axis=2,
    )
    np.testing.assert_allclose(time_domain(X), expected, rtol=1e-5)


def test_counts_by_hand() -> None:
    x = np.array([[[1, -1, -2, -1, 0, 3, 3, -3, 0.5]]], np.float32)
    #                 z       ^       z     z   z      z: sign changes (0 is positive); ^ and 3 -3: turns
    assert time_domain(x)[0, 0, 3] == 4.0  # 1|-1, -1|0, 3|-3, -3|0.5
    assert time_domain(x)[0, 0, 4] == 2.0  # at -2 and at -3; 3 3 is a plateau, not a point
    assert time_domain(x, zc=2.0)[0, 0, 3] == 3.0  # -1|0 is a step of 1
    assert time_domain(x, ssc=2.0)[0, 0, 4] == 1.0  # at -2 both steps are 1
    assert time_domain(x, ssc=7.0)[0, 0, 4] == 0.0
    assert time_domain(np.zeros((1, 1, 9), np.float32))[0, 0].tolist() == [0.0] * 6


@pytest.mark.parametrize("length", [3, 4, 5, 16, 17, 400])
def test_counts_at_any_length(length: int) -> None:
    x = np.random.default_rng(length).standard_normal((2, 2, length)).astype(np.float32)
    out = time_domain(x)
    assert np.array_equal(out[..., 3], (np.signbit(x[..., 1:]) != np.signbit(x[..., :-1])).sum(2))
    d = np.diff(x, axis=2)
    assert np.array_equal(out[..., 4], (d[..., 1:] * d[..., :-1] < 0).sum(2))


@pytest.mark.parametrize("order", [1, 4, 9])
def test_autoregression_solves_yule_walker(order: int) -> None:
    out = autoregression(X, order)
    for window in range(4):
        for channel in range(3):
            x = X[window, channel].astype(np.float64)
            lags = np.array([(x[: len(x) - k] * x[k:]).sum() for k in range(order + 1)])
            expected = linalg.solve_toeplitz(lags[:-1], lags[1:])
            np.testing.assert_allclose(out[window, channel], expected, rtol=1e-4, atol=1e-6)


def test_autoregression_finds_the_process() -> None:
    rng = np.random.default_rng(1)
    x = signal.lfilter([1.0], [1.0, -1.2, 0.5], rng.standard_normal(200_000))[None, None].astype(np.float32)
    np.testing.assert_allclose(autoregression(x, 3)[0, 0], [1.2, -0.5, 0.0], atol=0.01)


@pytest.mark.parametrize("length", [200, 201])
def test_frequencies_equal_scipys_periodogram(length: int) -> None:
    x = np.random.default_rng(2).standard_normal((3, 2, length)).astype(np.float32)
    mean, median = frequencies(x, 1000.0)
    hertz, power = signal.periodogram(x.astype(np.float64), 1000.0, detrend="constant", axis=2)
    np.testing.assert_allclose(mean, (power * hertz).sum(2) / power.sum(2), rtol=1e-5)
    grown = np.cumsum(power, axis=2)
    for window in range(3):
        for channel in range(2):
            expected = hertz[np.searchsorted(grown[window, channel], grown[window, channel, -1] / 2)]
            assert median[window, channel] == pytest.approx(expected)


def test_a_tone_has_its_frequency() -> None:
    tone = np.sin(2 * np.pi * 120.0 * np.arange(500) / 1000.0).astype(np.float32)[None, None]
    mean, median = frequencies(tone + np.float32(5.0), 1000.0)
    assert mean[0, 0] == pytest.approx(120.0, abs=1e-3) and median[0, 0] == 120.0


ALL = ("mav", "rms", "wl", "zc", "ssc", "var", "log_mav", "log_rms", "log_wl", "log_var", "ar", "mnf", "mdf")


def test_broken_and_constant_windows() -> None:
    x = X.copy()
    x[1, 2, 50] = np.nan
    x[2, 0, 0] = np.inf
    x[3, 1] = 0.1
    compute = feature_function(ALL, 1000.0, order=2, zc=0.0, ssc=0.0)
    out = compute(x).reshape(4, 3, 14)
    clean = compute(X).reshape(4, 3, 14)
    assert np.isnan(out[1, 2]).all() and np.isnan(out[2, 0]).all()
    same = np.ones((4, 3), bool)
    same[1, 2] = same[2, 0] = same[3, 1] = False
    assert np.array_equal(out[same], clean[same])
    assert np.isfinite(out[3, 1]).all()
    assert out[3, 1, 12] == out[3, 1, 13] == 0.0  # mnf, mdf: no power


def test_logarithms_have_a_floor() -> None:
    out = feature_function(("log_mav", "log_var"), 1000.0, order=1, zc=0.0, ssc=0.0)(np.zeros((1, 1, 8), np.float32))
    np.testing.assert_allclose(out, [[np.log(1e-9), np.log(1e-18)]], rtol=1e-6)
