"""Running voice: sound that goes on from what has been given, as good as that of a search over everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("librosa")

from myoflow.dsp.mel import HOP, RATE_HZ, griffin_lim, log_mel, magnitudes
from myoflow.dsp.running_voice import AHEAD, BLOCK, DELAY_S, RunningVoice
from myoflow.errors import MyoflowError


def voice(frames: int) -> np.ndarray:
    """A vowel that glides, and a little noise."""
    t = np.arange(frames * HOP) / RATE_HZ
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / RATE_HZ
    sound = sum(np.sin(k * pitch) / k for k in range(1, 20))
    return np.asarray(0.1 * sound + 0.003 * np.random.default_rng(0).standard_normal(len(t)), np.float32)


def running(bands: np.ndarray, sizes: list[int], iterations: int = 32) -> np.ndarray:
    maker, found, at = RunningVoice(iterations), [], 0
    for size in sizes:
        found.append(maker.feed(bands[at : at + size]))
        at += size
    return np.concatenate([*found, maker.feed(bands[at:]), maker.flush()])


@settings(max_examples=10)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 70))
def test_any_cut_gives_the_same_samples(sizes: list[int], frames: int) -> None:
    bands = log_mel(voice(frames + 2))[:frames]
    found = running(bands, sizes, 2)
    assert found.shape == (frames * HOP,) and found.dtype == np.float32
    assert np.array_equal(found, running(bands, [], 2))


def test_it_sounds_as_a_search_over_everything_does() -> None:
    true = voice(100)
    bands = log_mel(true)
    made, whole = running(bands, [7] * 10), griffin_lim(bands)

    def off(sound: np.ndarray) -> float:
        return float(np.linalg.norm(magnitudes(sound) - magnitudes(true)) / np.linalg.norm(magnitudes(true)))

    assert off(made) < 1.15 * off(whole)
    assert np.abs(log_mel(made) - bands).mean() < 1.5 * np.abs(log_mel(whole) - bands).mean()
    seams = np.abs(np.diff(made))[BLOCK * HOP - 1 :: BLOCK * HOP]
    assert seams.max() < 3 * np.abs(np.diff(true)).max(), "no clicks where blocks meet"


def test_a_block_comes_when_the_frames_behind_it_are_there() -> None:
    bands = log_mel(voice(40))
    maker = RunningVoice(2)
    given_ = np.cumsum([len(maker.feed(bands[k : k + 1])) for k in range(40)])
    first = int(np.flatnonzero(given_)[0])
    assert first == BLOCK + AHEAD - 1
    late = max((k + 1) * HOP - (given_[k] + HOP) for k in range(first, 39)) / RATE_HZ
    assert DELAY_S / 2 < late <= DELAY_S


def test_nothing_gives_nothing_and_a_wrong_shape_an_error() -> None:
    assert RunningVoice().flush().shape == (0,)
    with pytest.raises(MyoflowError, match="expected log-mel bands"):
        RunningVoice().feed(np.zeros(80, np.float32))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bands_louder_than_any_sound_stay_a_sound() -> None:
    bands = np.random.default_rng(0).normal(90.0, 30.0, (40, 80)).astype(np.float32)
    made = running(bands, [7] * 6)
    assert made.shape == (40 * HOP,) and np.isfinite(made).all() and np.abs(made).max() <= 1.0
    with pytest.raises(MyoflowError, match="no numbers"):
        RunningVoice().feed(np.full((8, 80), np.nan, np.float32))
