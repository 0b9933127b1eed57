"""A user's own Whisper or wav2vec2: real files of small models, what they hear, and what is said of wrong ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from make_recognisers import HIGH_HZ, LOW_HZ, make_wav2vec2, make_whisper, tone

from myoflow.errors import InputError
from myoflow.speech import pretrained

needs = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whisper"
    make_whisper(folder)
    return folder


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "wav2vec2"
    make_wav2vec2(folder)
    return folder


@needs
@pytest.mark.slow
def test_whisper_hears_from_its_own_files(whisper: Path) -> None:
    """Its two answers differ in how they write ten thirty, and are the same words."""
    found, rng = pretrained.load(str(whisper)), np.random.default_rng(5)
    assert found.family == "whisper"
    for seconds in (0.2, 1.0, 1.9):
        assert found.text(tone(LOW_HZ, seconds, rng, 22_050), 22_050) == "1 0 3 0" == found.normalised("ten thirty")
        assert found.text(tone(HIGH_HZ, seconds, rng, 8_000), 8_000) == found.normalised("ten thirty pm")
    long = np.concatenate([tone(LOW_HZ, 1.7, rng), np.zeros(3200, np.float32), tone(HIGH_HZ, 1.5, rng)])
    assert found.text(long, 16_000) == "1 0 3 0 1 0 3 0 pm"  # this one hears two seconds at once


@needs
@pytest.mark.slow
def test_wav2vec2_hears_from_its_own_files(wav2vec2: Path) -> None:
    found, rng = pretrained.load(str(wav2vec2)), np.random.default_rng(5)
    assert found.family == "wav2vec2"
    parts = [tone(hz, 0.4, rng, 22_050) for hz in (LOW_HZ, 0, HIGH_HZ, 0, LOW_HZ)]
    assert found.text(np.concatenate(parts), 22_050) == "i a i"
    assert found.text(parts[2], 22_050) == "a"
    assert found.text(parts[0][:90], 22_050) in ("", "i")  # shorter than its first convolution


@needs
def test_texts_are_the_same_however_numbers_are_written() -> None:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    plain = pretrained.Recogniser("x", "whisper", None, None, EnglishTextNormalizer({})).normalised
    for one, other in (
        ("set an alarm for seven pm", "Set an alarm for 7 P.M."),
        ("ten thirty", "10:30"),
        ("ten thirty am", "1030 a.m."),
        ("one fifteen am", "1:15 AM"),
        ("five nine two", "592."),
        ("one one one", "1, 1, 1"),
        ("february tenth", "February 10th!"),
        ("twenty five sheep", "25 sheep"),
        ("they are here", "They're here"),
    ):
        assert plain(one) == plain(other), (one, other)
    assert plain("twenty five") != plain("twenty six")
    assert plain("ten am") != plain("ten pm")


def test_long_sound_is_cut_where_it_is_quiet() -> None:
    sound = np.ones(1000)
    sound[870:890] = 0
    parts = pretrained.pieces(sound, 900)
    assert 870 < len(parts[0]) < 890
    np.testing.assert_array_equal(np.concatenate(parts), sound)
    assert [len(part) for part in pretrained.pieces(np.ones(5000), 900)][-1] <= 900
    assert len(pretrained.pieces(sound[:900], 900)) == 1


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package transformers: pip install 'myoflow\[judge\]'"):
        pretrained.load(str(tmp_path))


@needs
def test_what_is_no_model_is_told_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("openai/whisper-of-nobody", str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match=rf"there is no folder {name}, and no model of that name .*hf download"):
            pretrained.load(name)
    with pytest.raises(InputError, match=r"is no folder of a model: it has no config\.json"):
        pretrained.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is no JSON"):
        pretrained.load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"holds a model of type bert; --judge takes whisper or wav2vec2"):
        pretrained.load(str(tmp_path))
    with pytest.raises(InputError, match=r"is a file; --judge takes the folder"):
        pretrained.load(str(tmp_path / "config.json"))


@needs
@pytest.mark.slow
def test_half_a_model_is_refused(wav2vec2: Path, tmp_path: Path) -> None:
    make_wav2vec2(tmp_path / "mute", text=False)
    with pytest.raises(InputError, match=r"has no weights for lm_head.*no wav2vec2 that writes text"):
        pretrained.load(str(tmp_path / "mute"))
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in wav2vec2.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    whole = (broken / "model.safetensors").read_bytes()
    for damage in (whole[: len(whole) // 2], b""):
        (broken / "model.safetensors").write_bytes(damage)
        with pytest.raises(InputError, match=r"cannot be loaded as wav2vec2: "):
            pretrained.load(str(broken))
    (broken / "model.safetensors").write_bytes(whole)
    told = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(told | {"hidden_size": 64}))
    with pytest.raises(InputError, match=r"cannot be loaded as wav2vec2: "):
        pretrained.load(str(broken))
    (broken / "config.json").write_text(json.dumps(told))
    (broken / "vocab.json").unlink()
    with pytest.raises(InputError, match=r"cannot be loaded as wav2vec2: "):
        pretrained.load(str(broken))
