"""Mel: librosa's numbers, the cepstrum of scipy, and sound that comes back."""

import numpy as np
import pytest
from scipy.fft import dct

from myoflow.dsp import mel
from myoflow.errors import MyoflowError

librosa = pytest.importorskip("librosa")


def voice(seconds=1.0, seed=0):
    """Something like a voice: a buzz of 120 Hz and some noise, swelling."""
    t = np.arange(round(seconds * mel.RATE_HZ)) / mel.RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 30))
    noise = np.random.default_rng(seed).standard_normal(t.size)
    return (0.2 * (buzz + 0.1 * noise) * (0.3 + 0.7 * np.sin(3 * t) ** 2)).clip(-1, 1)


@pytest.mark.parametrize("top", [8000.0, None])
@pytest.mark.parametrize("samples", [22050, 22049, 4000, 385])
def test_bands_are_librosas(samples, top):
    sound = voice(1.0)[:samples]
    padded = np.pad(sound, 384, mode="reflect")
    table = np.abs(librosa.stft(padded, n_fft=1024, hop_length=256, win_length=1024, center=False))
    table = np.sqrt(table**2 + 1e-9)
    bank = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=top)
    want = np.log(np.maximum(bank @ table, 1e-5)).T
    got = mel.log_mel(sound, top_hz=top)
    assert got.shape == (samples // 256, 80) == want.shape and got.dtype == np.float32
    np.testing.assert_allclose(np.exp(got), np.exp(want), rtol=1e-4)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_silence_lies_on_the_floor():
    got = mel.log_mel(np.zeros(4096))
    assert np.all(got >= np.log(1e-5) - 1e-6) and got.max() < np.log(3e-5)


def test_sound_that_is_too_short_is_named():
    with pytest.raises(MyoflowError, match=r"more than 384 samples of one track, got shape \(384,\)"):
        mel.log_mel(np.zeros(384))


def test_cepstrum_is_scipys_and_comes_back_smooth():
    bands = mel.log_mel(voice())
    short = mel.cepstrum(bands)
    np.testing.assert_allclose(short, dct(bands, type=2, norm="ortho", axis=1)[:, :26], rtol=1e-5)
    np.testing.assert_allclose(mel.from_cepstrum(mel.cepstrum(bands, 80)), bands, atol=1e-4)
    back = mel.from_cepstrum(short)
    np.testing.assert_allclose(dct(back, type=2, norm="ortho", axis=1)[:, :26], short, atol=1e-4)
    assert back.shape == bands.shape and np.abs(back - bands).mean() < 0.5


def test_resampling_keeps_a_tone_and_its_time():
    t = np.arange(16000) / 16000
    got = mel.resampled(0.5 * np.sin(2 * np.pi * 440 * t), 16000)
    want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    assert got.shape == (22050,) and got.dtype == np.float32
    np.testing.assert_allclose(got[500:-500], want[500:-500], atol=2e-3)
    assert np.abs(mel.resampled(3 * np.ones(100), 22050)).max() == 1.0
    with pytest.raises(MyoflowError, match="not whole numbers"):
        mel.resampled(t, 16000.5)


def test_griffin_lim_gives_sound_of_the_same_bands():
    bands = mel.log_mel(voice(1.0))
    distance = []
    for iterations in (0, 32):
        sound = mel.griffin_lim(bands, iterations)
        assert sound.shape == (256 * len(bands),)
        distance.append(np.abs(mel.log_mel(sound) - bands).mean())
    assert distance[1] < 0.25 < distance[0]
    np.testing.assert_array_equal(mel.griffin_lim(bands, 2), mel.griffin_lim(bands, 2))
    with pytest.raises(MyoflowError, match=r"\(frame, band\)"):
        mel.griffin_lim(bands[0])


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("top", [20.0, 45.0, 90.0, 1e30, np.inf])
def test_bands_louder_than_any_sound_give_the_loudest_sound(top):
    """A network that has not learned gives such; squares and exponentials of them would overflow."""
    bands = np.random.default_rng(0).normal(size=(6, 80)).astype(np.float32)
    sound = mel.griffin_lim(bands + np.float32(top), 8)
    assert np.isfinite(sound).all() and 0.9 < np.abs(sound).max() <= 1.0
    bands[0] = -np.inf  # silence is a sound
    assert np.isfinite(mel.griffin_lim(bands, 8)).all()


def test_bands_that_are_no_numbers_are_refused():
    bands = np.zeros((6, 80), np.float32)
    bands[3, 7] = np.nan
    with pytest.raises(MyoflowError, match="no numbers"):
        mel.griffin_lim(bands)
