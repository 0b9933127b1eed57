"""Utterances as examples: every one once, in packs of like length, the same by the same seed."""

from __future__ import annotations

import numpy as np

from myoflow.speech.utterances import Target, Utterances, joined_by_sentence


def table(lengths: list[int], rate: float = 100.0) -> Utterances:
    rng = np.random.default_rng(0)
    targets = []
    for i, length in enumerate(lengths):
        mel = rng.standard_normal((length // 4, 3)).astype(np.float32)
        targets.append(Target(f"t{i}", np.arange(i % 4), mel, np.zeros(len(mel), np.int64), i % 2 == 1, "silent"))
    return Utterances(
        signals=tuple(rng.standard_normal((2, length)).astype(np.float32) for length in lengths),
        rate_hz=rate,
        ids=tuple(f"r{i}" for i in range(len(lengths))),
        subjects=("1",) * len(lengths),
        sessions=tuple(str(i % 3) for i in range(len(lengths))),
        subsets=("train",) * len(lengths),
        targets=tuple(targets),
        mean=np.ones(3),
        scale=2.0,
    )


LENGTHS = np.random.default_rng(1).integers(60, 900, 57).tolist()


def test_an_epoch_gives_every_utterance_once_in_as_many_batches_as_promised():
    examples = table(LENGTHS)
    for size in (5, 20, 1000):
        for batches in (list(examples.batches(size)), list(examples.shuffled(size, np.random.default_rng(3)))):
            assert len(batches) == examples.steps(size)
            assert sorted(int(n) for x, _ in batches for n in x["length"]) == sorted(LENGTHS)


def test_batches_hold_about_as_much_signal_and_little_padding():
    examples = table(LENGTHS)
    batches = list(examples.shuffled(20, np.random.default_rng(0)))
    seconds = [x["length"].sum() / 100 for x, _ in batches]
    assert max(seconds) < 2 * 20
    padded = sum(x["emg"].shape[0] * x["emg"].shape[2] for x, _ in batches)
    assert padded < 1.35 * sum(LENGTHS)
    for x, y in batches:
        for row, length in enumerate(x["length"]):
            assert not x["emg"][row, :, length:].any()
        assert len(y["mel"]) == len(x["emg"])


def test_the_same_seed_gives_the_same_epoch_and_another_one_another():
    examples = table(LENGTHS)
    epochs = [[x["length"].tolist() for x, _ in examples.shuffled(20, np.random.default_rng(s))] for s in (7, 7, 8)]
    assert epochs[0] == epochs[1] != epochs[2]


def test_pieces_to_calibrate_on_are_of_one_length_from_both_ends():
    examples = table([50, 80, 90, 100])
    pieces = examples.pieces(np.arange(4))
    assert pieces.shape == (4, 2, 50) or pieces.shape == (3, 2, 80)
    size = pieces.shape[2]
    kept = [signal for signal in examples.signals if signal.shape[1] >= size]
    for place, (signal, piece) in enumerate(zip(kept, pieces, strict=True)):
        assert np.array_equal(piece, signal[:, :size] if place % 2 == 0 else signal[:, -size:])


def test_targets_are_normalised_and_padded():
    examples = table([40, 80])
    (x, y), = examples.batches(100)  # fmt: skip
    assert x["length"].tolist() == [40, 80] and y["mel_length"].tolist() == [10, 20]
    np.testing.assert_allclose(y["mel"][0, :10], (examples.targets[0].mel - 1) / 2, rtol=1e-5)
    assert not y["mel"][0, 10:].any() and (y["phones"][0, 10:] == -1).all()
    assert y["text_length"].tolist() == [0, 1] and y["silent"].tolist() == [0, 1]


def test_select_and_units():
    examples = table([50, 60, 70, 80])
    some = examples.select(np.array([True, False, True, False]))
    assert some.ids == ("r0", "r2") and some.units("session").tolist() == ["0", "2"]
    assert some.places()["recording"].tolist() == ["r0", "r2"]
    assert len(examples.select(np.array([], int))) == 0 and list(examples.select(np.array([], int)).batches(5)) == []


def test_silent_recordings_take_the_first_twin_that_is_there():
    found = [
        ("a", {"mode": "silent", "twins": ["x", "b", "c"]}),
        ("b", {"mode": "voiced", "twins": ["a"]}),
        ("c", {"mode": "voiced", "twins": ["a"]}),
        ("d", {"mode": "silent", "twins": []}),
    ]
    assert joined_by_sentence(found) == {"a": "b"}
