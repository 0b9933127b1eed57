"""Transcribe: texts and voices of test utterances from a fitted model, with what is learned for decoding alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.dsp.distortion import cepstral_distortion, intelligibility
from myoflow.dsp.mel import RATE_HZ
from myoflow.pipeline import flows
from myoflow.speech.answers import UNDECODED, Transcripts
from myoflow.speech.ask import answered, heads_of
from myoflow.speech.known import Known
from myoflow.speech.search import Search
from myoflow.speech.sentences import frames_of, text_of
from myoflow.speech.targets import heard_bands
from myoflow.speech.voicing import GRIFFIN_LIM, RUNNING, speaker
from myoflow.speech.words import chance, decoder_of, log_softmax
from myoflow.text.beam import Weights
from myoflow.text.spelling import greedy

if TYPE_CHECKING:
    from myoflow.speech.base import Spoken
    from myoflow.speech.utterances import Target, Utterances
    from myoflow.task import Model

Array = npt.NDArray[Any]


def transcribe(task: Spoken, model: Model, examples: Utterances) -> Transcripts:
    """All that the report and the metrics need, one row an utterance.

    The weights of the language model are chosen on `examples.tuned`, and the recogniser of synthesised voices learns
    from training voices alone; test sentences are seen by neither.
    """
    found = list(answered(model, examples))
    heads = heads_of(model.plan)
    rows = len(examples)
    nothing = np.full(rows, UNDECODED)
    told: dict[str, Any] = {}
    columns: dict[str, Any] = {
        name: nothing for name in ("greedy", "decoded", "unaided", "heard", "heard_plain", "floor")
    }
    decoder = None
    if "text" in heads:
        assert isinstance(task, Search), "only such a task has a head for text"
        tuned = answered(model, examples.tuned) if examples.tuned is not None else ()
        dev = [log_softmax(frames["text"]) for frames in tuned]
        decoder, told["decoding"] = decoder_of(task, examples, dev)
        logs = [log_softmax(frames["text"]) for frames in found]
        columns["greedy"] = [greedy(log.argmax(-1).tolist(), task.characters) for log in logs]
        pause = frames_of(task.pause, heads["text"].rate_hz)
        columns["decoded"] = [text_of(decoder, log, pause) for log in logs]
        alone = attrs.evolve(decoder, weights=Weights(0.0, 0.0))
        columns["unaided"] = [text_of(alone, log, pause) for log in logs]
        told["chance"] = chance(examples.known, [target.text for target in examples.targets])
    vocoder = RUNNING if task.vocoder == GRIFFIN_LIM and flows(model.plan) else task.vocoder
    sounds = [_sound(frames, target, examples, vocoder) for frames, target in zip(found, examples.targets, strict=True)]
    if "audio" in heads:
        from myoflow.speech.judge import judged

        told["vocoder"] = vocoder
        bands = [sound["audio"] for sound in sounds]
        columns |= judged(bands, examples, decoder, getattr(task, "listener_epochs", 0), told, vocoder)
    measured = {name: [sound[name] for sound in sounds] for name in sounds[0]} if sounds else {}
    return Transcripts(
        **columns,
        **measured,
        text=[target.text for target in examples.targets],
        mode=[target.mode for target in examples.targets],
        twin=[target.twin for target in examples.targets],
        told_of=[json.dumps(told, sort_keys=True)] * rows,
        knows=Known.of(decoder, examples, getattr(task, "pause", None), task.vocoder),
        **examples.places(),
    )


def _sound(frames: Mapping[str, Array], target: Target, examples: Utterances, vocoder: str) -> dict[str, Any]:
    """The predicted log-mel bands, how far they are from the true voice, how intelligible what `vocoder` makes of them
    is beside a true voice of the same time, and how many of its phonemes are right."""
    bands = heard_bands(frames["audio"], examples) if "audio" in frames else np.empty((0, 0), np.float32)
    found: dict[str, Any] = {"audio": bands, "mcd": 0.0, "frames": 0.0, "phones_right": 0.0, "phones": 0.0}
    found["estoi"] = np.nan
    if not len(target.mel):
        return found
    if len(bands):
        found["mcd"], found["frames"] = cepstral_distortion(bands, target.mel), float(len(target.mel))
    if len(bands) and len(target.voice):
        found["estoi"] = intelligibility(target.voice, speaker(vocoder)(bands), RATE_HZ)
    if "phonemes" in frames and len(target.phones):
        best = frames["phonemes"].argmax(-1)[_matches(frames, bands, target, examples)]
        known = target.phones[: len(best)] >= 0
        found["phones_right"] = float((best == target.phones[: len(best)])[known].sum())
        found["phones"] = float(known.sum())
    return found


def _matches(frames: Mapping[str, Array], bands: Array, target: Target, examples: Utterances) -> Array:
    """For each true frame the predicted one: by time for a voiced utterance, along the spectra's warping for others."""
    if not target.silent or not len(bands):
        return np.arange(min(len(frames["phonemes"]), len(target.phones)))
    from scipy.spatial.distance import cdist

    from myoflow.dsp.alignment import partners

    return np.asarray(partners(cdist(target.mel, bands) / examples.scale))
