"""Recorder: what the amplifier, the skin, the mains and moving cables add to an utterance's EMG; all in µV.

A session is one recording in which utterances follow each other: hum keeps its phase and the baseline goes on where the
last utterance left it, so neither tells anything of the text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.simulate.contamination import HARMONICS, wander
from myoflow.simulate.speech.muscles import DRIVE_HZ
from myoflow.simulate.speech.phones import GESTURES

Floats = npt.NDArray[np.floating[Any]]

CHANNELS = 8
NOISE_UV = 4.0
DRIFT_UV = 60.0  # per square root of a second
MOTION_UV = (5.0, 7.0, 6.0, 5.0, 3.0, 15.0, 5.0, 2.0)  # of a jaw that moves; channel 6 worst, as in the real set
HUM_UV = 12.0
OFFSET_UV = 4000.0
_JAW = GESTURES.index("jaw_open")


@frozen(eq=False)
class Chain:
    """One session's recorder: `noise` and `hum` of each channel in µV, each harmonic's phase, the mains in Hz."""

    noise: Floats
    hum: Floats
    phase: Floats
    mains_hz: float
    motion: Floats


def chain(rng: np.random.Generator, mains_hz: float) -> Chain:
    """A recorder as it stands in one session."""
    return Chain(
        noise=NOISE_UV * rng.lognormal(0, 0.25, CHANNELS),
        hum=HUM_UV * rng.lognormal(0, 0.6, CHANNELS),
        phase=rng.uniform(0, 2 * np.pi, len(HARMONICS))[:, None] + rng.normal(0, 0.3, (len(HARMONICS), CHANNELS)),
        mains_hz=mains_hz,
        motion=np.asarray(MOTION_UV) * rng.lognormal(0, 0.2, CHANNELS) * rng.choice([-1.0, 1.0], CHANNELS),
    )


def baselines(rng: np.random.Generator, seconds: Floats) -> Floats:
    """The baseline before each clip of a session and behind the last, `(clip + 1, channel)` in µV."""
    steps = rng.standard_normal((len(seconds), CHANNELS)) * DRIFT_UV * np.sqrt(seconds)[:, None]
    return np.asarray(rng.normal(0, OFFSET_UV, CHANNELS) + np.concatenate([np.zeros((1, CHANNELS)), steps.cumsum(0)]))


def recorded(
    emg: Floats, gesture: Floats, told: Chain, begin: int, rate_hz: float, ends: Floats, rng: np.random.Generator
) -> Floats:
    """EMG as the recorder gives it, `(channel, time)` float64.

    `begin` is the clip's first sample in the session; `ends` `(2, channel)` the baseline before it and behind it.
    """
    samples = emg.shape[1]
    at = np.arange(begin, begin + samples) / rate_hz
    out = emg + told.noise[:, None] * rng.standard_normal((CHANNELS, samples))
    breathing = 1.0 + 0.15 * wander(rng, 1, samples, rate_hz, 4.0)
    for number, (share, phase) in enumerate(zip(HARMONICS, told.phase, strict=True), 1):
        if number * told.mains_hz < 0.5 * rate_hz:
            angle = 2 * np.pi * number * told.mains_hz * at
            out += share * told.hum[:, None] * breathing * np.sin(angle + phase[:, None])
    jaw = np.gradient(gesture[_JAW]) * DRIVE_HZ
    out += told.motion[:, None] * np.interp(np.arange(samples) / rate_hz, np.arange(jaw.size) / DRIVE_HZ, jaw)
    walk = rng.standard_normal((CHANNELS, samples)).cumsum(axis=1) * DRIFT_UV / np.sqrt(rate_hz)
    share = np.arange(1, samples + 1) / samples
    walk += ends[0][:, None] * (1 - share) + (ends[1][:, None] - walk[:, -1:]) * share
    return np.asarray(out + walk)
