"""Words and language models that do not fit what is said: told before training, and counted in the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from myoflow.errors import InputError, RecipeError
from myoflow.recipe import load
from myoflow.report.speech import _missing
from myoflow.speech.losses import spellable
from myoflow.speech.utterances import Target, Utterances
from myoflow.speech.words import check, decoder_of, left_over
from myoflow.tasks.recognise import Recognise
from myoflow.text import arpa
from myoflow.text.ngram import build

KNOWN = ("turn left", "turn right", "go on")


def said(*texts: str, dataset: str = "") -> Utterances:
    nothing = np.empty((0, 80), np.float32)
    targets = tuple(Target(text, np.zeros(1, int), nothing, np.empty(0, int), True, "silent") for text in texts)
    names = tuple(map(str, range(len(texts))))
    signals = tuple(np.zeros((1, 9), np.float32) for _ in texts)
    return Utterances(
        signals, 600.0, names, names, names, names, targets, np.zeros(80), 1.0, known=KNOWN, dataset=dataset
    )


def model(path: Path, *sentences: str) -> str:
    arpa.write(build([sentence.split() for sentence in sentences], 2), path)
    return str(path)


def test_a_model_in_capitals_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    task = Recognise(language=model(tmp_path / "lm.arpa", "TURN LEFT", "GO ON"))
    says = r"lm\.arpa knows no word of the training sentences: it has words such as GO, LEFT, ON, they have go, left"
    with pytest.raises(InputError, match=says):
        check(task, said(*KNOWN))
    with pytest.raises(InputError, match=says):
        decoder_of(task, said("turn left"), ())


def test_what_cannot_be_read_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text("\\data\\\nngram 1=1\n")
    with pytest.raises(InputError, match=r"lm\.arpa:2: the file ends where"):
        check(Recognise(language=str(tmp_path / "lm.arpa")), said(*KNOWN))
    (tmp_path / "words").write_text("\n")
    with pytest.raises(InputError, match="holds no words"):
        check(Recognise(lexicon=str(tmp_path / "words")), said(*KNOWN))
    with pytest.raises(InputError, match="grammar is for simulated corpora"):
        check(Recognise(language="grammar"), said(*KNOWN, dataset="emg_uka_trial"))
    check(Recognise(language="grammar"), said(*KNOWN, dataset="simulated_speech_smoke"))
    with pytest.raises(RecipeError, match=r"train\.language=grammer.*'grammer' is no file; did you mean 'grammar'\?"):
        load("silent_speech_uka", ("train.language=grammer",))


def test_words_of_the_test_that_cannot_come_out_are_counted(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("turn\nleft\n")
    task = Recognise(lexicon=str(tmp_path / "words"), language=model(tmp_path / "lm.arpa", "turn left", "go right"))
    _, told = decoder_of(task, said("turn left now", "halt"), ())
    assert told["unknown"] == {"lexicon": [2, 4], "model": [2, 4]}
    text = _missing({"lexicon": [1, 4], "model": [0, 4]})
    assert text == " 25.0 % of the test's words are not in its lexicon, so that they must be wrong."
    assert _missing({}) == ""


def test_sentences_that_are_all_held_out_leave_nothing_to_learn_words_from() -> None:
    """As with the same commands in every session: the search could know none of them."""
    same = said(*KNOWN, "halt")
    for task in (Recognise(), Recognise(order=0), Recognise(lexicon="corpus")):
        with pytest.raises(InputError, match=r"none is left .* write train\.lexicon: corpus and train\.order: 0"):
            left_over(task, same)
    left_over(Recognise(), said("halt"))
    left_over(Recognise(language="grammar"), same)
    task = Recognise(lexicon="corpus", order=0)
    left_over(task, same)
    assert decoder_of(task, same, ())[0].lexicon == ("go", "halt", "left", "on", "right", "turn")


def test_an_arpa_model_is_one_whatever_its_name(tmp_path: Path) -> None:
    """As sentences its lines would make a model of numbers."""
    path = model(tmp_path / "lm.txt", "turn left", "go right")
    decoder, _ = decoder_of(Recognise(language=path), said("turn left"), ())
    assert decoder.model is not None and set(decoder.model.words) == {"turn", "left", "go", "right"}


class Slow(torch.nn.Module):
    """One frame for each `step` samples."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"values": batch["emg"], "length": torch.div(batch["length"] + self.step - 1, self.step).floor()}


def test_frames_too_few_to_spell_a_text_are_told_before_training() -> None:
    """CTC counts such a text as nothing: it would never be learned, without a word. "aab" needs four frames."""
    some = said("aab", "ab")
    some = attrs.evolve(some, signals=tuple(np.zeros((1, 40), np.float32) for _ in range(2)))
    module = Slow(10).train()
    spellable(module, some)
    assert module.training
    says = r"30 frames a second, too few to spell 1 of 2 training texts \('aab' of 0 needs 4 and gets 2\)"
    with pytest.raises(InputError, match=says):
        spellable(Slow(20), some)
    spellable(Slow(20), attrs.evolve(some, targets=(some.targets[1],) * 2))
