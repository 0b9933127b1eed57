"""Pre-training from several stores to a report; killed at any time it ends as if it had not been; shared out it learns
the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import tiny
import torch

from myoflow.dsp.masking import Hiding
from myoflow.errors import InputError, RecipeError
from myoflow.evaluation.verify import verify
from myoflow.models import plan_recipe
from myoflow.nn.encoder import Encoder, Patches
from myoflow.nn.masking import Decoder
from myoflow.recipe import Train, load
from myoflow.run import load_run, run_recipe
from myoflow.store.masked import Masked
from myoflow.store.windows import Windows
from myoflow.tasks.pretrain import Pretrain
from myoflow.training import train

torch.set_num_threads(1)

RECIPE = """
data:
  dataset: tiny
  split: {by: subject, valid: [3], test: [4]}
  also:
    fast: {channels: [E1, E2, E3, E4, E5], split: {by: subject, train: [1], valid: none, test: [2]}}
pipeline:
  - resample: {rate: 200 Hz}
  - highpass: {cut: 5 Hz}
  - zscore: {over: train, per: all}
  - pad: {channels: 8}
  - window: {length: 200 ms, stride: 100 ms}
  - augment: {channel_dropout: 0, jitter: 0}
  - patch: {length: 10 samples}
  - tinymyo: {layers: 1, width: 16, heads: 1}
  - reconstruct: {power: true}
baselines:
  no_positions: [patch: {length: 10 samples}, tinymyo: {layers: 1, width: 16, heads: 1, positions: none}, reconstruct]
train: {task: pretrain, epochs: 2, lr: 2e-3, batch: 16, accumulate: 2}
"""
WINDOW = "window: {length: 200 ms, stride: 100 ms}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    """A folder with the cards of two simulated stores, at 200 and 400 Hz."""
    folder = tmp_path_factory.mktemp("pretrain")
    tiny.write(folder, RECIPE)
    fast = (
        tiny.CARD.replace("name: tiny", "name: fast").replace("200 Hz", "400 Hz").replace("subjects: 4", "subjects: 2")
    )
    (folder / "datasets" / "fast.yaml").write_text(fast)
    counted = fast.replace("name: fast", "name: counted").replace("rate: 400 Hz", "rate: 400 Hz\nunits: counts")
    (folder / "datasets" / "counted.yaml").write_text(counted.replace("reader: simulated", "reader: files"))
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def run(place: Path):
    return run_recipe(load("tiny_run.yaml"), out=place / "run")


def test_two_stores_of_other_rates_and_channels_are_learned_together(run, place: Path) -> None:
    subjects = run.metrics["subjects"]
    assert subjects == ["04", "fast/02"]
    scores = run.metrics["models"]["tinymyo"]["metrics"]
    assert set(scores) == {"masked_loss", "visible_loss", "patch_mean_loss", "linear_loss", "explained"}
    assert set(run.metrics["differences"]) == {"no_positions"}
    assert scores["explained"]["value"] == pytest.approx(
        1 - scores["masked_loss"]["value"] / scores["patch_mean_loss"]["value"], abs=1e-4
    )
    lines = (place / "run/fold-1/tinymyo/seed-0/history.jsonl").read_text().splitlines()
    assert all(json.loads(line)["per_second"] > 0 for line in lines)


def test_the_report_shows_reconstructions_guesses_and_channels(run, place: Path) -> None:
    page = (place / "run/report.html").read_text()
    assert "Places named pad are empty" not in page
    for words in ("Reconstructions", "Guesses without learning", "Channels as the network knows them", "tinymyo, fast"):
        assert words in page


def test_its_weights_start_another_training(run, place: Path) -> None:
    text = tiny.RECIPE.replace("tinymyo: {layers: 1", f"tinymyo: {{weights: {place / 'run'}, layers: 1")
    text = text.replace("length: 20 samples", "length: 10 samples").replace("seeds: [0, 1]", "seeds: [0]")
    text = text.replace("  - bandpass", "  - resample: {rate: 200 Hz}\n  - bandpass")
    (place / "tuned.yaml").write_text(text)
    run_recipe(load("tuned.yaml", ["data.share=0.5"]), out=place / "tuned")
    log = (place / "tuned/log.txt").read_text()
    assert f"tinymyo starts from {place / 'run'}, without decoder_pred.bias, decoder_pred.weight" in log


def test_on_another_backend_it_trains_and_no_decoder_is_compared(place: Path) -> None:
    """Its answers are the network's own, so there is nothing that a backend could have changed."""
    recipe = load("tiny_run.yaml", ["train.epochs=1", "baselines=null"]).with_backend("torch-bf16")
    found = run_recipe(recipe, out=place / "elsewhere")
    assert "parity" not in found.metrics and (place / "elsewhere/report.html").is_file()
    with pytest.raises(InputError, match="pretrain is answered by the network as it is trained"):
        verify(found, "torch-bf16")


@pytest.mark.parametrize(
    "changes, words",
    [
        (["train.task=classify"], "data.also is for tasks that learn without labels"),
        (["pipeline.pad=null"], "data.also.fast, and"),
        (["pipeline.resample=null"], "data.also.fast, and"),
        (["pipeline.reconstruct=null"], "pre-training needs a pipeline that ends in patch, tinymyo, reconstruct"),
        (["data.split.by=session", "data.split.valid=none", "data.split.test=[1]"], "the first data by session"),
        (["data.also.fast.dataset=fsat"], "did you mean 'fast'"),
        (["data.also.fast.colour=red"], "data.also.fast has no field 'colour'"),
        (["train.mask=1.5"], "train.mask: must be < 1"),
        (["train.mask=0.01"], "train.mask: 0.01 hides none of the 32 patches"),
        (["train.mask=0.99"], "train.mask: 0.99 hides all of the 32 patches"),
        (["pipeline.augment.rotate=1"], "rotate would put empty channels of pad in the place of electrodes"),
        (
            ["pipeline.zscore=null", "data.also.fast.dataset=counted"],
            "a signal in counts from data.also.fast, and",
        ),
        (["train.label_smoothing=0.1"], "has no field 'label_smoothing'"),
    ],
)
def test_what_does_not_fit_is_said_before_data_is_read(place: Path, changes: list[str], words: str) -> None:
    with pytest.raises(RecipeError) as error:
        plan_recipe(load("tiny_run.yaml", changes))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "stages, words",
    [
        ([WINDOW, "pad: {channels: 9}"], "pad changes the channels behind window"),
        ([WINDOW, "select: {channels: [E1]}"], "select changes the channels behind window"),
        (["pad: {channels: 9}", "rereference", WINDOW], "rereference would put a signal on the empty channels of pad"),
    ],
)
def test_electrodes_must_be_known_where_recordings_are_whole(place: Path, stages: list[str], words: str) -> None:
    lines = "".join(f"  - {stage}\n" for stage in stages)
    head, tail = RECIPE.partition("  also")[0], RECIPE[RECIPE.index("  - patch") :]
    (place / "odd.yaml").write_text(f"{head}pipeline:\n{lines}{tail}")
    with pytest.raises(RecipeError, match=words):
        plan_recipe(load("odd.yaml", ["baselines=null"]))


def test_a_channel_or_a_unit_that_a_store_does_not_have(place: Path, run) -> None:
    for change, words in (
        ("data.also.fast.channels=[E1, E2, E3, E4, F5]", "has no channel 'F5'"),
        ("data.also.fast.split.test=[7]", "asks for subject 7"),
    ):
        with pytest.raises(InputError, match=words):
            run_recipe(load("tiny_run.yaml", [change]), out=place / "bad")


def test_a_person_held_out_and_learned_from_another_store_of_the_dataset_is_told(place: Path, run) -> None:
    """The fourth person is tested on, and stands in a further store of the same dataset that is learned whole."""
    found = {row["about"]: row for row in run.metrics["audit"]}
    assert found["people"]["text"] == "No person is both trained and tested on."
    changes = ["data.also={again: {dataset: tiny}}", "train.epochs=1", "baselines=null"]
    doubled = run_recipe(load("tiny_run.yaml", changes), out=place / "doubled")
    found = {row["about"]: row for row in doubled.metrics["audit"]}
    assert found["people"]["text"].startswith("One person is both trained and tested on") and found["people"]["leak"]
    assert found["recordings"]["leak"], "and so are the recordings"


# --- one loop, killed and shared out --------------------------------------------------------------------------------


def windows() -> Masked:
    rng = np.random.default_rng(0)
    time_ = np.arange(2000) / 30
    waves = [np.sin(time_ + phase)[None] * rng.uniform(0.5, 1, (4, 1)) for phase in range(3)]
    signals = tuple((wave + 0.1 * rng.standard_normal(wave.shape)).astype(np.float32) for wave in waves)
    signals[1][2:] = 0  # two electrodes are not there
    starts = np.tile(np.arange(0, 1980, 60), 3)
    return Masked.of(
        Windows(
            signals=signals, rate_hz=100.0, ids=("a", "b", "c"), subjects=("1", "2", "3"), sessions=("",) * 3,
            subsets=("",) * 3, length=20, recording=np.repeat(np.arange(3, dtype=np.int32), 33), start=starts,
            label=np.full(99, -1), repetition=np.zeros(99, np.int16),
        )
    )  # fmt: skip


def test_what_never_changes_is_no_electrode_and_a_silent_recording_is_left_out() -> None:
    known = windows()
    signals = [signal.copy() for signal in known.windows.signals]
    signals[1][2:] = 0.25  # a scale behind `pad` has moved its zeros
    signals[2][:] = -1
    found = Masked.of(attrs.evolve(known.windows, signals=tuple(signals)))
    assert found.present_in[:2].tolist() == [[True] * 4, [True, True, False, False]]
    assert set(found.recording.tolist()) == {0, 1} and len(found) == 66
    assert found.left_out == (("c", "no channel ever changes"),)


def learn(folder: Path, dropout: float = 0.1, **settings) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    encoder = Encoder(channels=4, patches=5, features=4, width=8, layers=1, heads=1, dropout=dropout, drop_path=dropout)
    module = torch.nn.Sequential(Patches(4), encoder, Decoder(8, 4))
    examples = windows()
    made = Train(**{"task": Pretrain(), "epochs": 3, "lr": 5e-3, "batch": 10, "accumulate": 2, **settings})
    train.fit(
        module,
        lambda epoch: examples.shuffled(10, np.random.default_rng([1, epoch])),
        lambda: examples.batches(32),
        made,
        seed=0,
        steps_per_epoch=examples.steps(10),
        folder=folder,
    )
    return module.state_dict()


def test_it_learns_and_starts_from_where_it_stopped_within_an_epoch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)
    whole = learn(tmp_path / "whole")
    losses = [json.loads(line) for line in (tmp_path / "whole/history.jsonl").read_text().splitlines()]
    assert losses[-1]["loss"] < losses[0]["loss"] and losses[-1]["valid_gauge"] < losses[-1]["valid_loss"]
    update, calls = train._Training.update, iter(range(100))

    def dies(self, group):
        if next(calls) in (2, 7, 9):
            raise KeyboardInterrupt
        return update(self, group)

    monkeypatch.setattr(train._Training, "update", dies)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path / "cut")
    cut = learn(tmp_path / "cut")
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    again = [json.loads(line) for line in (tmp_path / "cut/history.jsonl").read_text().splitlines()]
    assert [e["loss"] for e in again] == [e["loss"] for e in losses]


def test_mixup_of_what_cannot_be_mixed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mixup is for examples that are one array"):
        learn(tmp_path, mixup=0.2)


def test_masks_of_validation_stay_and_those_of_training_change() -> None:
    examples, hiding = windows(), Hiding()
    first, again = (next(iter(examples.batches(99)))[0] for _ in range(2))
    assert np.array_equal(first["draw"], again["draw"]) and len(set(first["draw"].tolist())) == 99
    rng = np.random.default_rng(0)
    one, two = (next(iter(examples.shuffled(99, rng)))[0] for _ in range(2))
    assert not set(one["draw"].tolist()) & set(two["draw"].tolist())
    there = first["present"]
    assert there.sum(1).tolist() == [4] * 33 + [2] * 33 + [4] * 33
    assert hiding.masks(there, 5, first["draw"]).sum((1, 2)).tolist() == [10] * 33 + [5] * 33 + [10] * 33


JOB = """
import os, pathlib, signal, sys
import torch
from myoflow.training import train
from myoflow.recipe import load
from myoflow.run import resume_run, run_recipe
train.CHECKPOINT_S = 0.0
left = {"update": -1, "save": -1, sys.argv[2]: int(sys.argv[3])}
def dying(name, real):
    def call(*arguments):
        left[name] -= 1
        if left[name] == 0:
            if name == "save":  # half of a checkpoint is on the disk
                pathlib.Path(arguments[1]).write_bytes(bytes(1000))
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    return call
train._Training.update = dying("update", train._Training.update)
torch.save = dying("save", torch.save)
out = pathlib.Path(sys.argv[1])
if (out / "recipe.yaml").is_file():
    resume_run(out)
else:
    run_recipe(load("tiny_run.yaml", ["train.epochs=12", "baselines=null"]), out=out)
"""


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_same_weights(place: Path, run) -> None:
    """Killed by its own hand, at moments that are counted: no machine is too fast or too slow for them."""
    (place / "job.py").write_text(JOB)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def job(out: str, what: str = "update", number: int = -1) -> int:
        return subprocess.run([sys.executable, place / "job.py", place / out, what, str(number)], env=env).returncode

    assert job("whole") == 0
    for moment in (("update", 2), ("save", 3), ("update", 5), ("save", 1), ("update", 4)):
        assert job("killed", *moment) == -signal.SIGKILL
    assert job("killed") == 0
    assert not list((place / "killed").rglob(".*-checkpoint.pt")), "no halves are left behind"
    whole, killed = (
        (place / name / "fold-1/tinymyo/seed-0/weights.safetensors").read_bytes() for name in ("whole", "killed")
    )
    assert whole == killed
    assert load_run(place / "killed").metrics == load_run(place / "whole").metrics


@pytest.mark.slow
def test_a_run_of_two_processes_learns_what_one_does(place: Path, run) -> None:
    changes = ["pipeline.tinymyo.dropout=0", "pipeline.tinymyo.drop_path=0", "baselines=null", "--jobs", "1"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    for name, start in (("one", []), ("two", launcher)):
        command = [sys.executable, *start, "-m", "myoflow", "run", "tiny_run.yaml", *changes, "--out", name]
        subprocess.run(command, check=True, env=env)
    one, two = (
        [json.loads(line) for line in (place / name / "fold-1/tinymyo/seed-0/history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    for key in ("loss", "valid_loss", "valid_gauge"):
        assert [e[key] for e in one] == pytest.approx([e[key] for e in two], abs=1e-5)
    scores = [load_run(place / name).metrics["models"]["tinymyo"]["metrics"]["masked_loss"] for name in ("one", "two")]
    assert scores[0]["value"] == pytest.approx(scores[1]["value"], abs=1e-5)
