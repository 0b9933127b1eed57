"""The judge: heard alike in any company, learns letters, comes back from disk, goes on after a kill."""

import json

import numpy as np
import pytest
import torch

from myoflow.errors import InputError
from myoflow.nn.listener import Listener
from myoflow.speech.hearing import Hearing, Judge, disturbed, train_judge
from myoflow.text.beam import Decoder

TONES = {"a": 5, "b": 30, "c": 60}


def said(text, seed=0):
    """Bands in which each letter is a tone of its own for eight frames, with pauses between."""
    rng = np.random.default_rng(seed)
    rows = []
    for letter in text:
        row = np.full((rng.integers(7, 10), 80), -6.0)
        row[:, TONES[letter] : TONES[letter] + 10] = 0.0
        rows += [row, np.full((rng.integers(3, 6), 80), -6.0)]
    bands = np.concatenate(rows)
    return (bands + 0.2 * rng.standard_normal(bands.shape)).astype(np.float32)


def corpus(count, seed):
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list(TONES), rng.integers(2, 5))) for _ in range(count)]
    return [said(text, k + 1000 * seed) for k, text in enumerate(texts)], texts


def test_an_utterance_is_heard_alike_in_any_company():
    torch.manual_seed(0)
    network = Listener(80, 4, width=16, layers=2).eval()
    network.mean += 0.5
    bands = [said(t) for t in ("abca", "ab", "c")]
    values = np.zeros((3, 70, 80), np.float32)
    for row, some in zip(values, bands, strict=True):
        row[: len(some)] = some
    length = torch.tensor([len(b) for b in bands])
    together = network({"values": torch.from_numpy(values), "length": length})
    for number, some in enumerate(bands):
        alone = network(torch.from_numpy(some[None]))[0]
        assert len(alone) == together["length"][number]
        torch.testing.assert_close(together["logits"][number, : len(alone)], alone, atol=1e-5, rtol=1e-5)


def test_a_judge_learns_letters_and_comes_back_from_disk(tmp_path):
    bands, texts = corpus(48, 1)
    settings = Hearing(epochs=14, batch=8, width=32, layers=1, characters="abc ", blur=0.2)
    judge = train_judge(bands, texts, tmp_path, settings)
    curve = [json.loads(line)["loss"] for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert curve[-1] < 0.5 * curve[0]
    fresh, truth = corpus(12, 2)
    decoder = Decoder("abc ", tuple(set(truth)))
    right = sum(judge.text(b, decoder) == t for b, t in zip(fresh, truth, strict=True))
    assert right >= 10
    judge.save(tmp_path / "judge.safetensors")
    again = Judge.load(tmp_path / "judge.safetensors")
    np.testing.assert_array_equal(again.chances(fresh[0]), judge.chances(fresh[0]))
    assert again.text(fresh[0]) == judge.text(fresh[0])


def test_disturbed_bands_depend_on_the_draw_alone():
    bands = said("abc")
    one, same, other = (disturbed(bands, np.random.default_rng(s), 0.5) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other)
    assert one.dtype == np.float32 and one.shape[1] == 80 and not np.array_equal(bands, said("abc", 3))


def test_what_a_judge_cannot_learn_from_is_named(tmp_path):
    with pytest.raises(InputError, match="got 0 sounds"):
        train_judge([], [], tmp_path)
    with pytest.raises(InputError, match=r"utterance 1: cannot spell 'ß'"):
        train_judge([said("a")], ["ß"], tmp_path)
    (tmp_path / "x").write_text("no")
    with pytest.raises(InputError, match="not a judge that was saved here"):
        Judge.load(tmp_path / "x")
