"""Beam search against every path of small cases, with lexicon and language model, in pieces, and against flashlight."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from myoflow.errors import InputError, MyoflowError
from myoflow.text import arpa
from myoflow.text.beam import LN10, Decoder, Weights
from myoflow.text.ngram import END, build
from myoflow.text.tuning import tune

LETTERS = "ab "
WORDS = ("a", "ab", "ba", "bb")
MODEL = build([["a", "ab"], ["ab", "ba"], ["a"], ["bb", "a"], ["ab", "a", "ab"]], 2)


def frames(seed, count, symbols=4, sharp=1.0):
    x = sharp * np.random.default_rng(seed).standard_normal((count, symbols))
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def heard(text, seed, noise, loud=4.0):
    """What a network says of a text that it hears fairly well."""
    path = [k for c in text for k in (LETTERS.index(c), 3)]
    x = noise * np.random.default_rng(seed).standard_normal((len(path), 4))
    x[np.arange(len(path)), path] += loud
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def exhaustive(table, lexicon, model, weights):
    """Scores of all texts, by going through all paths."""
    chance = {}
    for path in itertools.product(range(table.shape[1]), repeat=len(table)):
        kept = [k for i, k in enumerate(path) if k != len(LETTERS) and (i == 0 or path[i - 1] != k)]
        text = "".join(LETTERS[k] for k in kept)
        if text.startswith(" ") or "  " in text:
            continue
        words = text.split()
        if lexicon is not None and any(word not in lexicon for word in words):
            continue
        total = math.exp(sum(table[i, k] for i, k in enumerate(path)))
        chance[" ".join(words)] = chance.get(" ".join(words), 0.0) + total
    scores = {}
    for text, total in chance.items():
        score, context = math.log(total), model.start() if model else ()
        for word in text.split():
            score += weights.bonus
            if model:
                value, context = model.score(context, word)
                score += weights.model * LN10 * value
        if model:
            score += weights.model * LN10 * model.score(context, END)[0]
        scores[text] = score
    return scores


@pytest.mark.parametrize("lexicon", [None, WORDS])
@pytest.mark.parametrize("model", [None, MODEL])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_wide_beam_finds_what_all_paths_say(lexicon, model, count):
    for seed in range(4):
        table = frames(seed, count, sharp=2.0)
        weights = Weights(0.7, 0.4)
        want = exhaustive(table, lexicon, model, weights)
        found = Decoder(LETTERS, lexicon, model, weights, width=10_000, least=0.0).decode(table, best=10_000)
        assert {h.text for h in found} == set(want)
        for hypothesis in found:
            assert hypothesis.score == pytest.approx(want[hypothesis.text], abs=1e-9)
        assert found[0].score == pytest.approx(max(want.values()))


def test_a_narrow_beam_is_no_better_than_a_wide_one_and_close_to_it():
    table = frames(1, 60, sharp=3.0)
    wide, narrow = (Decoder(LETTERS, WORDS, MODEL, width=w, least=0.0).decode(table)[0] for w in (2000, 64))
    assert wide.score - 1.0 < narrow.score <= wide.score + 1e-9


def test_only_words_of_the_lexicon_come_out():
    for seed in range(20):
        text = Decoder(LETTERS, WORDS).text(frames(seed, 30))
        assert text and set(text.split()) <= set(WORDS)


def test_a_text_that_breaks_off_within_a_word_keeps_those_before():
    table = heard("ab ba b", 0, 0.1, 9.0)
    assert Decoder(LETTERS, ("ab", "ba"), MODEL, width=1, least=1e-2).text(table) == "ab ba"


def test_the_language_model_decides_between_what_sounds_alike():
    table = np.log(np.array([[0.9, 0.05, 0.02, 0.03], [0.4, 0.4, 0.01, 0.19], [0.01, 0.01, 0.02, 0.96]]))
    often_a, often_ab = (build([[w]] * 9 + [["bb"]], 2) for w in ("a", "ab"))
    assert Decoder(LETTERS, WORDS, often_a, Weights(1.0, 0.0)).text(table) == "a"
    assert Decoder(LETTERS, WORDS, often_ab, Weights(1.0, 0.0)).text(table) == "ab"


def test_a_bonus_makes_more_words():
    few, many = (
        sum(len(Decoder(LETTERS, WORDS, None, Weights(0, b)).text(frames(s, 40)).split()) for s in range(10))
        for b in (-3.0, 3.0)
    )
    assert many > few


def test_frames_may_come_in_pieces_and_what_is_stable_stays():
    table = frames(5, 40, sharp=3.0)
    decoder = Decoder(LETTERS, WORDS, MODEL)
    search, last = decoder.search(), ""
    for row in table:
        search.feed(row[None])
        assert isinstance(search.best(), str)
        last = search.stable()
    assert search.finish()[0] == decoder.decode(table)[0]
    assert any(h.text.startswith(last.strip()) for h in search.finish(50))


def test_nothing_heard_is_an_empty_text_and_wrong_input_is_named():
    silence = np.full((10, 4), -30.0)
    silence[:, 3] = 0.0
    assert Decoder(LETTERS, WORDS).text(silence) == ""
    assert Decoder(LETTERS, WORDS).text(np.zeros((0, 4))) == ""
    with pytest.raises(MyoflowError, match=r"\(frame, 4\), got shape \(3, 5\)"):
        Decoder(LETTERS).text(np.zeros((3, 5)))
    with pytest.raises(MyoflowError, match="nan"):
        Decoder(LETTERS).text(np.full((3, 4), np.nan))
    with pytest.raises(InputError, match="the lexicon's 'cab' has 'c'"):
        Decoder(LETTERS, ("cab",))
    with pytest.raises(InputError, match="at least 1 wide"):
        Decoder(LETTERS, width=0)
    with pytest.raises(InputError, match="empty"):
        Decoder(LETTERS, ())


def test_weights_are_tuned_on_dev_and_never_worse_there():
    texts = ["a ab", "ab ba", "a", "ab a ab"]
    spoken = [heard(text, number, 0.9, 1.5) for number, text in enumerate(texts)]
    tuned = tune(Decoder(LETTERS, WORDS, MODEL), spoken, texts)
    tried = dict(tuned.tried)
    assert tried[tuned.decoder.weights] == min(tried.values())
    assert Weights(0.0, 0.0) in tried and tuned.decoder.lexicon == WORDS
    with pytest.raises(InputError, match="needs dev utterances"):
        tune(Decoder(LETTERS), [], [])


def test_flashlight_finds_the_same_words(tmp_path: Path) -> None:
    pytest.importorskip("flashlight.lib.text.decoder")
    from myoflow.text.flashlight import Flashlight

    arpa.write(MODEL, tmp_path / "lm.arpa")
    for seed in range(10):
        table = heard(" ".join(np.random.default_rng(seed).choice(WORDS, 4)), seed, 1.0)
        ours = Decoder(LETTERS, WORDS, MODEL, Weights(0.5, 0.3), width=200, least=0.0)
        found, best = Flashlight(ours, tmp_path / "lm.arpa").decode(table)[0], ours.decode(table)[0]
        assert found.text == best.text
        # it adds up alignments only as far as they meet in its beam
        assert found.score == pytest.approx(best.score, abs=0.2)
    with pytest.raises(InputError, match="closed lexicon"):
        Flashlight(Decoder(LETTERS))
