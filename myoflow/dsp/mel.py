"""Mel: the spectrum of sound as the ear divides it, its cepstrum, and the way back to sound without training.

The definition is HiFi-GAN's, which its published weights need: 22 050 Hz, frames of 1024 samples under a Hann window
every 256, edges reflected so that N samples give N // 256 frames, 80 bands up to 8 kHz in Slaney's scale and norm,
natural logarithm above 1e-5. Source: Kong, Kim and Bae 2020, arXiv 2010.05646, and its published code.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError, MyoflowError

Floats = npt.NDArray[np.floating[Any]]

RATE_HZ = 22_050
SIZE = 1024
HOP = 256
BANDS = 80
TOP_HZ = 8000.0
CEPSTRA = 26
FRAME_HZ = RATE_HZ / HOP
FLOOR = 1e-5  # of a band, before the logarithm
LOUDEST = 10.0  # of a band, on the way back to sound: a tone of full scale has 2.4
EDGE = (SIZE - HOP) // 2
_QUIET = 1e-9  # added to the power, as published


@lru_cache(maxsize=8)
def filters(bands: int = BANDS, top_hz: float | None = TOP_HZ, rate_hz: float = RATE_HZ, size: int = SIZE) -> Floats:
    """librosa's mel filter bank `(band, bin)` float32; `top_hz` None is half the rate.

    Raises InputError without librosa.
    """
    try:
        from librosa.filters import mel
    except ImportError as error:
        raise InputError("mel bands need the package librosa: pip install 'myoflow[speech]'") from error
    bank: Floats = mel(sr=rate_hz, n_fft=size, n_mels=bands, fmin=0.0, fmax=top_hz)
    bank.setflags(write=False)
    return bank


def resampled(sound: Floats, rate_hz: float, to_hz: float = RATE_HZ) -> Floats:
    """Sound `(time,)` at another rate as float32, limited to ±1; both rates are whole numbers of Hz."""
    from scipy.signal import resample_poly

    if rate_hz != round(rate_hz) or to_hz != round(to_hz):
        raise MyoflowError(f"cannot resample sound from {rate_hz:g} to {to_hz:g} Hz: not whole numbers")
    up, down = round(to_hz), round(rate_hz)
    if up != down:
        common = gcd(up, down)
        sound = resample_poly(np.asarray(sound, np.float64), up // common, down // common)
    return np.clip(np.asarray(sound, np.float32), -1.0, 1.0)


def _frames(padded: Floats) -> Floats:
    return np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]


@lru_cache(maxsize=1)
def window() -> Floats:
    """Hann, periodic."""
    found: Floats = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)
    return found


def spectra_of(padded: Floats) -> Any:
    """Short-time spectra `(frame, bin)` of sound whose first window begins at its first sample."""
    from scipy.fft import rfft

    return np.asarray(rfft(_frames(padded) * window(), axis=1))


def turned_back(spectra: Any) -> Floats:
    """Windows of short-time spectra `(frame, bin)` laid over each other, not yet divided by their sum."""
    from scipy.fft import irfft

    return overlapped(irfft(spectra, SIZE, axis=1) * window())


def magnitudes_of(bands: Floats) -> Floats:
    """Magnitudes `(frame, bin)` whose log-mel bands are about `bands` `(frame, band)`.

    Bands above LOUDEST count as LOUDEST: no sound within ±1 has such, and the squares of some would overflow.
    Raises MyoflowError for bands that are no numbers.
    """
    if np.isnan(bands).any():
        raise MyoflowError(
            "log-mel bands that are no numbers (NaN) have no sound; the network that gave them is broken"
        )
    return unbanded(np.exp(np.minimum(bands, LOUDEST)))


def _transform(sound: Floats, mode: Any = "reflect") -> npt.NDArray[np.complexfloating[Any, Any]]:
    """Short-time spectra `(frame, bin)`."""
    return np.asarray(spectra_of(np.pad(np.asarray(sound, np.float32), EDGE, mode=mode)))


def magnitudes(sound: Floats) -> Floats:
    """Magnitudes `(frame, 513)` of sound `(time,)` at RATE_HZ.

    Raises MyoflowError for sound shorter than 385 samples, whose edges cannot be reflected.
    """
    if np.ndim(sound) != 1 or np.size(sound) <= EDGE:
        raise MyoflowError(f"a spectrum needs more than {EDGE} samples of one track, got shape {np.shape(sound)}")
    spectra = _transform(sound)
    return np.sqrt(spectra.real**2 + spectra.imag**2 + np.float32(_QUIET))


def log_mel(sound: Floats, bands: int = BANDS, top_hz: float | None = TOP_HZ) -> Floats:
    """Log-mel bands `(frame, band)` float32 of sound `(time,)` at RATE_HZ. Raises MyoflowError as `magnitudes`."""
    power = magnitudes(sound) @ filters(bands, top_hz).T
    return np.asarray(np.log(np.maximum(power, FLOOR)), np.float32)


def cepstrum(bands: Floats, count: int = CEPSTRA) -> Floats:
    """The first `count` coefficients of the orthonormal DCT-II along the last axis."""
    from scipy.fft import dct

    return np.asarray(dct(bands, type=2, axis=-1, norm="ortho")[..., :count])


def from_cepstrum(coefficients: Floats, bands: int = BANDS) -> Floats:
    """Bands from a cepstrum that was cut: smooth, since what was cut counts as zero."""
    from scipy.fft import idct

    return np.asarray(idct(coefficients, type=2, n=bands, axis=-1, norm="ortho"))


def griffin_lim(bands: Floats, iterations: int = 32, momentum: float = 0.99, seed: int = 0) -> Floats:
    """Sound `(time,)` float32 at RATE_HZ whose log-mel bands are about `bands` `(frame, band)`; nothing is trained.

    Magnitudes are the non-negative ones whose bands fit best, phases those of the fast Griffin-Lim algorithm
    (Perraudin, Balazs and Søndergaard 2013), started at random from `seed`. Gives HOP samples a frame.
    Raises MyoflowError for bands of another shape, or that are no numbers.
    """
    bands = np.asarray(bands, np.float32)
    if bands.ndim != 2 or not len(bands):
        raise MyoflowError(f"expected log-mel bands (frame, band), got shape {bands.shape}")
    target = magnitudes_of(bands)
    rng = np.random.default_rng(seed)
    spectra = target * np.exp(2j * np.pi * rng.random(target.shape, np.float32))
    weight = np.maximum(overlapped(np.broadcast_to(window() ** 2, (len(bands), SIZE))), 1e-2)
    before: Any = 0.0
    sound: Floats = np.zeros(0, np.float32)
    for step in range(iterations + 1):
        sound = turned_back(spectra) / weight
        if step == iterations:
            break
        consistent = _transform(sound[EDGE : len(sound) - EDGE])
        ahead = consistent + momentum * (consistent - before)
        before = consistent
        spectra = target * ahead / np.maximum(np.abs(ahead), 1e-9)
    return np.clip(sound[EDGE : len(sound) - EDGE], -1.0, 1.0).astype(np.float32)


def overlapped(frames: Floats) -> Floats:
    """Frames `(frame, SIZE)` laid over each other every HOP samples and added."""
    parts = SIZE // HOP
    out = np.zeros((len(frames) + parts - 1, HOP), np.float32)
    for part in range(parts):
        out[part : part + len(frames)] += frames[:, part * HOP : (part + 1) * HOP]
    return out.ravel()


@lru_cache(maxsize=2)
def _spread(bands: int) -> Floats:
    """The filters' pseudo-inverse `(band, bin)`."""
    return np.asarray(np.linalg.pinv(filters(bands)).T)


def unbanded(power: Floats, steps: int = 40) -> Floats:
    """Magnitudes `(frame, bin)`, none negative, whose bands are closest to `power` `(frame, band)`.

    Multiplicative updates of Lee and Seung (2001), which keep the sign, from the bands spread over their bins.
    """
    bank = filters(power.shape[1])
    found = np.maximum(power @ _spread(power.shape[1]), 1e-8).astype(np.float32)
    wanted = power @ bank
    for _ in range(steps):
        found *= wanted / np.maximum((found @ bank.T) @ bank, 1e-10)
    return found
