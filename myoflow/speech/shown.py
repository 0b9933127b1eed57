"""Shown: the utterances that a report plays and draws, with the true voice beside the predicted one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.dsp.alignment import partners
from myoflow.dsp.mel import FRAME_HZ, RATE_HZ, log_mel
from myoflow.engine import Parameters
from myoflow.files import beside, read_json
from myoflow.pipeline import compile_steps
from myoflow.recording import Recording
from myoflow.speech.answers import UNDECODED, Transcripts
from myoflow.speech.targets import voice_of
from myoflow.speech.voicing import GRIFFIN_LIM, speaker

if TYPE_CHECKING:
    from myoflow.task import View

Array = npt.NDArray[Any]


@frozen(eq=False)
class Shown:
    """One test utterance. `emg` `(channel, time)` as the network saw it; `spans` are (start s, end s, word) in it.

    `true` and `predicted` are log-mel spectra `(frame, band)`, the waves their voices at 22 050 Hz; None without sound.
    """

    recording: str
    mode: str
    text: str
    said: str
    heard: str
    emg: Array
    rate_hz: float
    channels: tuple[str, ...]
    spans: tuple[tuple[float, float, str], ...]
    true: Array | None = None
    predicted: Array | None = None
    true_wave: Array | None = None
    predicted_wave: Array | None = None


def shown(view: View, answers: Transcripts, wanted: int) -> list[Shown]:
    """`wanted` utterances from the worst to the best, evenly spread over their goodness."""
    from myoflow.store import open_store

    store = open_store(Path(read_json(view.folder / "data.json", {})["store"]))
    order = np.argsort(answers.goodness(), kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, min(wanted, len(order))).round().astype(int))]
    plan = view.plans[view.main]
    found = []
    for row in rows.tolist():
        recording = store.raw(str(answers.recording[row]))
        chain = compile_steps(plan, Parameters(), 0, plan.cut) if _stateless(plan) else None
        raw = (recording.emg * recording.gain[:, None]).astype(np.float32)
        emg = chain.whole(raw) if chain else raw
        rate = plan.steps[plan.cut].before.rate_hz if chain else recording.rate_hz
        twin = str(answers.twin[row])
        voice = store.raw(twin) if twin else recording
        found.append(_one(answers, row, recording, voice, emg, rate))
    return found


def _stateless(plan: Any) -> bool:
    return not any(step.stage.fits for step in plan.steps[: plan.cut])


def _one(answers: Transcripts, row: int, recording: Recording, voice: Recording, emg: Array, rate: float) -> Shown:
    predicted = answers.audio[row]
    said = answers.decoded[row] if answers.decoded[row] != UNDECODED else answers.greedy[row]
    waves: dict[str, Any] = {}
    times = None
    if len(predicted) and voice.streams:
        true_wave = voice_of(voice)
        true = log_mel(true_wave)
        if voice is not recording:
            times = _warped(true, predicted)
        waves = {
            "true": true,
            "predicted": predicted,
            "true_wave": true_wave,
            "predicted_wave": speaker(vocoder_of(answers))(predicted),
        }
    spans = spans_of(voice, times) if times is not None or voice is recording else ()
    return Shown(
        recording=recording.id,
        mode=str(answers.mode[row]),
        text=str(answers.text[row]),
        said="" if said == UNDECODED else str(said),
        heard="" if answers.heard[row] == UNDECODED else str(answers.heard[row]),
        emg=emg,
        rate_hz=rate,
        channels=recording.channels,
        spans=spans,
        **waves,
    )


def _warped(true: Array, predicted: Array) -> Array:
    """For each frame of the true voice the time in s of the predicted frame that the best warping gives it."""
    from scipy.spatial.distance import cdist

    return np.asarray(partners(cdist(true, predicted)) / FRAME_HZ)


def spans_of(recording: Recording, times: Array | None) -> tuple[tuple[float, float, str], ...]:
    """Its words as (start s, end s, word), in its own time or in that of `times`, one for each frame of its voice."""
    events = recording.events
    words = iter(recording.attrs.get("words", ()))
    found = []
    for onset, length, label in zip(events.onset, events.length, events.label, strict=True):
        if events.names[label] != "word":
            continue
        ends = [onset / recording.rate_hz, (onset + length) / recording.rate_hz]
        if times is not None:
            ends = [float(times[min(int(end * FRAME_HZ), len(times) - 1)]) for end in ends]
        found.append((ends[0], ends[1], str(next(words, ""))))
    return tuple(found)


def vocoder_of(answers: Transcripts) -> str:
    """What their spectra were made audible by."""
    return str(json.loads(answers.told_of[0]).get("vocoder", GRIFFIN_LIM))


def wave_bytes(sound: Array) -> bytes:
    """A WAV file of 16 bits of sound `(time,)` at 22 050 Hz, full scale 1."""
    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, RATE_HZ, np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16))
    return file.getvalue()


def write_waves(folder: Path, answers: Transcripts) -> None:
    """The predicted voice of every utterance as a WAV file named after its recording; those there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    speak = speaker(vocoder_of(answers))
    for recording, bands in zip(answers.recording, answers.audio, strict=True):
        path = folder / (str(recording).replace("/", "_") + ".wav")
        if len(bands) and not path.is_file():
            with beside(path) as part:
                part.write_bytes(wave_bytes(speak(bands)))
