"""Corpus: the files of a simulated corpus, in the layout of Gaddy and Klein's set.

    emg_data/{silent,voiced}_parallel_data/SESSION/N_{emg.npy,audio.flac,audio_clean.flac,button.npy,info.json}
    text_alignments/SESSION/SESSION_N_audio.TextGrid        of spoken utterances

A simulation: what is learned from it says nothing about people.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.simulate.speech import face, muscles, plan, recorder, voice
from myoflow.simulate.speech.plan import RATE_HZ, Session
from myoflow.simulate.speech.settings import BOOK, Speech
from myoflow.simulate.speech.timing import Script, Span

Floats = npt.NDArray[np.floating[Any]]

KINDS = ("emg.npy", "audio.flac", "audio_clean.flac", "button.npy", "info.json")
_PARTS = {True: "silent_parallel_data", False: "voiced_parallel_data"}
_ROOM = 2e-3  # the room's noise, of full scale
_READ = 64  # EMG samples that come at once


@frozen
class Clip:
    """One utterance's place: session number, mode, and number in the session."""

    session: int
    silent: bool
    number: int

    def of(self, settings: Speech) -> Session:
        return plan.session(settings, self.session, self.silent)


def clips(settings: Speech) -> Iterator[Clip]:
    """Every utterance and clip of silence."""
    for number in range(settings.sessions):
        for silent in (True, False):
            count = len(plan.session(settings, number, silent).sentence)
            yield from (Clip(number, silent, clip) for clip in range(count))


def names(settings: Speech) -> dict[str, tuple[Clip, str]]:
    """Every file's path in the corpus, which utterance it belongs to, and what it holds."""
    found = {}
    for clip in clips(settings):
        sitting = clip.of(settings)
        folder = f"emg_data/{_PARTS[clip.silent]}/{sitting.name}"
        found.update({f"{folder}/{clip.number}_{kind}": (clip, kind) for kind in KINDS})
        if not clip.silent and sitting.sentence[clip.number] >= 0:
            found[f"text_alignments/{sitting.name}/{sitting.name}_{clip.number}_audio.TextGrid"] = (clip, "grid")
    return found


def content(settings: Speech, clip: Clip, kind: str) -> bytes:
    """One file's bytes. Raises InputError when FLAC or espeak-ng is asked for and not installed."""
    if kind == "info.json":
        return _info(settings, clip)
    if kind == "grid":
        return textgrid(clip.of(settings).script[clip.number]).encode()
    if kind in ("audio.flac", "audio_clean.flac"):
        room, clean = sound(settings, clip)
        return _flac(room if kind == "audio.flac" else clean)
    samples = emg(settings, clip)
    return _npy(samples.T) if kind == "emg.npy" else _npy(_button(samples.shape[1]))


def write(settings: Speech, folder: Path) -> None:
    """Write the whole corpus into a folder; a file that is there already stays as it is."""
    for name, (clip, kind) in names(settings).items():
        path = folder / name
        if not path.exists():
            with beside(path) as part:
                part.write_bytes(content(settings, clip, kind))


@lru_cache(maxsize=2)
def emg(settings: Speech, clip: Clip) -> Floats:
    """EMG as recorded, `(8, time)` float64 in µV, offset and drift inside."""
    sitting = clip.of(settings)
    begin, end = sitting.begin[clip.number : clip.number + 2].tolist()
    rng = plan.stream(settings, 6, clip.session, clip.silent, clip.number)
    sat = plan.stream(settings, 7, clip.session)  # both modes are recorded in one sitting
    mounting = face.mounting(plan.stream(settings, 8), sat)
    told = recorder.chain(sat, settings.mains_hz)
    effort = muscles.efforts(plan.stream(settings, 9, clip.session), silent=clip.silent)
    gesture = muscles.articulation(sitting.script[clip.number])
    clean = muscles.emg(muscles.drive(gesture, rng, effort=effort), mounting, end - begin, RATE_HZ, rng)
    ends = sitting.baseline[clip.number : clip.number + 2]
    return recorder.recorded(clean, gesture, told, begin, RATE_HZ, ends, rng)


@lru_cache(maxsize=2)
def sound(settings: Speech, clip: Clip) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Sound as recorded and as cleaned, int16 at 16 kHz. Of a silent utterance both are the room's noise."""
    sitting = clip.of(settings)
    script = sitting.script[clip.number]
    rng = plan.stream(settings, 10, clip.session, clip.silent, clip.number)
    samples = round(script.seconds * voice.RATE_HZ)
    spoken: Floats = np.zeros(samples)
    if not clip.silent and script.words:
        if settings.voice == "espeak":
            from myoflow.simulate.speech.espeak import speak

            spoken = speak(plan.sentences(settings)[sitting.sentence[clip.number]], script)
        else:
            spoken = voice.speak(script, rng)
    room = 0.5 * spoken + _ROOM * rng.standard_normal(samples)
    clean = spoken + 0.1 * _ROOM * rng.standard_normal(samples)
    return _int16(room), _int16(clean)


def textgrid(script: Script) -> str:
    """Words and phones as the Montreal Forced Aligner writes them."""
    words: list[Span] = []
    at = 0.0
    for word in script.words:
        if word.begin > at:
            words.append(Span("", at, word.begin))
        words.append(word)
        at = word.end
    words.append(Span("", at, script.seconds))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0.0", f"xmax = {script.seconds:.3f}"]
    lines += ["tiers? <exists>", "size = 2", "item []:"]
    phone = [Span(s.name if s.name == "sil" else s.name.upper(), s.begin, s.end) for s in script.phones]
    for number, (name, spans) in enumerate((("words", words), ("phones", phone)), start=1):
        lines += [f"\titem [{number}]:", '\t\tclass = "IntervalTier"', f'\t\tname = "{name}"', "\t\txmin = 0.0"]
        lines += [f"\t\txmax = {script.seconds:.3f}", f"\t\tintervals: size = {len(spans)}"]
        for row, span in enumerate(spans, start=1):
            lines += [f"\t\t\tintervals [{row}]:", f"\t\t\t\txmin = {span.begin:.3f}", f"\t\t\t\txmax = {span.end:.3f}"]
            lines.append(f'\t\t\t\ttext = "{span.name}"')
    return "\n".join(lines) + "\n"


def _info(settings: Speech, clip: Clip) -> bytes:
    sitting = clip.of(settings)
    index = sitting.sentence[clip.number]
    samples = int(np.diff(sitting.begin)[clip.number])
    reads = [_READ] * (samples // _READ) + ([samples % _READ] if samples % _READ else [])
    ratio = round(voice.RATE_HZ / RATE_HZ)
    told = {
        "book": BOOK if index >= 0 else "",
        "sentence_index": index,
        "text": plan.sentences(settings)[index] if index >= 0 else "",
        "chunks": [[n, ratio * n, n] for n in reads],
    }
    return json.dumps(told).encode()


def _button(samples: int) -> npt.NDArray[np.bool_]:
    """Pressed for the last 50 ms, as by one who ends an utterance with it."""
    return np.arange(samples) >= samples - 50


def _int16(sound: Floats) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)


def _npy(values: npt.NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(values))
    return out.getvalue()


def _flac(samples: npt.NDArray[np.int16]) -> bytes:
    try:
        import soundfile
    except ImportError as error:
        raise InputError("FLAC audio needs the package soundfile: pip install 'myoflow[speech]'") from error
    out = io.BytesIO()
    soundfile.write(out, samples, voice.RATE_HZ, format="FLAC", subtype="PCM_16")
    return out.getvalue()
