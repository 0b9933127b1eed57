"""Contamination: what a real recorder adds to EMG. All functions give `(channel, time)` float32 in volts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

HARMONICS = (1.0, 0.12, 0.45, 0.06, 0.25, 0.03, 0.10)  # of the mains, relative to the first


def white(rng: np.random.Generator, rms_v: Floats, samples: int) -> Floats:
    """Amplifier and skin-contact noise; `rms_v` is `(channel,)`."""
    noise = rng.standard_normal((len(rms_v), samples), dtype=np.float32)
    noise *= np.asarray(rms_v, np.float32)[:, None]
    return noise


def mains(rng: np.random.Generator, amplitude_v: Floats, samples: int, rate_hz: float, mains_hz: float) -> Floats:
    """Hum at `mains_hz` and its harmonics below Nyquist, random phases, slowly breathing by about 15 %.

    `amplitude_v` `(channel,)` is the first harmonic's peak. One source feeds all channels, so they share its phases
    up to a small spread.
    """
    t = np.arange(samples) / rate_hz
    wave = np.zeros((len(amplitude_v), samples), np.float32)
    for number, share in enumerate(HARMONICS, start=1):
        if number * mains_hz >= 0.5 * rate_hz:
            break
        phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, len(amplitude_v))
        angle = 2 * np.pi * number * mains_hz * t
        wave += share * (np.cos(phase)[:, None] * np.sin(angle) + np.sin(phase)[:, None] * np.cos(angle))
    breathing = 1.0 + 0.15 * wander(rng, 1, samples, rate_hz, time_constant_s=4.0)
    wave *= (np.asarray(amplitude_v)[:, None] * breathing).astype(np.float32)
    return wave


def wander(rng: np.random.Generator, rows: int, samples: int, rate_hz: float, time_constant_s: float) -> Floats:
    """Slow random fluctuation `(rows, samples)` float64, mean 0, variance 1: a first-order autoregressive process."""
    from scipy.signal import lfilter

    keep = np.exp(-1.0 / (time_constant_s * rate_hz))
    steps = rng.standard_normal((rows, samples)) * np.sqrt(1.0 - keep * keep)
    start = keep * rng.standard_normal((rows, 1))
    out, _ = lfilter([1.0], [1.0, -keep], steps, axis=1, zi=start)
    return np.asarray(out)


def drift(rng: np.random.Generator, rms_v: float, channels: int, samples: int, rate_hz: float) -> Floats:
    """Baseline of electrode half-cells behind an AC-coupled amplifier: slow wander, each channel its own."""
    return np.asarray(rms_v * wander(rng, channels, samples, rate_hz, time_constant_s=1.5), np.float32)


def jolt(rng: np.random.Generator, height_v: float, channels: int, rate_hz: float) -> Floats:
    """One motion artefact of about half a second: a damped 2-8 Hz swing, strongest at one electrode of the ring."""
    t = np.arange(round(0.6 * rate_hz)) / rate_hz
    swing = np.sin(2 * np.pi * rng.uniform(2, 8) * t) * np.exp(-t / rng.uniform(0.05, 0.15))
    away = np.abs((np.arange(channels) - rng.integers(channels) + channels / 2) % channels - channels / 2)
    share = np.exp(-away) * rng.choice([-1.0, 1.0], channels)
    return np.asarray(height_v * share[:, None] * swing, np.float32)
