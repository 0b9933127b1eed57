"""gaddy_files: the files of an utterance of Gaddy's set, checked: info.json, numpy arrays, FLAC."""

from __future__ import annotations

import io
import json
import unicodedata
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats.base import guard, missing
from myoflow.formats.numpy_files import array_of
from myoflow.readers.source import File

_NO_TEXT = {"Cc", "Cn", "Co", "Cs"}  # control, unassigned, private and surrogate characters


@attrs.frozen
class Info:
    """An `info.json`. `index` counts a book's sentences, below 0 for silence; `sizes`: EMG, audio, button."""

    book: str
    index: int
    text: str
    sizes: tuple[int, int, int]


def info_of(file: File) -> Info:
    try:
        told = json.loads(file.read().decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{file.where}{line}: is no JSON: {error}") from error
    kinds = {"book": str, "sentence_index": int, "text": str, "chunks": list}
    for name, kind in kinds.items():
        if not isinstance(told, dict) or not isinstance(told.get(name), kind):
            raise InputError(f"{file.where}: has no '{name}' ({kind.__name__})")
    sizes = [0, 0, 0]
    for number, chunk in enumerate(told["chunks"], start=1):
        good = isinstance(chunk, list) and len(chunk) == 3 and all(type(n) is int and n >= 0 for n in chunk)
        if not good:
            raise InputError(f"{file.where}: chunk {number} is {chunk!r:.60}, not three sizes (EMG, audio, button)")
        sizes = [a + b for a, b in zip(sizes, chunk, strict=True)]
    for at, letter in enumerate(told["text"]):
        if letter == "\ufffd" or unicodedata.category(letter) in _NO_TEXT:
            raise InputError(
                f"{file.where}: its text has the character U+{ord(letter):04X} (the {at + 1}th), which nobody can "
                "read; was it saved in another encoding?"
            )
    return Info(told["book"], told["sentence_index"], told["text"], (sizes[0], sizes[1], sizes[2]))


def array(file: File, data: bytes, kinds: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if not data:
        raise InputError(f"{file.where}: the file is empty; expected a numpy file")
    with guard(file.where, "a numpy file"):
        values = array_of(data)
    if values.dtype.kind not in kinds or values.shape != shape:
        wanted = " x ".join(f"{size:,}" for size in shape)
        raise InputError(
            f"{file.where}: holds {values.dtype} of shape {values.shape}; its info.json and the card want {wanted}"
        )
    return values


def sound_of(file: File, data: bytes) -> tuple[npt.NDArray[np.int16], float]:
    """Samples and rate of a FLAC file of one track and 16 bits."""
    try:
        import soundfile
    except ImportError as error:
        raise missing(file.where, "FLAC audio", "soundfile") from error
    if not data.startswith(b"fLaC"):
        raise InputError(f"{file.where}: is no FLAC file; it starts with {data[:8]!r}")
    with guard(file.where, "a FLAC file"), soundfile.SoundFile(io.BytesIO(data)) as sound:
        if sound.channels != 1 or sound.subtype != "PCM_16":
            raise InputError(f"{file.where}: {sound.channels} tracks of {sound.subtype}, expected one of PCM_16")
        promised = sound.frames
        if promised > 3600 * sound.samplerate:
            raise InputError(f"{file.where}: claims {promised / sound.samplerate / 3600:.0f} hours of sound")
        samples = sound.read(dtype="int16")
        if len(samples) != promised:
            raise InputError(f"{file.where}: {len(samples)} of {promised} samples are there; the file is cut off")
        return samples, float(sound.samplerate)
