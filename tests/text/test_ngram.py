"""Kneser-Ney models: sums, a hand calculation, back-off, ARPA files there and back and broken."""

import itertools
import math
import random
from pathlib import Path

import pytest

from myoflow.errors import InputError
from myoflow.text import arpa
from myoflow.text.ngram import BEGIN, END, UNKNOWN, NGram, build


def corpus(seed: int = 0, sentences: int = 300) -> list[list[str]]:
    """Sentences of letters, some rarer than others."""
    rng = random.Random(seed)
    letters = "abcdefghij"
    return [[rng.choice(letters[: rng.randint(2, 10)]) for _ in range(rng.randint(1, 8))] for _ in range(sentences)]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_context_leaves_a_chance_of_one(order: int) -> None:
    model = build(corpus(), order)
    outcomes = [*model.words, END, UNKNOWN]
    for length in range(4):
        for words in itertools.product([*model.words[:4], "unheard"], repeat=length):
            context = model.start()
            for word in words:
                _, context = model.score(context, word)
            assert sum(10 ** model.score(context, word)[0] for word in outcomes) == pytest.approx(1, abs=1e-9)


def test_a_corpus_small_enough_to_do_by_hand() -> None:
    """Bigrams of "a b" and "a": the discounts fall back to 0.5, 1, 1.5.

    Counts: <s> a twice, a b, b </s>, a </s> once. Unigrams count what they follow: a 1 (<s>), b 1 (a), </s> 2 (b, a);
    four in all, uniform 1 in 4 (a, b, </s>, <unk>).
    """
    model = build([["a", "b"], ["a"]], 2)
    left = (0.5 + 0.5 + 1.0) / 4
    a, end = 0.5 / 4 + left / 4, (2 - 1) / 4 + left / 4
    assert 10 ** model.score((), "a")[0] == pytest.approx(a)
    assert 10 ** model.score((), UNKNOWN)[0] == pytest.approx(left / 4)
    assert 10 ** model.score((BEGIN,), "a")[0] == pytest.approx((2 - 1) / 2 + 1 / 2 * a)
    assert 10 ** model.score(("a",), END)[0] == pytest.approx(0.5 / 2 + 0.5 * end)
    assert 10 ** model.score(("a",), "a")[0] == pytest.approx(0.5 * a)  # never seen: backs off


# What KenLM's lmplz (-o 3 --discount_fallback) makes of these sentences: n-gram, log10 p, log10 back-off; its own test
# data, lm/common/test_data/toy0.arpa and toy1.arpa of github.com/kpu/kenlm.
LMPLZ = {
    "a a b a, b a a b": """
        <unk> -0.90309 0, a -0.46943438 -0.30103, </s> -0.5720968 0, b -0.5720968 -0.30103,
        <s>_a -0.37712017 -0.30103, a_a -0.37712017 -0.30103, b_a -0.2984526 -0.30103, a_</s> -0.58682007 0,
        b_</s> -0.5220179 0, <s>_b -0.41574955 -0.30103, a_b -0.58682007 -0.30103,
        <s>_a_a -0.14885087 0, b_a_a -0.33741078 0, <s>_b_a -0.124077894 0, a_b_a -0.2997394 0, b_a_</s> -0.42082912 0,
        a_b_</s> -0.397617 0, a_a_b -0.20102891 0""",
    "a a b b b b b b b, c": """
        <unk> -1 0, a -0.6146491 -0.30103, </s> -0.6146491 0, c -0.7659168 -0.30103, b -0.6146491 -0.30103,
        <s>_a -0.4301247 -0.30103, a_a -0.4301247 -0.30103, c_</s> -0.20660876 0, b_</s> -0.5404639 0,
        <s>_c -0.4740302 -0.30103, a_b -0.4301247 -0.30103, b_b -0.3422159 -0.47712123,
        <s>_a_a -0.1638568 0, <s>_c_</s> -0.09113217 0, b_b_</s> -0.7462621 0, a_a_b -0.1638568 0, a_b_b -0.13823806 0,
        b_b_b -0.13375957 0""",
}


@pytest.mark.parametrize("text", list(LMPLZ))
def test_the_numbers_are_those_of_lmplz(text: str) -> None:
    model = build([sentence.split() for sentence in text.split(", ")], 3)
    wanted = {tuple(gram.split("_")): (p, b) for gram, p, b in (row.split() for row in LMPLZ[text].split(","))}
    grams = {gram for table in model.probability for gram in table} - {(BEGIN,)}
    assert grams == set(wanted)
    for gram, (probability, backoff) in wanted.items():
        assert model.probability[len(gram) - 1][gram] == pytest.approx(float(probability), abs=2e-7)
        assert model.backoff[len(gram) - 1].get(gram, 0.0) == pytest.approx(float(backoff), abs=2e-7)


def test_what_was_read_more_often_is_likelier() -> None:
    model = build([["turn", "left"]] * 9 + [["turn", "right"]], 3)
    assert model.sentence(["turn", "left"]) > model.sentence(["turn", "right"]) > model.sentence(["left", "turn"])
    assert model.perplexity([["turn", "left"]]) < model.perplexity([["right", "left"]])


def test_order_of_sentences_does_not_matter() -> None:
    one, other = corpus(), corpus()
    random.Random(1).shuffle(other)
    assert build(one, 3).probability == build(other, 3).probability


def test_arpa_there_and_back(tmp_path: Path) -> None:
    model = build(corpus(3), 4)
    arpa.write(model, tmp_path / "lm.arpa")
    again = arpa.read(tmp_path / "lm.arpa")
    assert [len(t) for t in again.probability] == [len(t) for t in model.probability]
    for sentence in corpus(4, 40):
        assert again.sentence(sentence) == pytest.approx(model.sentence(sentence), abs=1e-5)


GOOD = (
    "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\n0\t<s>\t-0.5\n-0.3\ta\n\n"
    "\\2-grams:\n-0.2\t<s> a\n\n\\end\\\n"
)


def test_a_model_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(GOOD)
    model = arpa.read(path)
    assert model.score(model.start(), "a") == (-0.2, ())
    assert model.score(model.start(), "b")[0] == pytest.approx(-1.5)  # backs off to <unk>


def test_files_of_other_toolkits_mean_the_same(tmp_path: Path) -> None:
    """A model as we write it, and as others would: comments, `<UNK>`, no back-off weight of 0, `-inf`."""
    plain = (
        "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-1\t<unk>\t-0.3\n-99\t<s>\t-0.5\n-0.6\ta\t-0.4\n"
        "-0.7\tb\t0\n-99\t</s>\n\n\\2-grams:\n-0.2\t<s> a\t0\n-0.1\ta b\t0\n-0.4\t<unk> a\t0\n\n"
        "\\3-grams:\n-0.05\t<s> a b\n\n\\end\\\n"
    )
    (tmp_path / "plain.arpa").write_text(plain)
    other = plain.replace("\t0\n", "\n").replace("<unk>", "<UNK>").replace("-99\t</s>", "-inf\t</s>")
    (tmp_path / "other.lm").write_text("# SRILM\n\n" + other.replace("\n", "\r\n"))
    one, two = (arpa.read(tmp_path / name) for name in ("plain.arpa", "other.lm"))
    for words, wanted in {
        ("a", "b"): -0.2 - 0.05 - 99,
        ("b", "a"): -0.5 - 0.7 - 0.6 - 0.4 - 99,
        ("zebra", "a", "b"): -0.5 - 1 - 0.4 - 0.1 - 99,
    }.items():
        assert one.sentence(words) == pytest.approx(wanted) == two.sentence(words)
    assert arpa.is_arpa(tmp_path / "other.lm") and not arpa.is_arpa(Path(__file__))


def test_blanks_that_do_not_part_words_stay_in_them(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(GOOD.replace("\ta\n", "\t10\u00a0000\n"), encoding="utf-8")
    assert arpa.read(tmp_path / "lm.arpa").words == ("10\u00a0000",)


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("\\data\\", "data"), 1, "not an ARPA file"),
        (("-0.3\ta", "nan\ta"), 8, "does not begin and end with numbers"),
        (("ngram 1=3", "ngram 1=4"), 5, "3 1-grams, but the head announces 4"),
        (("ngram 1=3\n", ""), 2, "expected 'ngram 1='"),
        (("-0.3\ta", "-0.3x\ta"), 8, "does not begin and end with numbers"),
        (("-0.3\ta", "-0.3\ta b c"), 8, "expected a number, 1 words"),
        (("-0.3\ta", "0.3\ta"), 8, "above 0"),
        (("-0.3\ta", "-0.3\t<s>"), 8, "stands twice"),
        (("\\2-grams:", "\\3-grams:"), 10, "expected \\2-grams:"),
        (("\n\\end\\\n", ""), 11, "cut short"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, message: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(GOOD.replace(*change, 1))
    with pytest.raises(InputError) as error:
        arpa.read(path)
    assert message in str(error.value) and f"lm.arpa:{line}:" in str(error.value)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.arpa: No such file"):
        arpa.read(tmp_path / "none.arpa")
    (tmp_path / "binary").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\xff\xfe")
    with pytest.raises(InputError, match="no UTF-8"):
        arpa.read(tmp_path / "binary")


@pytest.mark.parametrize(
    ("sentences", "message"),
    [([], "no words"), ([[]], "no words"), ([["a", "<s>"]], "sentence 1 has the word '<s>'"), ([["a b"]], "'a b'")],
)
def test_what_no_model_can_be_built_from(sentences: list[list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(sentences, 2)


def test_a_model_without_unknown_words_gives_them_no_chance() -> None:
    model = NGram(({("a",): math.log10(0.5), (END,): math.log10(0.5)},), ({},))
    assert model.score((), "b")[0] == -99
