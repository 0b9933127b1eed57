"""A finished run's voices heard by a model from elsewhere: what it hears, what is kept, and where it stands."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest
from make_recognisers import make_wav2vec2

from myoflow import cli
from myoflow.dsp.mel import RATE_HZ, griffin_lim
from myoflow.library import find
from myoflow.speech import pretrained
from myoflow.speech.answers import Transcripts
from myoflow.speech.targets import voice_of
from myoflow.store import open_store

pytest.importorskip("transformers")
pytest.importorskip("soundfile")
pytest.importorskip("jiwer")

SMALL = (
    "data.dataset=few",
    "pipeline.conv_stem.widths=[8, 8, 8]",
    "pipeline.tinymyo.layers=1",
    "pipeline.tinymyo.width=8",
    "pipeline.tinymyo.heads=2",
    "train.epochs=1",
    "train.listener_epochs=1",
    "train.precision=float32",
)


def told(*words: str) -> int:
    """The exit code of `myoflow WORDS`."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["myoflow", *words])
        cli.main()
    return int(ended.value.code or 0)


def alike(judge: Path, heard: dict[str, Any], folder: Path) -> None:
    """What is kept is what the model hears in the predicted spectra and in the true voices of the spoken twins."""
    own = pretrained.load(str(judge))
    (path,) = folder.rglob("predictions.npz")
    answers = Transcripts.load(path)
    store = open_store(json.loads((folder / "data.json").read_text())["store"])
    assert heard["recording"] == answers.recording.tolist() and len(answers) == 4
    for i in (0, 3):
        assert heard["made"][i] == own.text(griffin_lim(answers.audio[i]), RATE_HZ)
        assert heard["true"][i] == own.text(voice_of(store.raw(str(answers.twin[i]))), RATE_HZ)
        assert heard["own_true"][i] == own.normalised(str(answers.floor[i]))
        assert heard["text"][i] == own.normalised(str(answers.text[i])) != answers.text[i]


@pytest.mark.slow
def test_a_judge_hears_a_run_when_it_ends_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    card = find("datasets", "simulated_speech_smoke").read_text()
    for was, now in (("simulated_speech_smoke", "few"), ("sentences: 200", "sentences: 30"), ("test: 40", "test: 4")):
        card = card.replace(was, now)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "few.yaml").write_text(card.replace("dev: 13", "dev: 4"))
    judge = tmp_path / "tones"
    make_wav2vec2(judge)

    assert told("run", "silent_speech_smoke", *SMALL, "--out", "r", "--judge", str(tmp_path / "none")) == 2
    assert "there is no folder" in capsys.readouterr().err and not (tmp_path / "r").exists()

    assert told("run", "silent_speech_smoke", *SMALL, "--out", "r", "--jobs", "1", "--judge", "tones") == 0
    printed = capsys.readouterr().out
    assert "the recipe's recogniser" in printed and "tones" in printed
    heard = json.loads((tmp_path / "r" / "judges" / "tones.json").read_text())
    alike(judge, heard, tmp_path / "r")
    wer = heard["wer"]
    assert set(wer) == {"made", "true", "own_made", "own_plain", "own_true"}
    assert wer["true"]["value"] > 0.9  # it knows the words `a` and `i` alone
    page = html.unescape((tmp_path / "r" / "report.html").read_text())
    assert "Heard by tones" in page and f"{100 * wer['true']['value']:.1f} %" in page

    (tmp_path / "other").symlink_to(judge)
    assert told("run", "--resume", "r", "--judge", "other") == 0
    page = html.unescape((tmp_path / "r" / "report.html").read_text())
    assert "Heard by tones" in page and "Heard by other" in page

    # Another corpus is searched with the run's own words and heard by its own recogniser. (Without them nothing is
    # heard, which once counted as no error at all.)
    (tmp_path / "datasets" / "more.yaml").write_text(
        (tmp_path / "datasets" / "few.yaml")
        .read_text()
        .replace("name: few", "name: more")
        .replace("seed: 1", "seed: 77")
    )
    assert told("convert", "more") == 0 and told("evaluate", "r", "data/more.zarr") == 0
    scores = json.loads((tmp_path / "r" / "evaluations" / "more.json").read_text())
    assert scores["utterances"] == 60
    (model,) = scores["models"].values()
    assert model["metrics"]["wer_audio"]["value"] > 0.5 and model["metrics"]["wer_audio_floor"]["value"] > 0.3
    assert model["metrics"]["wer"]["value"] <= 1.0  # a search without words spells more than was said


def test_a_recipe_without_voices_has_none_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told("run", "silent_speech_open", "--out", str(tmp_path / "r"), "--judge", "whisper") == 2
    assert "the task recognise makes none" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
