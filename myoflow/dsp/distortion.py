"""Distortion: how far made sound is from true sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.alignment import warp
from myoflow.errors import InputError, MyoflowError

Floats = npt.NDArray[np.floating[Any]]

COEFFICIENTS = 13
DECIBEL = 10.0 * np.sqrt(2.0) / np.log(10.0)


def coefficients(bands: Floats) -> Floats:
    """Mel cepstral coefficients 1 to 13 `(frame, 13)` of log-mel bands `(frame, band)`; the 0th is loudness."""
    from scipy.fft import dct

    table = dct(np.asarray(bands, np.float64), type=2, norm="ortho", axis=1) * np.sqrt(2.0 / np.shape(bands)[1])
    return np.asarray(table[:, 1 : COEFFICIENTS + 1])


def cepstral_distortion(made: Floats, true: Floats, *, align: bool = True) -> float:
    """MCD-13 in dB between log-mel bands `(frame, band)`, the mean along the cheapest alignment in time.

    Source: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", 1993. With `align` False
    frames are compared one by one. Raises MyoflowError for different numbers of bands, or of frames without alignment.
    """
    a, b = coefficients(made), coefficients(true)
    if np.shape(made)[1] != np.shape(true)[1] or not (len(a) and len(b)):
        raise MyoflowError(f"cannot compare bands of shapes {np.shape(made)} and {np.shape(true)}")
    if not align:
        if len(a) != len(b):
            raise MyoflowError(f"{len(a)} frames cannot be compared with {len(b)} one by one")
        return float(DECIBEL * np.linalg.norm(a - b, axis=1).mean())
    cost = np.sqrt(np.maximum(0.0, (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T))
    _, (rows, columns) = warp(cost)
    return float(DECIBEL * cost[rows, columns].mean())


def intelligibility(true: Floats, made: Floats, rate_hz: float, *, extended: bool = True) -> float:
    """ESTOI (or STOI) of sound `(time,)` aligned with the true one, 0 to 1; the longer one is cut.

    Source: Jensen and Taal 2016 (Taal et al. 2011), as pystoi computes it. It looks at 0.4 s at once: nan of what is
    shorter without its pauses, or silent. Raises InputError without pystoi, MyoflowError when they differ by more
    than a tenth in length: such sounds are not aligned.
    """
    import warnings

    try:
        from pystoi import stoi
    except ImportError as error:
        raise InputError("STOI needs the package pystoi: pip install 'myoflow[speech]'") from error
    if not np.any(true):
        return float("nan")
    size = min(len(true), len(made))
    if abs(len(true) - len(made)) > 0.1 * size:
        raise MyoflowError(f"sounds of {len(true)} and {len(made)} samples are not aligned")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(np.asarray(true[:size]), np.asarray(made[:size]), round(rate_hz), extended=extended))
        except (RuntimeWarning, ValueError):  # too little speech; it would give 1e-5, or find no frame at all
            return float("nan")
