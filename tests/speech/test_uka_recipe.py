"""The recipe of EMG-UKA on a corpus of its layout: modes and sessions chosen, a baseline, going on from a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from make_emg_uka import make_emg_uka

from myoflow import weights
from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError, RecipeError
from myoflow.recipe import load
from myoflow.run import Run, run_recipe
from myoflow.speech.words import chance

SMALL = (
    "pipeline.conv_stem.widths=[8, 8, 8]",
    "pipeline.tinymyo.layers=1",
    "pipeline.tinymyo.width=8",
    "pipeline.tinymyo.heads=2",
    "train.epochs=1",
    "train.precision=float32",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("uka")
    make_emg_uka(found / "raw")
    convert(load_card("emg_uka_trial"), found / "raw", found / "s.zarr")
    return found


def _run(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Run:
    monkeypatch.setenv("MYOFLOW_CACHE", str(folder / "cache"))
    return run_recipe(load("silent_speech_uka", (f"data.store={folder / 's.zarr'}", *SMALL, *more)), out=out)


def test_all_sessions_then_one_from_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _run(folder, tmp_path / "all", monkeypatch)
    assert first.metrics["windows"] == 4 and set(first.metrics["models"]) == {"tinymyo", "td10"}
    page = (first.folder / "report.html").read_text()
    for mode in ("audible", "whispered", "silent"):
        assert f"mode: {mode}" in page
    assert "those of held-out sentences among them" in page and "Without any signal: 100 %" in page

    more = ("baselines.td10=null", f"train.start={first.folder}", "train.lr=1e-9", "train.min_lr=0")
    one = _run(folder, tmp_path / "one", monkeypatch, *more, "data.only.subject=[002]", "data.only.mode=[silent]")
    assert one.metrics["windows"] == 1
    assert json.loads((one.folder / "metrics.json").read_text())["split"][0]["test"] == ["test"]
    before, after = (weights.load(run.weights_file())[0].weights for run in (first, one))
    for name, value in before.items():  # a rate of 1e-9 moves nothing but the norms' running statistics
        if "running" not in name and "batches" not in name:
            np.testing.assert_allclose(after[name], value, atol=1e-6)
    page = (one.folder / "report.html").read_text()
    assert "only recordings of mode silent" in page and f"goes on from {first.folder}" in page

    with pytest.raises(InputError, match=r"train\.start: .* has no 'tinymyo\.blocks\.1\."):
        _run(folder, tmp_path / "x", monkeypatch, *more, "pipeline.tinymyo.layers=2")
    with pytest.raises(InputError, match=r"train\.start: 'ctc\.|train\.start: '.*of .* has the shape \("):
        _run(folder, tmp_path / "y", monkeypatch, *more, "pipeline.tinymyo.width=16")
    with pytest.raises(InputError, match="there are no weights at nowhere"):
        _run(folder, tmp_path / "z", monkeypatch, "baselines.td10=null", "train.start=nowhere")


def test_chance_is_what_a_deaf_guesser_gets_wrong() -> None:
    known = ["the cat", "the dog sat", "a cat"]  # "cat" and "the" twice each; the first in the alphabet counts
    assert chance(known, ["the cat", "my dog"]) == {"empty": 1.0, "word": "cat", "unigram": 0.75}
    assert chance([], ["a"]) == {"empty": 1.0}


def test_tuning_without_a_validation_split_takes_few_training_utterances() -> None:
    from myoflow.speech.base import _spread
    from myoflow.speech.utterances import Target, Utterances

    def rows(*texts: str) -> Utterances:
        nothing = np.empty((0, 80), np.float32)
        targets = tuple(Target(text, np.zeros(1, int), nothing, nothing, False, "audible") for text in texts)
        names = tuple(str(i) for i in range(len(texts)))
        signals = tuple(np.zeros((1, 9), np.float32) for _ in texts)
        return Utterances(signals, 600.0, names, names, names, names, targets, np.zeros(80), 1.0)

    assert _spread(rows(*map(str, range(500))), 20).ids == tuple(str(i) for i in range(12, 500, 25))
    assert _spread(rows(*"abcdefghijkl"), 40).ids == ("2", "7")
    assert len(_spread(rows(*"abcaa"), 40)) == 1 and len(_spread(rows("a", "b"), 40)) == 0
    assert len(_spread(rows(*"aaaaa"), 40)) == 0  # its language model would have nothing to learn


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    from myoflow.speech.words import _listed

    (tmp_path / "dictionary").write_text("$ SIL\nTHE DH AX\n{THE(2)} { DH IY }\nWHAT'S W AH T S\n\n")
    assert _listed(tmp_path / "dictionary", "abcdefghijklmnopqrstuvwxyz") == ("the", "whats")
    (tmp_path / "wrong").write_text("THE\nNAÏVE\nλ\n")
    with pytest.raises(InputError, match=r"wrong:3: cannot spell 'λ'"):
        _listed(tmp_path / "wrong", "abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(
        RecipeError, match=r"train\.lexicon=close.*'close' is no file; did you mean 'closed'\? write cl"
    ):
        load("silent_speech_uka", ("train.lexicon=close",))
