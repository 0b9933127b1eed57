"""Verify, bench and export on a tiny trained run: what changed, what it costs, a file that others can use."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from typer.testing import CliRunner

from myoflow.backend import load_backend
from myoflow.cli import app
from myoflow.errors import InputError, MyoflowError
from myoflow.evaluation.bench import bench
from myoflow.evaluation.parity import Change, compare
from myoflow.evaluation.verify import verify
from myoflow.models import plan_recipe
from myoflow.recipe import load
from myoflow.run import Run, load_run, run_recipe

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxscript", "onnxruntime", "openvino", "nncf")),
    reason="needs the extras onnx and openvino",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in `plain`."""
    return tiny.run(tmp_path_factory.mktemp("place"), "plain")


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return load_run(place / "plain")


def test_onnx_changes_no_decision(run: Run) -> None:
    found = verify(run, "onnx")
    assert found.backends == ("onnx",) and found.windows == run.metrics["windows"]
    far = found.outputs["output"]
    assert found.decisions == 0 and far.largest <= 1e-4 * far.scale and not found.problems
    assert {change.difference for change in found.metrics.values()} == {0.0}


def test_where_nothing_of_a_model_runs_there_is_nothing_to_verify(run: Run) -> None:
    with pytest.raises(InputError, match="no learned stage of tinymyo runs on host, all stay on host, torch"):
        verify(run, "host")
    with pytest.raises(InputError, match="no learned stage of lda runs on onnx, all stay on host"):
        verify(run, "onnx", "lda")
    assert verify(run, "torch").decisions == 0


def test_a_finished_run_moves_to_int8_without_its_training_data(run: Run) -> None:
    assert np.load(run.folder / "fold-1" / "tinymyo" / "seed-0" / "calibration.npy").shape[1:] == (8, 40)
    found = verify(run, "openvino-int8")
    far = found.outputs["output"]
    assert 0 < far.mean < far.most < 0.5 * far.scale


def test_a_change_beyond_the_tolerance_fails(run: Run, place: Path) -> None:
    (place / "backends").mkdir(exist_ok=True)
    strict = "title: x\ndescription: y\nengine: torch\nprecision: bf16\ntolerance: 1e-9\n"
    (place / "backends" / "strict.yaml").write_text(strict)
    done = CliRunner().invoke(app, ["verify", "plain", "--backend", "strict"])
    assert isinstance(done.exception, MyoflowError) and done.exception.exit_code == 1
    assert "strict is not within its tolerances: output differs by" in str(done.exception)


def test_a_run_on_another_backend_proves_itself(run: Run, place: Path) -> None:
    recipe = load(place / "tiny_run.yaml")
    moved = run_recipe(recipe, backend="onnx", out=place / "moved")
    parity = moved.metrics["parity"]["tinymyo"]
    assert parity["backends"] == ["onnx"] and parity["problems"] == [] and set(moved.metrics["parity"]) == {"tinymyo"}
    assert moved.metrics["models"] == run.metrics["models"]
    page = (place / "moved" / "report.html").read_text()
    assert "Backends against torch in float32" in page
    assert "Backends against torch" not in (place / "plain" / "report.html").read_text()


def test_points_lost_are_a_problem(run: Run) -> None:
    from myoflow.answers.predictions import Predictions
    from myoflow.tasks.classify import Classify

    labels = np.arange(12) % 2
    scores = np.eye(2, dtype=np.float32)[labels]
    wrong = scores.copy()
    wrong[0] = wrong[0, ::-1]
    columns = {
        "label": labels,
        "labels": ("a", "b"),
        "subject": np.repeat(["1", "2", "3", "4"], 3),
        "session": ["1"] * 12,
        "repetition": [1] * 12,
        "recording": np.repeat(["1", "2", "3", "4"], 3),
        "start_s": np.arange(12.0),
    }
    one, other = (Predictions(s, **columns) for s in (scores, wrong))
    found = compare(
        Classify(), one, other, ("onnx-int8",), ("accuracy",), ({"output": one.scores}, {"output": other.scores})
    )
    change = found.metrics["accuracy"]
    assert isinstance(change, Change) and change.difference == pytest.approx(-1 / 12)
    assert found.decisions == 1 and found.outputs["output"].mean == pytest.approx(2 / 24)
    assert [p for p in found.problems if p.startswith("accuracy is 8.33 points lower, 0.5 is allowed")]


def test_the_exported_file_decides_as_the_run_does(run: Run, tmp_path: Path) -> None:
    """Read with onnxruntime alone, fed with windows prepared by the stages that it names."""
    import onnxruntime

    from myoflow.experiment import Experiment
    from myoflow.pipeline import compile_steps
    from myoflow.progress import Progress

    path = run.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["labels"]) == ["rest", "fist", "flexion"] and told["digest"] == run.recipe.digest
    assert told["units"] == run.spec().units
    before = json.loads(told["before"])
    assert [stage["stage"] for stage in before] == ["bandpass", "zscore", "window"] and "learned" in before[1]
    assert [stage["stage"] for stage in json.loads(told["after"])] == ["vote"]
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    windows = experiment.held_out("tinymyo", 1)
    x = windows.take(np.arange(20))
    parameters, _ = run.load()
    expected = compile_steps(experiment.plans["tinymyo"], parameters, 4, 7).feed(x)
    (found,) = session.run(None, {"emg": x})
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_cannot_be_exported_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lda has no network to export"):
        run.export(tmp_path / "x.onnx", model="lda")
    with pytest.raises(InputError, match="'torch' has no file of its own to export; export --backend onnx"):
        run.export(tmp_path / "x.onnx", backend="torch")
    with pytest.raises(InputError, match="is a folder; name the file to write"):
        run.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_before_calibration_says_what_to_do(run: Run, place: Path) -> None:
    path = place / "plain" / "fold-1" / "tinymyo" / "seed-0" / "calibration.npy"
    kept = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(InputError, match="run the recipe again, or choose another backend"):
            verify(run, "onnx-int8")
        path.write_bytes(kept[:40])
        with pytest.raises(InputError, match=r"calibration\.npy is damaged"):
            verify(run, "onnx-int8")
    finally:
        path.write_bytes(kept)


def test_every_stage_and_the_network_are_timed_on_every_backend(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow import measure

    monkeypatch.setattr(measure, "SECONDS", 0.02)
    parameters, header = run.load()
    plan = plan_recipe(run.recipe, spec=header.spec())["tinymyo"]
    found = bench(plan, ["onnx"], parameters)
    assert [(cost.stage, cost.backend) for cost in found if not cost.note] == [
        ("bandpass", "host"), ("zscore", "host"), ("window", "host"),
        ("network", "torch"), ("network", "onnx"), ("patch", "torch"), ("patch", "onnx"),
        ("tinymyo", "torch"), ("tinymyo", "onnx"), ("classify", "torch"), ("classify", "onnx"), ("vote", "host"),
    ]  # fmt: skip
    assert all(0 < cost.p50_s <= cost.p99_s and cost.throughput > 0 for cost in found)
    by_name = {(cost.stage, cost.backend): cost for cost in found}
    assert all("all in float32" in by_name["network", name].choices for name in ("torch", "onnx"))
    macs = sum(step.cost.macs for step in plan.steps if step.stage.name in ("tinymyo", "classify"))
    network = by_name["network", "onnx"]
    assert network.macs_per_s == pytest.approx(macs / network.p50_s)
    untrained = bench(plan, [])
    assert [cost.note for cost in untrained if cost.stage == "zscore"] == ["not fitted"]
    eight = bench(plan, ["onnx-int8"], parameters)
    assert [cost.stage for cost in eight if cost.backend == "onnx-int8"] == ["network", "patch", "tinymyo", "classify"]
    done = CliRunner().invoke(app, ["bench", "plain", "--backend", "onnx"])
    assert done.exit_code == 0 and "of float32 peak" in done.output
    assert "onnx: all in float32; 1 thread" in " ".join(done.output.split())


def test_predictions_on_a_backend_in_python(run: Run) -> None:
    from myoflow.store import open_store

    store = open_store("data/tiny.zarr")
    recording = store.emg(store.rows[-1].id)
    one, other = run.predict(recording), run.predict(recording, backend="onnx")
    np.testing.assert_allclose(one, other, atol=1e-4)
    with pytest.raises(InputError, match="there is no backend 'onxx'; did you mean 'onnx'"):
        run.predict(recording, backend="onxx")
    if load_backend("cuda") is not None and importlib.util.find_spec("torch") is not None:
        import torch

        if not torch.cuda.is_available():
            with pytest.raises(InputError, match="backend 'cuda' cannot run on this machine"):
                run.predict(recording, backend="cuda")
