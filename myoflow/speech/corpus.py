"""Corpus: from prepared recordings to utterances with their targets, split as a fold says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from myoflow.errors import InputError
from myoflow.recording import Recording
from myoflow.speech.targets import phones_of, spectrum_of, voice_of
from myoflow.speech.utterances import Target, Utterances, joined_by_sentence
from myoflow.task import PARTS
from myoflow.text.spelling import letters, normalise

if TYPE_CHECKING:
    from myoflow.pipeline import Step
    from myoflow.prepared import Prepared

BANDS = 80
SILENT = "silent"


def utterances(
    prepared: Sequence[Prepared],
    step: Step,
    fold: Sequence[Sequence[str]],
    by: str,
    *,
    characters: str,
    scale: float,
    sound: bool,
) -> list[Utterances]:
    """Training, validation and test utterances of a fold, in the order of `prepared`.

    Clips of silence are left out, and so are, as `left_out` tells, texts without a word and, but for the test, what
    is longer or shorter than the cutting stage says. With `sound` every utterance gets the spectrum of its voice; a
    silent one gets that of its twin, the same sentence spoken aloud, which may stand outside of all parts: its voice
    is what the silent mouth should sound like, and no EMG of it is seen. The mean spectrum is the training split's.

    Raises:
        InputError: a split by repetition, a transcript with letters outside of `characters`, or a silent training
            utterance without a twin; each names the recording.
    """
    if by == "repetition":
        raise InputError("utterances have no repetitions; split by subject, session or subset")
    recordings = {signal.id: signal.raw() for signal in prepared if signal.raw is not None}
    said = {name: recording for name, recording in recordings.items() if "transcript" in recording.attrs}
    twins = joined_by_sentence([(name, recording.attrs) for name, recording in said.items()])
    unit = {signal.id: str(getattr(signal, by)) for signal in prepared}
    part_of = {name: part for part, names in zip(PARTS, fold, strict=True) for name in names}
    wanted = [s for s in prepared if s.id in said and part_of.get(unit[s.id])]
    unfit = {s.id: why for s in wanted if (why := _unfit(s, said[s.id], step, part_of[unit[s.id]]))}
    chosen = [s for s in wanted if s.id not in unfit]
    sounds = _sounds(chosen, said, twins, step.before.labels) if sound else {}
    targets = {s.id: _target(said[s.id], twins.get(s.id, ""), sounds, characters) for s in chosen}
    if sound:
        heard = (s.id for s in chosen if part_of[unit[s.id]] == "test" and not targets[s.id].silent)
        targets |= {name: attrs.evolve(targets[name], voice=voice_of(said[name])) for name in heard}
    voices = [targets[s.id].mel for s in chosen if part_of[unit[s.id]] == "train" and not targets[s.id].silent]
    spoken = [mel for mel in voices if len(mel)]
    mean = np.concatenate(spoken).mean(0) if spoken else np.zeros(BANDS)
    found = []
    for part in PARTS:
        mine = [s for s in chosen if part_of[unit[s.id]] == part]
        table = _table(mine, [targets[s.id] for s in mine], step.before.rate_hz, mean, scale)
        lost = tuple((s.id, unfit[s.id]) for s in wanted if s.id in unfit and part_of[unit[s.id]] == part)
        found.append(attrs.evolve(table, left_out=lost))
    if sound:
        _refuse_twinless(found[0])
    return found


def _unfit(signal: Prepared, recording: Recording, step: Step, part: str) -> str:
    """Why an utterance is left out, or nothing: no word is said, or it is of no length to learn from (but tested)."""
    text = str(recording.attrs["transcript"])
    if not normalise(text):
        return f"its text '{text[:20]}' has no word"
    seconds = signal.values.shape[1] / step.before.rate_hz
    longest, shortest = getattr(step.stage, "longest", np.inf), getattr(step.stage, "shortest", 0.0)
    if part == "test" or shortest <= seconds <= longest:
        return ""
    return f"it lasts {seconds:.3g} s, not {shortest:g} to {longest:g} s"


def _sounds(
    chosen: Sequence[Prepared], said: Mapping[str, Recording], twins: Mapping[str, str], labels: tuple[str, ...]
) -> dict[str, tuple[Any, Any]]:
    """Spectrum and phones of every voice that is wanted, by the recording it is of."""
    wanted = {twins.get(s.id, s.id) for s in chosen if s.id in twins or said[s.id].attrs.get("mode") != SILENT}
    found = {}
    for name in sorted(wanted):
        mel = spectrum_of(said[name])
        found[name] = (mel, phones_of(said[name], len(mel), labels))
    return found


def _target(recording: Recording, twin: str, sounds: Mapping[str, tuple[Any, Any]], characters: str) -> Target:
    text = normalise(str(recording.attrs["transcript"]))
    mode = str(recording.attrs.get("mode", ""))
    nothing = np.empty((0, BANDS), np.float32), np.empty(0, np.int64)
    mel, phones = sounds.get(twin or recording.id, nothing)
    index = np.array(letters(text, recording.id, characters), np.int64)
    return Target(text, index, mel, phones, mode == SILENT, mode, twin)


def _table(
    chosen: Sequence[Prepared], targets: Sequence[Target], rate_hz: float, mean: Any, scale: float
) -> Utterances:
    return Utterances(
        signals=tuple(s.values for s in chosen),
        rate_hz=rate_hz,
        ids=tuple(s.id for s in chosen),
        subjects=tuple(s.subject for s in chosen),
        sessions=tuple(s.session for s in chosen),
        subsets=tuple(s.subset for s in chosen),
        targets=tuple(targets),
        mean=mean,
        scale=scale,
        dataset=chosen[0].dataset if chosen else "",
    )


def _refuse_twinless(training: Utterances) -> None:
    for name, target in zip(training.ids, training.targets, strict=True):
        if target.silent and not len(target.mel):
            raise InputError(
                f"{name} is silent and nobody spoke its sentence aloud: there is no sound to learn from; leave the "
                "audio head out, or give a recording of the same sentence"
            )
