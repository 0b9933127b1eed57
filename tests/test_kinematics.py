"""Regression from raw files to a report: a tiny simulation, and the recipes for DB8 and emg2pose on generated files."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from make_meta import make_emg2pose
from make_ninapro import make_ninapro
from typer.testing import CliRunner

import myoflow as mf
from myoflow.answers.trajectories import Trajectories
from myoflow.cli import app
from myoflow.data.source import convert_dataset
from myoflow.errors import RecipeError
from myoflow.models import plan_recipe
from myoflow.network import trained
from myoflow.recipe import load
from myoflow.run import Run, load_run, resume_run, run_recipe
from myoflow.store import open_store

CARD = """
name: tiny_hand
title: A tiny simulation of fingers
reader: simulated_kinematics
licence: Apache-2.0
subjects: 1
channels: [E1, E2, E3, E4, E5, E6, E7, E8]
rate: 200 Hz
labels: [rest, thumb_flexion_extension, thumb_abduction_adduction, index_flexion_extension, middle_flexion_extension,
  ring_little_flexion_extension, index_pointer, cylindrical_grip, lateral_grip, tripod_grip]
options: {subjects: 1, sessions: 3, repetitions: 1, channels: 8, rate_hz: 200 Hz, angle_hz: 50 Hz}
streams:
  kinematics:
    channels: [thumb_rotation, thumb_flexion, index_flexion, middle_flexion, ring_little_flexion]
    rate: 50 Hz
    units: deg
"""
RECIPE = """
data:
  dataset: tiny_hand
  target: kinematics
  target_channels: [ring_little_flexion, thumb_flexion]
  target_rate: 25 Hz
  split: {by: session, train: [1], valid: [2], test: [3]}
pipeline:
  - bandpass: {low: 20 Hz, high: 90 Hz}
  - window: {length: 400 ms, stride: 80 ms}
  - zscore: {over: train, per: channel}
  - patch: {length: 20 samples}
  - tinymyo: {layers: 1, width: 16, heads: 1}
  - regress: {hidden: 16}
baselines:
  ridge: [features: {set: [log_rms, log_wl], parts: 4}, ridge]
train: {task: regress, epochs: 3, lr: 3e-3, batch: 16}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    with chdir(folder):
        (folder / "datasets").mkdir()
        (folder / "datasets" / "tiny_hand.yaml").write_text(CARD)
        (folder / "hand.yaml").write_text(RECIPE)
        run_recipe(load(folder / "hand.yaml"), out=folder / "done")
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return load_run(place / "done")


def test_the_exported_network_gives_the_runs_values(run: Run, tmp_path: Path) -> None:
    """In the target's units, at its steps; and the same weights may start another training."""
    folder = run.export_folder(tmp_path / "model")
    _, network, parameters = run._network("tinymyo", run.recipe)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 8, 80)).astype(np.float32))
    with torch.no_grad():
        expected = trained(network, parameters.weights)(x)
        assert torch.equal(mf.load_model(folder, channels=8, samples=80)(x), expected)
        with pytest.raises(mf.InputError, match="does not say how many steps its answers have for a window"):
            mf.load_model(run.folder, channels=8, samples=80)
        assert torch.equal(mf.load_model(run.folder, channels=8, samples=80, steps=10)(x), expected)
    assert expected.shape == (3, 10, 2)
    changes = [f"pipeline.tinymyo.weights={run.folder}", "train.epochs=1"]
    begun = run_recipe(load("hand.yaml", changes), out=tmp_path / "begun")
    assert "without regressor.0.bias" in (begun.folder / "log.txt").read_text()


def test_metrics_are_in_degrees_and_per_target(run: Run) -> None:
    metrics = run.metrics
    assert metrics["units"] == "deg" and metrics["targets"] == ["ring_little_flexion", "thumb_flexion"]
    assert metrics["steps"] == 2, "of each window what a live decoder adds"
    assert metrics["metrics"] == ["r2", "correlation", "mae", "rmse"]
    ridge = metrics["models"]["ridge"]
    assert ridge["metrics"]["correlation"]["value"] > 0.5, "the EMG tells where the fingers are"
    assert set(ridge["targets"]) == set(metrics["targets"])
    assert metrics["models"]["tinymyo"]["metrics"]["mae"]["value"] < 40


def test_the_report_shows_trajectories_and_targets(run: Run) -> None:
    page = (run.folder / "report.html").read_text()
    for words in ('id="trajectories"', 'id="targets"', "thumb_flexion, ridge", "mae in deg", "Simulated data"):
        assert words in page
    assert not (run.folder / "picture.png").exists()


def test_answers_are_where_the_truth_is(run: Run) -> None:
    kept = Trajectories.load(run.folder / "fold-1" / "ridge" / "seed-0" / "predictions.npz")
    store = open_store("data/tiny_hand.zarr")
    stream = store.raw("sub-01/ses-03/run-1").streams["kinematics"]
    row = stream.channels.index("thumb_flexion")
    for i in range(0, len(kept), 17):
        at = (kept.start_s[i] + np.arange(2) / 25.0) * stream.rate_hz
        truth = np.interp(at, np.arange(stream.values.shape[1]), stream.values[row])
        spread = np.abs(np.diff(stream.values[row])).max() * 2.1  # a step starts up to one sample after its window
        np.testing.assert_allclose(kept.truth[i, :, 1], truth, atol=spread)


def test_a_run_that_stopped_goes_on_to_the_same_scores(run: Run) -> None:
    before = (run.folder / "metrics.json").read_bytes()
    (run.folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz").unlink()
    resume_run(run.folder)
    assert (run.folder / "metrics.json").read_bytes() == before


def test_predicting_and_streaming_give_trajectories_in_degrees(run: Run) -> None:
    recording = open_store("data/tiny_hand.zarr").emg("sub-01/ses-03/run-1")[:, :900]
    found = run.predict(recording)
    assert found.dims == ("window", "step", "target")
    assert found.coords["target"].values.tolist() == ["ring_little_flexion", "thumb_flexion"]
    stream = run.stream()
    pieces = [stream.feed(recording.values[:, at : at + 50]) for at in range(0, 900, 50)]
    live = np.concatenate([*pieces, stream.flush()])
    np.testing.assert_allclose(live, found.values, atol=1e-4 * np.abs(found.values).max())


def test_a_live_session_gives_what_each_window_adds(run: Run) -> None:
    source = "replay:data/tiny_hand.zarr/sub-01/ses-03/run-1?speed=100"
    called = ["stream", "done", "--source", source, "--sink", "jsonl:live.jsonl", "--seconds", "4"]
    done = CliRunner().invoke(app, called)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in Path("live.jsonl").read_text().splitlines()]
    said = [line for line in lines if line["type"] == "trajectory"]
    offline = run.predict(open_store("data/tiny_hand.zarr").emg("sub-01/ses-03/run-1")[:, :800])
    assert len(said) >= len(offline) > 30, "the replay ends with a whole chunk"
    for line, window, time in zip(said, offline.values, offline.time.values, strict=False):
        assert line["end"] == pytest.approx(float(time), abs=0.006)
        live = np.array([line["trajectory"][name] for name in ("ring_little_flexion", "thumb_flexion")])
        np.testing.assert_allclose(live, window[-2:].T, atol=1e-3 * np.abs(offline.values).max())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("target: kinematics", "target: kinematic", "4:11: data.target: .* no stream 'kinematic'; did you mean"),
        ("thumb_flexion]", "thumb]", "data.target_channels: kinematics has no channel 'thumb'"),
        ("  target: kinematics\n", "", "data.target_channels: needs `target`"),
        ("- regress: {hidden: 16}", "- classify", "regress needs a pipeline that ends in trajectories"),
        ("task: regress", "task: regress, label_smoothing: 0.1", "train has no field 'label_smoothing'"),
        ("task: regress", "task: classify", "there is no label axis here"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(run: Run, old: str, new: str, message: str) -> None:
    Path("wrong.yaml").write_text(RECIPE.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        plan_recipe(load("wrong.yaml"))


SMALL = ["pipeline.tinymyo.layers=1", "pipeline.tinymyo.width=12", "pipeline.tinymyo.heads=1", "train.epochs=1"]


@pytest.mark.parametrize("recipe", ["kinematics_db8", "kinematics_db8_published"])
def test_db8_from_its_files_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    monkeypatch.chdir(tmp_path)
    make_ninapro(tmp_path / "raw", "ninapro_db8", 1, span=30)
    convert_dataset("ninapro_db8", tmp_path / "raw", tmp_path / "db8.zarr")
    changes = [*SMALL, "data.store=db8.zarr", "train.precision=float32", "baselines.ridge=null"]
    run = mf.load_recipe(recipe, *changes).run(out="done")
    metrics = json.loads((tmp_path / "done" / "metrics.json").read_text())
    assert metrics["units"] == "deg" and len(metrics["targets"]) == 5
    assert metrics["steps"] == (10 if recipe == "kinematics_db8" else 1000)
    kept = Trajectories.load(run.folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz")
    assert np.isfinite(kept.truth).all(), "windows that touch rows without a glove are left out"
    assert set(kept.session.tolist()) == {"03"}


def test_emg2pose_from_its_files_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    made = make_emg2pose(tmp_path / "raw")
    convert_dataset("emg2pose", tmp_path / "raw", tmp_path / "pose.zarr")
    changes = ["data.store=pose.zarr", "data.split={by: subset, train: [train], valid: none, test: [val]}"]
    changes += ["pipeline.window.length=100 ms", "pipeline.window.stride=20 ms", "pipeline.window.train_stride=null"]
    changes += ["train.patience=null", "train.precision=float32", "baselines.ridge=null", *SMALL]
    run = mf.load_recipe("kinematics_emg2pose", *changes).run(out="done")
    assert run.metrics["units"] == "rad" and len(run.metrics["targets"]) == 20
    kept = Trajectories.load(run.folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz")
    lost = np.flatnonzero((made["right"]["joint_angles"] == 0).all(axis=1)) / 2000.0
    for start in kept.start_s:
        assert not ((lost >= start) & (lost < start + 0.019)).any(), "no pose was found there"
