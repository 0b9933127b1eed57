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
from attrs import frozen

from myoflow.errors import InputError
from myoflow.simulate.speech.lexicon import lexicon
from myoflow.simulate.speech.timing import Script, Span
from myoflow.simulate.speech.voice import RATE_HZ, closure

Floats = npt.NDArray[np.floating[Any]]

# As espeak-ng's header speak_lib.h names them.
_RETRIEVAL, _PHONEME_EVENTS = 1, 1  # sound is handed to us, not played; with it come the moments of phones
_UTF8, _PHONEMES = 1, 0x100  # the text holds phones in [[ ]]
_LAST, _PHONEME = 0, 7  # kinds of events

_NAMES = {
    "aa": "A:", "ae": "a", "ah": "V", "ao": "O:", "aw": "aU", "ay": "aI", "eh": "E", "er": "3:", "ey": "eI",
    "ih": "I", "iy": "i:", "ow": "oU", "oy": "OI", "uh": "U", "uw": "u:", "ch": "tS", "dh": "D", "hh": "h",
    "jh": "dZ", "ng": "N", "sh": "S", "th": "T", "y": "j", "zh": "Z",
}  # fmt: skip  # espeak-ng's name of each phone; the others have their own

_BETWEEN = ("", ";", "_", "_:", "_|", "_!")  # pauses, and the glide between two vowels, which it adds of its own


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@frozen(eq=False)
class _Said:
    """A word as espeak-ng says it: `sound` `(time,)` at RATE_HZ, and where in it each phone begins, in samples; a stop
    or affricate where its closure bursts."""

    sound: Floats
    begins: tuple[int, ...]


@cache
def require() -> tuple[ctypes.CDLL, int]:
    """The library, started, and the rate of its sound. Raises InputError without it."""
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise InputError(
            "voice: espeak needs the library espeak-ng, which is not installed (Debian: apt install espeak-ng); "
            "voice: formant needs nothing"
        ) from error
    rate = int(library.espeak_Initialize(_RETRIEVAL, 0, None, _PHONEME_EVENTS))
    if rate <= 0 or library.espeak_SetVoiceByName(b"en-us"):
        raise InputError("voice: espeak-ng does not start; are its data and its voice en-us installed?")
    return library, rate


def speak(text: str, script: Script) -> Floats:
    """Sound `(time,)` at 16 kHz of `script.seconds`, each phone moved and stretched to where the script says it.

    espeak-ng is given the script's own phones, word by word, and tells when it says each. Raises InputError without
    espeak-ng, or when it says other phones than it was given.
    """
    out = np.zeros(round(script.seconds * RATE_HZ))
    words = _words()
    for word, span in zip(text.split(), script.words, strict=True):
        begin, end = round(span.begin * RATE_HZ), round(span.end * RATE_HZ)
        inside = [phone for phone in script.phones if span.begin <= phone.begin and phone.end <= span.end]
        said = words[word]
        here = [round(_onset(phone) * RATE_HZ) - begin for phone in inside]
        knots = [(0, 0)]
        for knot in (*zip(said.begins, here, strict=True), (len(said.sound), end - begin)):
            if knot[0] > knots[-1][0] and knot[1] > knots[-1][1]:  # it may say two phones at one moment, as r and m
                knots.append(knot)
        out[begin:end] = _fitted(said.sound, knots, end - begin)
    return np.asarray(0.5 * out / max(1e-3, float(np.abs(out).max())))


def _onset(phone: Span) -> float:
    """When a phone is first heard, in s: a stop and an affricate when they burst."""
    return phone.begin + closure(phone.name) * (phone.end - phone.begin)


@cache
def _words() -> dict[str, _Said]:
    """Every word that the simulation knows, about two seconds for all.

    Always all of them and in the same order: what was said before changes the next word a little, and a corpus must
    not depend on which of its files is made first.
    """
    return {word: _said(word, names) for word, names in lexicon().items()}


def _said(word: str, names: tuple[str, ...]) -> _Said:
    from scipy.signal import resample_poly

    library, rate = require()
    pieces: list[npt.NDArray[np.int16]] = []
    heard: list[tuple[str, int]] = []

    def taken(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        at = 0
        while events[at].type != _LAST:
            if events[at].type == _PHONEME:
                heard.append((events[at].name.decode("utf-8", "replace"), events[at].sample))
            at += 1
        return 0

    callback = _Callback(taken)  # held here: the library keeps only its address
    library.espeak_SetSynthCallback(callback)
    wanted = [_NAMES.get(name, name) for name in names]
    spoken = f"[[{''.join(wanted)}]]".encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, _UTF8 | _PHONEMES, None, None)
    library.espeak_Synchronize()
    found = [(name, at) for name, at in heard if name not in _BETWEEN]
    if len(found) != len(names) or not pieces:
        raise InputError(
            f"voice: espeak-ng says {' '.join(name for name, _ in found) or 'nothing'} for '{word}', not "
            f"{' '.join(wanted)}; it may be of another version (1.51 is known to work); voice: formant needs nothing"
        )
    sound = np.concatenate(pieces).astype(float) / 32768
    begins = tuple(round(at * RATE_HZ / rate) for _, at in found)
    return _Said(np.asarray(resample_poly(sound, RATE_HZ, rate), np.float32), begins)


def _fitted(sound: Floats, knots: list[tuple[int, int]], samples: int) -> Floats:
    """A word in another time without another pitch: overlapping grains of 40 ms, laid closer or wider apart.

    `knots` say which sample of the sound comes to lie where among `samples`; what is between two lies in between.
    """
    size, hop = 640, 320
    there, here = zip(*knots, strict=True)
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(sound.astype(float), (size, 2 * size))
    out, weight = np.zeros(samples + 2 * size), np.full(samples + 2 * size, 1e-6)
    for at in range(0, samples + size, hop):  # a grain's middle lies at `at - hop` of what is kept
        source = round(float(np.interp(at - hop, here, there))) + hop
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
