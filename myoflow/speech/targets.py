"""Targets: from an utterance's recorded voice to the frames that a network learns to give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.mel import HOP, RATE_HZ, log_mel, resampled
from myoflow.errors import InputError
from myoflow.recording import Recording
from myoflow.speech.known import Known

if TYPE_CHECKING:
    from myoflow.speech.utterances import Utterances

Array = npt.NDArray[Any]


def voice_of(recording: Recording) -> Array:
    """The voice `(time,)` at 22 050 Hz, full scale 1: the cleaned track where there is one.

    Raises:
        InputError: it has none.
    """
    stream = recording.streams.get("audio_clean") or recording.streams.get("audio")
    if stream is None:
        raise InputError(
            f"{recording.id} has no audio; convert the dataset with its sound, or leave the audio head out"
        )
    values = np.asarray(stream.values[0], np.float32)
    if stream.values.dtype.kind == "i":
        values = values / np.float32(np.iinfo(stream.values.dtype).max + 1)
    return np.asarray(resampled(values, stream.rate_hz))


def spectrum_of(recording: Recording) -> Array:
    """Log-mel frames of its voice, `(frame, band)`."""
    return np.asarray(log_mel(voice_of(recording)))


def phones_of(recording: Recording, frames: int, labels: tuple[str, ...]) -> Array:
    """The label at the middle of each frame of its voice, `(frame,)`; -1 where none is known, or no label is marked."""
    index = {name: i for i, name in enumerate(labels)}
    events = recording.events
    found = np.full(frames, -1, np.int64)
    middle = (np.arange(frames) + 0.5) * HOP / RATE_HZ * recording.rate_hz
    for onset, length, label in zip(events.onset, events.length, events.label, strict=True):
        phone = index.get(events.names[label])
        if phone is not None:
            first, last = np.searchsorted(middle, (onset, onset + length))
            found[first:last] = phone
    return found


def heard_bands(frames: Array, examples: Utterances) -> Array:
    """What the head `audio` gave, `(frame, feature)`, as log-mel bands `(frame, band)`."""
    return Known.of(None, examples).bands(frames)
