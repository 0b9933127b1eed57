"""Espeak: sound of a sentence from the library espeak-ng, when the user asks for it and has it.

espeak-ng is a program under the GPL that myoflow neither ships nor needs; its sound differs from version to version.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.simulate.speech.timing import Script
from myoflow.simulate.speech.voice import RATE_HZ

Floats = npt.NDArray[np.floating[Any]]

_RETRIEVAL = 1  # espeak_Initialize: sound is handed to us, not played
_CHARS_UTF8 = 1


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """The library, and the rate of its sound. Raises InputError without it."""
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise InputError(
            "voice: espeak needs the library espeak-ng, which is not installed (Debian: apt install espeak-ng); "
            "voice: formant needs nothing"
        ) from error
    rate = int(library.espeak_Initialize(_RETRIEVAL, 0, None, 0))
    if rate <= 0:
        raise InputError("voice: espeak-ng does not start; are its voices installed?")
    library.espeak_SetVoiceByName(b"en-us")
    return library, rate


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(text: str, script: Script) -> Floats:
    """Sound `(time,)` at 16 kHz of `script.seconds`, each word moved and stretched to where the script says it.

    Words are said one by one, so that the alignment is that of the script; within a word espeak-ng's own timing is
    kept in proportion. Raises InputError without espeak-ng.
    """
    out = np.zeros(round(script.seconds * RATE_HZ))
    for word, span in zip(text.split(), script.words, strict=True):
        begin, end = round(span.begin * RATE_HZ), round(span.end * RATE_HZ)
        out[begin:end] = _fitted(_said(word), end - begin)
    return np.asarray(0.5 * out / max(1e-3, float(np.abs(out).max())))


@cache
def _said(word: str) -> Floats:
    from scipy.signal import resample_poly

    library, rate = _library()
    pieces: list[npt.NDArray[np.int16]] = []

    def taken(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    callback = _Callback(taken)  # held here: the library keeps only its address
    library.espeak_SetSynthCallback(callback)
    spoken = word.encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate(pieces).astype(float) / 32768 if pieces else np.zeros(rate // 10)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max()) if sound.any() else np.array([0, 1])
    return np.asarray(resample_poly(sound[loud[0] : loud[-1] + 1], RATE_HZ, rate))


def _fitted(sound: Floats, samples: int) -> Floats:
    """A word in another time without another pitch: overlapping grains of 40 ms, laid closer or wider apart."""
    size, hop = 640, 320
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(sound, (size, size))
    out, weight = np.zeros(samples + 2 * size), np.full(samples + 2 * size, 1e-6)
    for at in range(0, samples + size, hop):
        source = min(len(padded) - size, round(at / (samples + size) * (len(sound) + size)))
        best = _lag(padded, source, out[at : at + hop] / weight[at : at + hop], hop) if at else source
        out[at : at + size] += window * padded[best : best + size]
        weight[at : at + size] += window
    return np.asarray((out / weight)[size : size + samples])


def _lag(padded: Floats, source: int, before: Floats, hop: int) -> int:
    """Where near `source` the sound continues best what was laid before."""
    reach = 100
    low = max(0, source - reach)
    high = min(len(padded) - 2 * hop, source + reach)
    if high <= low or not before.any():
        return min(source, len(padded) - 2 * hop)
    match = np.correlate(padded[low : high + hop - 1], before, mode="valid")
    return int(low + match.argmax())
