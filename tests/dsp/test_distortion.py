"""Distortion against its formula, and against pystoi."""

import numpy as np
import pytest
from scipy.fft import dct

from myoflow.dsp import distortion
from myoflow.errors import MyoflowError


def bands(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 80)).cumsum(axis=1) * 0.3


def test_distance_is_the_formula():
    a, b = bands(30, 0), bands(30, 1)
    difference = (dct(a - b, type=2, norm="ortho", axis=1) * np.sqrt(2 / 80))[:, 1:14]
    want = np.mean(10 / np.log(10) * np.sqrt(2 * (difference**2).sum(axis=1)))
    assert distortion.cepstral_distortion(a, b, align=False) == pytest.approx(want)
    assert distortion.cepstral_distortion(a, b) <= want + 1e-9
    assert distortion.cepstral_distortion(a, a) == pytest.approx(0, abs=1e-5)


def test_loudness_and_tempo_do_not_count():
    a = bands(30)
    assert distortion.cepstral_distortion(a + 2.0, a) == pytest.approx(0, abs=1e-5)
    assert distortion.cepstral_distortion(np.repeat(a, 2, axis=0), a) == pytest.approx(0, abs=1e-5)


def test_what_cannot_be_compared_is_named():
    with pytest.raises(MyoflowError, match="30 frames cannot be compared with 20"):
        distortion.cepstral_distortion(bands(30), bands(20), align=False)
    with pytest.raises(MyoflowError, match=r"\(3, 80\) and \(3, 40\)"):
        distortion.cepstral_distortion(bands(3), bands(3)[:, :40])


def test_intelligibility_falls_with_noise():
    pytest.importorskip("pystoi")
    rng = np.random.default_rng(0)
    t = np.arange(20_000) / 10_000
    sound = np.sin(2 * np.pi * (200 + 300 * np.sin(5 * t)) * t) * (0.5 + 0.5 * np.sin(7 * t))
    values = [distortion.intelligibility(sound, sound + n * rng.standard_normal(t.size), 10_000) for n in (0, 0.3, 3)]
    assert values[0] == pytest.approx(1, abs=1e-6) and values[0] > values[1] > values[2]
    for some in (sound[:3000], np.zeros(20_000)):  # too little to hear anything in
        assert np.isnan(distortion.intelligibility(some, some, 10_000))
    with pytest.raises(MyoflowError, match="not aligned"):
        distortion.intelligibility(sound, sound[:9000], 10_000)
