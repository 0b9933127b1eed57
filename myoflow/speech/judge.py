"""Judge: what a recogniser, trained on the corpus' own true voices, hears in synthesised ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.mel import RATE_HZ
from myoflow.files import cache_folder
from myoflow.progress import Progress
from myoflow.speech.answers import UNDECODED
from myoflow.speech.voicing import GRIFFIN_LIM, speaker
from myoflow.text.beam import Decoder
from myoflow.text.ngram import build
from myoflow.text.tuning import tune

if TYPE_CHECKING:
    from myoflow.speech.hearing import Judge
    from myoflow.speech.utterances import Utterances

Array = npt.NDArray[Any]

LEAST = 20  # training voices, below which nobody can learn to listen


def judged(
    sounds: Sequence[Array],
    examples: Utterances,
    decoder: Decoder | None,
    epochs: int,
    told: dict[str, Any],
    vocoder: str = GRIFFIN_LIM,
) -> dict[str, list[str]]:
    """What is heard in each predicted spectrum, made audible by `vocoder`, and in the true voices, for Transcripts.

    The recogniser learns from the voices of training utterances; `decoder` (or one of their words) is what it
    searches words with, its weights chosen on true voices of the validation split. Too few voices: nothing is heard.
    """
    if len(examples.voices) < LEAST or not epochs:
        return {}
    judge = _judge(examples, epochs)
    search = _search(judge, examples, decoder)
    speak = speaker(vocoder)
    heard, plain, floor = [], [], []
    with Progress().phase("Listening to voices", len(sounds)) as advance:
        for bands, target in zip(sounds, examples.targets, strict=True):
            wave = speak(bands)
            heard.append(judge.heard(wave, RATE_HZ, search))
            plain.append(judge.heard(wave, RATE_HZ))
            floor.append(judge.text(target.mel, search) if len(target.mel) else UNDECODED)
            advance(1)
    told["recogniser"] = {"voices": len(examples.voices), "epochs": epochs, "vocoder": vocoder}
    return {"heard": heard, "heard_plain": plain, "floor": floor}


def _judge(examples: Utterances, epochs: int) -> Judge:
    """The recogniser of these voices, trained once and kept under `cache`."""
    from myoflow.speech.hearing import Hearing, Judge, train_judge

    settings = Hearing(epochs=epochs)
    digest = hashlib.sha256(repr(settings).encode())
    for text, mel in examples.voices:
        digest.update(text.encode() + np.ascontiguousarray(mel).tobytes())
    folder = cache_folder("judges") / digest.hexdigest()[:20]
    path = folder / "judge.safetensors"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        texts, bands = zip(*examples.voices, strict=True)
        judge = train_judge(bands, texts, folder, settings, Progress())
        judge.save(path)
    return Judge.load(path)


def _search(judge: Judge, examples: Utterances, decoder: Decoder | None) -> Decoder:
    """The text's own search, or one with the training words and their model; weights from true voices of dev."""
    if decoder is None:
        texts = [text.split() for text, _ in examples.voices]
        decoder = Decoder(lexicon=tuple(sorted({word for words in texts for word in words})), model=build(texts, 4))
    tuned = examples.tuned
    voices = [t for t in tuned.targets if len(t.mel)] if tuned is not None else []
    if not voices:
        return decoder
    return tune(decoder, [judge.chances(t.mel) for t in voices], [t.text for t in voices]).decoder
