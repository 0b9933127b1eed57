"""Voice: a small formant synthesiser, source and filter, from timed phones to sound.

Source: Klatt, JASA 67:971 (1980), a cascade of second-order resonators driven by pulses of the vocal folds and by
noise, and a branch of its own for friction. The pulse is Rosenberg's (JASA 49:583, 1971), form C. There is nothing to
install and the numbers are the same on every machine; the price is that it sounds like a machine of that time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.jit import f8, given, jit, made
from myoflow.simulate.speech.phones import phones
from myoflow.simulate.speech.timing import Script

Floats = npt.NDArray[np.floating[Any]]

RATE_HZ = 16_000
_FRAME_HZ = 1000  # tracks are drawn at this rate
_GLIDE_S = 0.07  # formants move from phone to phone over about this long
_BANDWIDTHS = (70.0, 100.0, 140.0, 250.0, 300.0)
_UPPER_HZ = (3500.0, 4500.0)  # fourth and fifth formant
_CLOSURES = {"stop": 0.65, "affricate": 0.4}  # of a phone's duration


@jit(given("f8", 1), given("f8", 2), given("f8", 1), made("f8", 1), f8)
def _cascade(source: Floats, formant: Floats, bandwidth: Floats, out: Floats, rate: float) -> None:
    """Resonators one behind the other; `formant` `(resonator, time)` in Hz moves from sample to sample."""
    count = formant.shape[0]
    state = np.zeros((count, 2))
    for n in range(source.size):
        x = source[n]
        for k in range(count):
            radius = np.exp(-np.pi * bandwidth[k] / rate)
            c = -radius * radius
            b = 2.0 * radius * np.cos(2.0 * np.pi * formant[k, n] / rate)
            y = (1.0 - b - c) * x + b * state[k, 0] + c * state[k, 1]
            state[k, 1] = state[k, 0]
            state[k, 0] = y
            x = y
        out[n] = x


def speak(script: Script, rng: np.random.Generator) -> Floats:
    """Sound `(time,)` float64 at RATE_HZ, peak about 0.5, of phones said aloud."""
    samples = round(script.seconds * RATE_HZ)
    frames = round(script.seconds * _FRAME_HZ) + 1
    level: dict[str, Floats] = {name: np.zeros(frames) for name in ("voice", "breath", "noise")}
    formant = np.empty((3, frames))
    place = np.full(frames, 4000.0)
    for span in script.phones:
        _draw(span.name, round(span.begin * _FRAME_HZ), round(span.end * _FRAME_HZ) + 1, level, formant, place)
    formant = np.exp(_smooth(np.log(formant), _GLIDE_S))
    at = np.arange(samples) * (_FRAME_HZ / RATE_HZ)
    voice, breath, noise = (np.interp(at, np.arange(frames), _smooth(level[name], 0.014)) for name in level)
    tracks = np.empty((5, samples))
    for k in range(3):
        tracks[k] = np.interp(at, np.arange(frames), formant[k])
    tracks[3:] = np.asarray(_UPPER_HZ)[:, None]
    hiss = rng.standard_normal((2, samples))
    source = voice * _pulses(samples, rng) + 0.06 * breath * hiss[0] + 0.012 * voice * hiss[0]
    spoken = np.empty(samples)
    _cascade(source, tracks, np.asarray(_BANDWIDTHS), spoken, float(RATE_HZ))
    friction = np.empty(samples)
    centre = np.interp(at, np.arange(frames), _smooth(place, 0.01))
    _cascade(noise * hiss[1], np.ascontiguousarray(centre[None]), np.array([900.0]), friction, float(RATE_HZ))
    sound = spoken + 0.12 * friction
    return np.asarray(0.5 * sound / max(1e-3, float(np.abs(sound).max())))


def closure(name: str) -> float:
    """Which part of a phone's duration passes before it bursts; 0 for all but stops and affricates."""
    return _CLOSURES.get(phones()[name].kind, 0.0)


def _draw(name: str, begin: int, end: int, level: dict[str, Floats], formant: Floats, place: Floats) -> None:
    """One phone's part of all tracks, from frame `begin` to before `end`."""
    phone = phones()[name]
    now = slice(begin, end)
    count = formant[:, now].shape[1]
    ramp = np.linspace(0.0, 1.0, count)
    first, last = np.asarray(phone.formants), np.asarray(phone.end()[0])
    formant[:, now] = first[:, None] * (1 - ramp) + last[:, None] * ramp
    if phone.noise_hz:
        place[now] = phone.noise_hz
    for track in level.values():
        track[now] = 0.0
    closed = begin + round(closure(name) * count)
    if phone.kind in _CLOSURES:
        level["voice"][begin:closed] = 0.12 * phone.voiced
        level["noise"][closed:end] = 0.8 if phone.kind == "stop" else 1.0
        level["breath"][closed:end] = 0.0 if phone.voiced else 0.6
    elif phone.kind == "fricative":
        level["noise"][now] = (0.35 if name in ("f", "th", "v", "dh") else 1.0) * (0.6 if phone.voiced else 1.0)
        level["voice"][now] = 0.3 * phone.voiced
    elif phone.kind == "aspirate":
        level["breath"][now] = 1.2
    elif phone.kind != "silence":
        level["voice"][now] = {"nasal": 0.45, "liquid": 0.7, "glide": 0.7}.get(phone.kind, 1.0)


def _pulses(samples: int, rng: np.random.Generator) -> Floats:
    """Derivative of the flow through the vocal folds; the pitch sinks through the sentence and trembles."""
    t = np.linspace(0.0, 1.0, samples)
    knots = max(4, samples // 3000)
    tremble = np.interp(t, np.linspace(0, 1, knots), rng.normal(0, 0.04, knots))
    pitch = 120.0 * (1.08 - 0.22 * t) * np.exp(tremble + 0.03 * rng.standard_normal())
    phase = np.cumsum(pitch / RATE_HZ) % 1.0
    rising, falling = 0.4, 0.16
    flow = np.where(
        phase < rising,
        0.5 * (1.0 - np.cos(np.pi * phase / rising)),
        np.where(phase < rising + falling, np.cos(0.5 * np.pi * (phase - rising) / falling), 0.0),
    )
    return np.asarray(np.diff(flow, prepend=flow[0]))


def _smooth(track: Floats, seconds: float) -> Floats:
    """Averaged along time with a Hann window of so many seconds."""
    from scipy.ndimage import convolve1d

    window = np.hanning(max(3, round(seconds * _FRAME_HZ) | 1) + 2)
    return np.asarray(convolve1d(track, window / window.sum(), axis=-1, mode="nearest"))
