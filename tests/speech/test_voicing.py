"""Vocoders: learned in a few steps, against a rival, gone on with after a kill, saved and read, exported."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("librosa")

from myoflow.dsp import mel
from myoflow.errors import InputError, RecipeError
from myoflow.models import plan_recipe
from myoflow.recipe import load
from myoflow.speech.voicing import Voice, Voicing, speaker, train_vocoder
from myoflow.tasks.speech import Speech
from myoflow.tasks.transduce import Transduce
from myoflow.tasks.vocoder import Vocoder


def sounds(count=4):
    t = np.arange(12_000) / mel.RATE_HZ
    return [0.3 * np.sin(2 * np.pi * (150 + 40 * k) * t) * (1 + np.sin(9 * t)) / 2 for k in range(count)]


SMALL = Voicing(steps=30, batch=2, frames=12, lr=3e-3)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    return train_vocoder(sounds(), folder, SMALL), folder


def test_bands_come_closer(voice):
    made, _ = voice
    fresh = train_vocoder(sounds(), voice[1] / "fresh", Voicing(steps=1, batch=1, frames=12, lr=1e-9))
    bands = mel.log_mel(sounds()[0])
    before, after = (np.abs(mel.log_mel(v.sound(bands)) - bands).mean() for v in (fresh, made))
    assert after < 0.8 * before
    assert made.sound(bands).shape == (256 * len(bands),)


def test_a_vocoder_is_saved_plain_and_read_back(voice, tmp_path):
    made, _ = voice
    bands = mel.log_mel(sounds()[1])
    made.save(tmp_path / "voice.safetensors")
    np.testing.assert_array_equal(Voice.load(tmp_path / "voice.safetensors").sound(bands), made.sound(bands))
    torch.save({"generator": made.generator.state_dict()}, tmp_path / "g_00000030")
    np.testing.assert_array_equal(Voice.load(tmp_path / "g_00000030").sound(bands), made.sound(bands))


def test_a_recipe_names_what_makes_spectra_audible(voice, tmp_path):
    """A run's folder, as its weights lie there; what cannot be read is told of before a training, not behind it."""
    made, _ = voice
    bands = mel.log_mel(sounds()[1])
    run = tmp_path / "run" / "fold-1" / "hifigan" / "seed-0"
    run.mkdir(parents=True)
    state = {f"weight.hifigan.{name}": value for name, value in made.generator.state_dict().items()}
    save_file(state, str(run / "weights.safetensors"))
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"main": "hifigan"}))
    task = Transduce(vocoder=str(tmp_path / "run"))
    task.begin(torch.nn.Identity(), None)
    np.testing.assert_array_equal(speaker(task.vocoder)(bands), made.sound(bands))
    np.testing.assert_array_equal(speaker()(bands), mel.griffin_lim(bands))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there are no weights in the folder"):
        Speech(vocoder=str(tmp_path / "empty")).begin(torch.nn.Identity(), None)
    save_file({"other": torch.zeros(1)}, str(run / "weights.safetensors"))
    with pytest.raises(InputError, match=r"the weights in .*run are of none of HiFi-GAN's generators"):
        Speech(vocoder=str(tmp_path / "run")).begin(torch.nn.Identity(), None)
    with pytest.raises(RecipeError, match=r"there is no vocoder at nowhere: train\.vocoder takes"):
        plan_recipe(load("silent_speech", ["train.vocoder=nowhere"]))


@pytest.mark.slow
def test_the_exported_model_gives_the_same_sound_for_any_length(voice):
    onnxruntime = pytest.importorskip("onnxruntime")
    made, _ = voice
    session = onnxruntime.InferenceSession(made.onnx(), providers=["CPUExecutionProvider"])
    for frames in (5, 46):
        bands = mel.log_mel(sounds()[2])[None, :frames]
        (sound,) = session.run(["sound"], {"bands": bands})
        np.testing.assert_allclose(sound, made(bands), atol=1e-4)


class Stopped(Exception):
    pass


def test_a_game_against_a_rival_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    task = Vocoder(mel=45.0, resolutions=0.0, rival_share=1 / 64)
    settings = Voicing(task=task, steps=100, batch=1, frames=6)
    monkeypatch.setattr("myoflow.speech.voicing.EPOCH", 2)
    monkeypatch.setattr("myoflow.training.train.CHECKPOINT_S", 0.0)
    settings = Voicing(task=task, steps=6, batch=1, frames=6)
    whole = train_vocoder(sounds(), tmp_path / "whole", settings)

    from myoflow.training import train

    real, calls = train._Training.finish_epoch, []

    def killed(self, *arguments):
        real(self, *arguments)
        calls.append(1)
        if len(calls) == 2:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(train._Training, "finish_epoch", killed)
        with pytest.raises(Stopped):
            train_vocoder(sounds(), tmp_path / "killed", settings)
    again = train_vocoder(sounds(), tmp_path / "killed", settings)
    for name, value in whole.generator.state_dict().items():
        torch.testing.assert_close(again.generator.state_dict()[name], value, rtol=0, atol=0)
    alone = train_vocoder(sounds(), tmp_path / "alone", Voicing(task=Vocoder(45.0, 0.0), steps=6, batch=1, frames=6))
    assert not torch.equal(alone.generator.conv_post.weight, whole.generator.conv_post.weight)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / n / "history.jsonl").open()] for n in ("whole", "alone")
    ]
    assert losses[0][0] > losses[1][0]  # being told apart costs something


def test_sound_that_is_too_short_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no sound is as long as a segment of 32 frames \(0\.37 s\)"):
        train_vocoder([np.zeros(4000)], tmp_path)
