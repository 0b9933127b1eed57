"""Spelling and error rates against jiwer and by hand."""

import jiwer
import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.text import measures
from myoflow.text.spelling import greedy, letters, normalise, spelled


def test_alignment_names_each_error():
    assert measures.aligned("set an alarm now", "set the alarm right now") == [
        ("equal", "set", "set"),
        ("substitute", "an", "the"),
        ("equal", "alarm", "alarm"),
        ("insert", "", "right"),
        ("equal", "now", "now"),
    ]
    assert measures.aligned("a b", "") == [("delete", "a", ""), ("delete", "b", "")]
    assert measures.errors("", "a") == measures.Errors(0, insertions=1)


def test_rates_are_jiwers():
    rng = np.random.default_rng(0)
    words = ["a", "b", "c", "d", "e"]
    truth = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(60)]
    texts = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(60)]
    assert measures.word_error_rate(truth, texts).value == pytest.approx(jiwer.wer(truth, texts))
    assert measures.character_error_rate(truth, texts).value == pytest.approx(jiwer.cer(truth, texts))


def test_the_interval_holds_the_value_and_narrows_with_more_utterances():
    truth, texts = ["a b c d"] * 8 + ["a b"] * 8, ["a b c d"] * 5 + ["x b c d"] * 3 + ["a x"] * 8
    few = measures.word_error_rate(truth, texts)
    many = measures.word_error_rate(truth * 20, texts * 20)
    assert few.value == many.value == pytest.approx(11 / 48)
    assert few.low < many.low < many.value < many.high < few.high
    assert measures.word_error_rate(truth, texts) == few
    perfect = measures.word_error_rate(truth, truth)
    assert (perfect.value, perfect.low, perfect.high) == (0, 0, 0)


def test_a_rate_needs_words_of_truth_and_counts_what_was_said_where_there_are_none():
    assert measures.word_error_rate(["one two", ""], ["one two", "three"]).value == 0.5
    assert measures.word_error_rate(["one two", "six"], ["", ""]).value == 1
    with pytest.raises(InputError, match="at least one word"):
        measures.rate([])


@pytest.mark.parametrize(
    ("text", "options", "want"),
    [
        ("World—foo-bar", {}, "world foo bar"),
        ("World—foo-bar", {"dashes": "glue"}, "worldfoobar"),
        ("03:09 AM", {}, "03 09 am"),
        ("It's  café, “Élan”!", {}, "its cafe elan"),
        ("1,250 men at 7", {"digits": "spell"}, "one thousand two hundred fifty men at seven"),
        ("It cost £1,250, or 5%.", {}, "it cost 1250 pounds or 5 percent"),
        ("Smith & Œdipus", {}, "smith and oedipus"),
        ("", {}, ""),
    ],
)
def test_normalised_text(text, options, want):
    assert normalise(text, **options) == want


def test_numbers_in_words():
    assert [spelled(n) for n in (0, 13, 14, 18, 40, 99, 700_015)] == [
        "zero", "thirteen", "fourteen", "eighteen", "forty", "ninety nine", "seven hundred thousand fifteen",
    ]  # fmt: skip
    with pytest.raises(InputError, match="cannot write -1"):
        spelled(-1)


def test_letters_and_back():
    assert letters("ab 9", "utterance 3") == [0, 1, 36, 35]
    with pytest.raises(InputError, match=r"utterance 3: cannot spell 'ü' \(character 2 of 'aü'\)"):
        letters("aü", "utterance 3")
    assert greedy([37, 0, 0, 37, 0, 1, 36, 36, 37, 2], "abcdefghijklmnopqrstuvwxyz0123456789 ") == "aab c"
