"""vocoder: a run of the recipe on a tiny corpus, its losses, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("librosa")
pytest.importorskip("soundfile")

from myoflow import library
from myoflow.errors import InputError, PlanError
from myoflow.models import plan_recipe
from myoflow.recipe import load
from myoflow.run import run_recipe
from myoflow.spec import FRAMES, Spec
from myoflow.speech.sounds import Revoiced, Sounds
from myoflow.stages.griffin_lim import GriffinLim
from myoflow.stages.hifigan import HifiGan
from myoflow.tasks.vocoder import Vocoder

RECIPE = str(Path(__file__).parents[2] / "recipes" / "vocoder.yaml")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder to work in, with a card of a corpus of six short sentences."""
    monkeypatch.chdir(tmp_path)
    card = library.find("datasets", "simulated_speech_smoke").read_text()
    card = card.replace("name: simulated_speech_smoke", "name: tiny_speech")
    for key, value in {"sentences": 6, "sessions": 1, "test": 2, "dev": 1}.items():
        card = re.sub(rf"^  {key}: \d+", f"  {key}: {value}", card, flags=re.M)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "tiny_speech.yaml").write_text(card)
    return tmp_path


def test_a_run_of_the_recipe_ends_in_sounds_to_hear(tiny):
    recipe = load(RECIPE, ["data.dataset=tiny_speech", "train.epochs=2", "train.batch=2", "train.frames=16"])
    run = run_recipe(recipe, out=tiny / "run")
    metrics = json.loads((tiny / "run" / "metrics.json").read_text())
    (model,) = metrics["models"].values()
    found = {name: model["metrics"][name]["value"] for name in ("mcd", "mcd_griffin_lim", "mel_l1")}
    assert found["mcd"] > found["mcd_griffin_lim"] > 0  # two epochs teach nobody to speak
    page = (tiny / "run" / "report.html").read_text()
    assert page.count("<audio") == 9 and "Griffin-Lim" in page  # two test sentences and the dev sentence's twin
    waves = sorted(path.name for path in (tiny / "run" / "audio").iterdir())
    assert len(waves) == 9
    import soundfile

    sound, rate = soundfile.read(tiny / "run" / "audio" / waves[0])
    assert rate == 22_050 and len(sound) > 10_000
    (weights,) = (tiny / "run").rglob("weights.safetensors")
    again = load(RECIPE, ["data.dataset=tiny_speech", f"pipeline.hifigan.weights={weights}"])
    (stage,) = [stage for stage in again.pipeline if stage.name == "hifigan"]
    spec = Spec(FRAMES, (None, None, 80), 22_050 / 256, ())
    module = stage.module(spec)
    assert "starts from" in stage.begin(module, spec)[0]
    bands = np.random.default_rng(0).standard_normal((1, 9, 80)).astype(np.float32)
    with torch.no_grad():
        sound = module(torch.from_numpy(bands)).numpy()
    assert sound.shape == (1, 1, 9 * 256)
    pytest.importorskip("onnxruntime")
    from myoflow.lower.onnx_graph import session

    model = run.export(tiny / "voice.onnx")
    again = session(model.read_bytes(), 1)(bands)
    np.testing.assert_allclose(again, sound[:, 0], atol=1e-4 * float(np.abs(sound).max()))
    with pytest.raises(InputError, match="exported by the backend onnx, in float32, not by 'onnx-int8'"):
        run.export(tiny / "voice8.onnx", "onnx-int8")


def test_a_vocoder_needs_sound_and_its_own_pipeline(tiny):
    with pytest.raises((PlanError, InputError), match=r"name its stream in data\.target"):
        plan_recipe(load(RECIPE, ["data.dataset=tiny_speech", "data.target=null"]))


def test_segments_hold_sound_and_the_bands_of_that_sound():
    sounds = tuple(np.arange(n, dtype=np.float32) for n in (256 * 20, 256 * 31))
    bands = tuple(np.arange(len(s) // 256, dtype=np.float32)[:, None] * 256 for s in sounds)
    some = Sounds(sounds, bands, ("a", "b"), ("1", "1"), ("1", "2"), ("train", "test"), 10)
    for x, y in (*some.batches(1), *some.shuffled(2, np.random.default_rng(0))):
        np.testing.assert_array_equal(y[:, ::256], x[:, :, 0])
        assert y.shape[1] == 2560
    assert some.steps(1) == 2 and some.select(some.units("subset") == "test").ids == ("b",)


def test_answers_come_back_from_disk_and_add_up(tmp_path):
    names = np.array(["a", "b"])
    found = Revoiced(
        mel=[0.2, 0.4], mcd=[2.0, 4.0], lim_mcd=[1.0, 1.0],
        estoi=[0.8, np.nan], lim_estoi=[0.9, np.nan], subject=names, session=names, repetition=[1, 1],
        recording=names, start_s=[0, 0], frames=[30, 10], made=np.arange(5, dtype=np.int16),
        lim=np.arange(5, dtype=np.int16), true=np.arange(5, dtype=np.int16), sizes=np.array([2, 3]),
    )  # fmt: skip
    assert found.functions["mcd"](found.tally()) == pytest.approx([2.5])
    assert found.functions["estoi"](found.tally()) == pytest.approx([0.8])  # the other is too short to have one
    np.testing.assert_array_equal(found.tally(np.array([0, 1]))[:, 0, 3], [30, 10])
    found.save(tmp_path / "x.npz")
    again = Revoiced.load(tmp_path / "x.npz")
    assert [len(row[1]) for row in again.heard()] == [2, 3] and again.mcd.tolist() == [2.0, 4.0]
    with pytest.raises(InputError, match="no such file"):
        Revoiced.load(tmp_path / "y.npz")


def test_loss_is_nothing_for_the_true_sound():
    sound = 0.1 * torch.randn(2, 4096)
    task = Vocoder()
    same, softer = (float(task.loss(share * sound[:, None], sound)) for share in (1.0, 0.5))
    assert same == pytest.approx(0, abs=1e-5) and softer > 1
    assert task.rival() is None and Vocoder(rival_share=1 / 64).rival() is not None


def test_stages_that_speak_say_what_they_take():
    spec = Spec(FRAMES, (None, None, 80), 22_050 / 256, ())
    for stage in (HifiGan(), GriffinLim()):
        after = stage.plan(spec)
        assert after.dims == ("utterance", "channel", "time") and after.rate_hz == 22_050
        with pytest.raises(PlanError, match="takes 80 log-mel bands, gets 26"):
            stage.plan(spec.evolve(sizes=(None, None, 26)))
        with pytest.raises(PlanError, match=r"takes 86\.13 frames a second, gets 100"):
            stage.plan(spec.evolve(rate_hz=100.0))
    bands = np.random.default_rng(0).normal(-5, 1, (2, 12, 80)).astype(np.float32)
    assert GriffinLim(2).kernel(spec).feed(bands).shape == (2, 1, 12 * 256)
    for size in ("V2", "XS"):
        module = HifiGan(size).module(spec)
        assert sum(p.numel() for p in module.parameters()) == HifiGan(size).cost(spec).parameters
