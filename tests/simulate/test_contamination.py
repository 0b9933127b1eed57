"""Contamination: levels, frequencies and shapes as stated."""

import numpy as np
import pytest

from myoflow.simulate import contamination


def test_white_has_the_level_asked_for_and_a_flat_spectrum():
    noise = contamination.white(np.random.default_rng(0), np.array([1e-6, 4e-6]), 40_000)
    assert noise.std(axis=1) == pytest.approx([1e-6, 4e-6], rel=0.02)
    power = np.abs(np.fft.rfft(noise[0])) ** 2
    low, high = np.split(power[1:], 2)
    assert low.mean() == pytest.approx(high.mean(), rel=0.05)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_is_its_harmonics_below_nyquist_and_nothing_else(mains_hz):
    wave = contamination.mains(np.random.default_rng(0), np.array([1.0, 2.0]), 5000, 500.0, mains_hz)
    power = np.abs(np.fft.rfft(wave * np.hanning(5000))) ** 2
    f = np.fft.rfftfreq(5000, 1 / 500)
    assert f[power[0].argmax()] == pytest.approx(mains_hz, abs=0.11)
    near = np.min(np.abs(f[:, None] - mains_hz * np.arange(1, 8)[None]), axis=1) < 3
    assert power[0][near].sum() > 0.999 * power[0].sum()
    assert wave[1].std() == pytest.approx(2 * wave[0].std(), rel=0.2)
    assert 0.5 < wave[0].std() / np.sqrt(0.5) < 1.7


def test_wander_has_unit_variance_and_the_stated_memory():
    x = contamination.wander(np.random.default_rng(3), 20, 20_000, 100.0, time_constant_s=0.5)
    assert x.var() == pytest.approx(1.0, rel=0.1)
    assert np.mean(x[:, 50:] * x[:, :-50]) == pytest.approx(np.exp(-1), abs=0.07)  # one time constant later


def test_drift_is_slow():
    x = contamination.drift(np.random.default_rng(0), 30e-6, 4, 50_000, 500.0)
    power = (np.abs(np.fft.rfft(x)) ** 2).sum(0)
    f = np.fft.rfftfreq(50_000, 1 / 500)
    assert power[(f > 0) & (f < 2)].sum() > 0.9 * power[1:].sum()


def test_a_jolt_is_local_and_ends():
    x = contamination.jolt(np.random.default_rng(5), 1e-3, 8, 500.0)
    height = np.abs(x).max(axis=1)
    assert x.shape == (8, 300)
    assert height.max() <= 1e-3 and height.max() > 10 * height.min()
    assert np.abs(x[:, -10:]).max() < 0.05 * height.max()
