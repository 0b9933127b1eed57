"""Transcripts: metrics by hand, their file, and what nobody asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myoflow.answers.base import aligned
from myoflow.errors import InputError
from myoflow.speech.answers import UNDECODED, Transcripts


def transcripts(**changes: object) -> Transcripts:
    fields: dict[str, object] = {
        "greedy": ["one two three", "for five", ""],
        "decoded": ["one two three", "four five", ""],
        "unaided": ["one two three", "for five", "sick"],
        "heard": [UNDECODED] * 3,
        "heard_plain": [UNDECODED] * 3,
        "floor": [UNDECODED] * 3,
        "audio": [np.ones((4, 2)), np.zeros((0, 0)), np.full((2, 2), 3.0)],
        "mcd": [2.0, 0.0, 5.0],
        "frames": [30.0, 0.0, 10.0],
        "estoi": [np.nan, 0.5, 0.75],
        "phones_right": [3.0, 0.0, 1.0],
        "phones": [4.0, 0.0, 4.0],
        "text": ["one two three", "four five", "six"],
        "mode": ["silent"] * 3,
        "twin": [""] * 3,
        "subject": ["1"] * 3,
        "session": ["a", "a", "b"],
        "repetition": [1] * 3,
        "recording": ["r0", "r1", "r2"],
        "start_s": [0.0] * 3,
        "told_of": ['{"decoding": {}}'] * 3,
    }
    return Transcripts(**(fields | changes))  # type: ignore[arg-type]


def test_metrics_by_hand():
    tally = transcripts().tally()
    value = {name: float(function(tally)[0]) for name, function in Transcripts.functions.items()}
    assert value["wer"] == pytest.approx(1 / 6)  # `six` was left out
    assert value["wer_no_lm"] == pytest.approx(2 / 6)
    assert value["wer_greedy"] == pytest.approx(2 / 6)
    assert value["cer"] == pytest.approx((1 + 3) / len("one two threefour fivesix"))
    assert value["mcd"] == pytest.approx((2 * 30 + 5 * 10) / 40)
    assert value["phoneme_accuracy"] == 0.5
    assert value["wer_control"] > 0.8
    assert value["estoi"] == pytest.approx((0.5 + 0.75) / 2)  # the first was silent: its sound keeps no time


def test_what_nobody_heard_is_not_measured():
    """No voice was listened to here: an error rate of 0 % would be a lie."""
    every = ["wer", "wer_audio", "wer_audio_floor", "mcd", "phoneme_accuracy"]
    assert transcripts().measured(every) == ["wer", "mcd", "phoneme_accuracy"]
    assert transcripts(heard=["one", UNDECODED, ""], phones=[0.0] * 3).measured(every) == ["wer", "wer_audio", "mcd"]


def test_the_control_never_compares_with_the_same_sentence():
    """Two sentences in two sessions, all right: halfway round stands the same sentence again."""
    texts = ["one two", "three four five"] * 2
    control = Transcripts.functions["wer_control"]
    more = {name: [value] * 4 for name, value in (("mode", "silent"), ("recording", "r"), ("told_of", "{}"))}
    more |= {name: [""] * 4 for name in ("twin", "subject", "session")} | {"audio": [np.zeros((0, 0))] * 4}
    more |= {name: [UNDECODED] * 4 for name in ("unaided", "heard", "heard_plain", "floor")}
    more |= {name: [0.0] * 4 for name in ("mcd", "frames", "estoi", "phones_right", "phones", "repetition", "start_s")}
    answers = transcripts(**more, text=texts, greedy=texts, decoded=texts)
    assert float(control(answers.tally())[0]) == pytest.approx((3 + 3) / (3 + 2))
    same = transcripts(text=["six"] * 3, decoded=["six"] * 3, greedy=["six"] * 3)
    assert same.measured(["wer", "wer_control"]) == ["wer"]  # there is no other sentence


def test_tallies_of_units_add_up():
    answers = transcripts()
    units = answers.tally(np.array([0, 0, 1]))
    assert units.shape == (2, 11, 4)
    np.testing.assert_allclose(units.sum(0), answers.tally()[0])


def test_a_file_keeps_everything_and_is_refused_when_it_is_another(tmp_path: Path):
    answers = transcripts()
    answers.save(tmp_path / "a.npz")
    found = Transcripts.load(tmp_path / "a.npz")
    assert found.text.tolist() == answers.text.tolist() and found.told_of.tolist() == answers.told_of.tolist()
    assert [len(sound) for sound in found.audio] == [4, 0, 2] and (found.audio[2] == 3).all()
    assert found.heard[0] == UNDECODED
    assert len(found.take([2, 0])) == 2 and found.take([2, 0]).text.tolist() == ["six", "one two three"]
    (tmp_path / "b.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="not a file of predictions"):
        Transcripts.load(tmp_path / "b.npz")
    with pytest.raises(InputError, match="no such file"):
        Transcripts.load(tmp_path / "c.npz")


def test_goodness_orders_by_words():
    assert transcripts().goodness().tolist() == [1.0, 1.0, 0.0]
    silent = [UNDECODED] * 3
    assert transcripts(greedy=silent, decoded=silent).goodness().tolist() == [-2.0, 0.0, -5.0]


def test_models_whose_searches_differ_are_compared_and_earlier_files_are_read(tmp_path: Path):
    one, other = transcripts(), transcripts(told_of=['{"decoding": {"order": 3}}'] * 3)
    assert [len(part) for part in aligned([one, other])] == [3, 3]
    one.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        fields = {name: file[name] for name in file.files if name not in ("unaided", "estoi")}
    np.savez(tmp_path / "b.npz", **{**fields, "told_of": np.asarray('{"decoding": {}}')})
    found = Transcripts.load(tmp_path / "b.npz")
    assert (
        set(found.unaided) == {UNDECODED}
        and np.isnan(found.estoi).all()
        and found.told_of.tolist() == one.told_of.tolist()
    )
    assert float(Transcripts.functions["wer"](found.tally())[0]) == pytest.approx(1 / 6)
