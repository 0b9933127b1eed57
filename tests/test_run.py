"""Run: whole runs on a tiny simulation, resumed, loaded, repeated."""

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
import tiny

import myoflow as mf
from myoflow import experiment
from myoflow.errors import InputError, RecipeError
from myoflow.files import locked
from myoflow.models import changed, plan_recipe
from myoflow.recipe import load
from myoflow.run import Run, load_run, resume_run, run_recipe
from myoflow.spec import Spec
from myoflow.training import train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny dataset and recipe, and one finished run in `done`."""
    return tiny.run(tmp_path_factory.mktemp("place"), "done", tiny.RECIPE)


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def test_the_folder_holds_everything(place: Path) -> None:
    done = place / "done"
    assert {p.name for p in done.iterdir()} == {
        "recipe.yaml", "data.json", "environment.json", "log.txt", "metrics.json", "timing.json", "report.html",
        "picture.png", "fold-1",
    }  # fmt: skip
    for seed in (0, 1):
        found = {p.name for p in (done / "fold-1" / "tinymyo" / f"seed-{seed}").iterdir()}
        assert found == {"weights.safetensors", "predictions.npz", "history.jsonl", "calibration.npy"}
    assert [p.name for p in (done / "fold-1" / "lda").iterdir()] == ["seed-0"], "a fit without chance runs once"


def test_the_recipe_kept_is_filled_and_equal(place: Path, here: Path) -> None:
    kept, given = load(place / "done" / "recipe.yaml"), load("tiny_run.yaml")
    assert kept == given
    assert kept.digest == given.digest
    assert "label_smoothing" in (place / "done" / "recipe.yaml").read_text()


def test_metrics_name_protocol_split_and_models(place: Path) -> None:
    metrics = json.loads((place / "done" / "metrics.json").read_text())
    assert metrics["protocol"] == "strict"
    assert metrics["split"] == [{"train": ["01", "02"], "valid": ["03"], "test": ["04"]}]
    assert metrics["subjects"] == ["04"]
    assert set(metrics["models"]) == {"tinymyo", "lda"}
    assert len(metrics["models"]["tinymyo"]["metrics"]["accuracy"]["per_seed"]) == 2
    assert metrics["models"]["lda"]["metrics"]["accuracy"]["value"] > 0.5, "LDA on three gestures beats chance"


def test_the_report_shows_protocol_scores_and_says_simulated(place: Path) -> None:
    page = (place / "done" / "report.html").read_text()
    for words in ("Simulated", "tinymyo", "lda", "strict", "bandpass", "04"):
        assert words in page
    assert "<script" not in page


def test_two_runs_give_the_same_metrics_file(place: Path, here: Path) -> None:
    again = run_recipe(load("tiny_run.yaml"), out=here / "again")
    assert (again.folder / "metrics.json").read_bytes() == (place / "done" / "metrics.json").read_bytes()
    for path in ("tinymyo/seed-1", "lda/seed-0"):
        name = f"fold-1/{path}/weights.safetensors"
        assert (again.folder / name).read_bytes() == (place / "done" / name).read_bytes()


def test_a_killed_run_resumes_to_the_same_result(place: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = train._Training.finish_epoch
    epochs = []

    def dies(self: object, *args: object) -> None:
        finish(self, *args)  # type: ignore[arg-type]
        epochs.append(1)
        if len(epochs) == 3:  # the second seed's first epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train._Training, "finish_epoch", dies)
        run_recipe(load("tiny_run.yaml"), out=here / "killed")
    with pytest.raises(InputError, match=r"has not finished; continue it with `myoflow run --resume"):
        load_run(here / "killed")
    calls = []
    monkeypatch.setattr(experiment, "fit_model", lambda *a, **k: calls.append(k["seed"]) or FIT(*a, **k))
    done = resume_run(here / "killed")
    assert calls == [1, 0], "seed 0 of the network was done; seed 1 and lda were not"
    assert (done.folder / "metrics.json").read_bytes() == (place / "done" / "metrics.json").read_bytes()
    assert "stopped: KeyboardInterrupt" in (here / "killed" / "log.txt").read_text()


FIT = experiment.fit_model


def test_a_loaded_run_predicts_and_streams(place: Path, here: Path) -> None:
    run = mf.load_run(place / "done")
    store = mf.open_store("data/tiny.zarr")
    recording = store.emg(store.rows[-1].id)
    scores = run.predict(recording)
    assert scores.dims == ("window", "label")
    assert list(scores.label.values) == ["rest", "fist", "flexion"]
    assert scores.time.values[0] == pytest.approx(0.2)
    assert set(scores.idxmax("label").values) <= {"rest", "fist", "flexion"}
    stream = run.stream()
    pieces = [stream.feed(recording.values[:, i : i + 17]) for i in range(0, recording.sizes["time"], 17)]
    live = np.concatenate([*pieces, stream.flush()])
    np.testing.assert_array_equal(live.argmax(1), scores.values.argmax(1))
    assert run.predict(recording, model="lda").shape == scores.shape


def test_predict_refuses_what_it_was_not_trained_on(place: Path, here: Path) -> None:
    run = mf.load_run(place / "done")
    store = mf.open_store("data/tiny.zarr")
    recording = store.emg(store.rows[0].id)
    with pytest.raises(InputError, match="trained on 8 channels, got 3"):
        run.predict(recording[:3])
    with pytest.raises(InputError, match="trained at 200 Hz, got 1000 Hz; resample first"):
        run.predict(recording.drop_vars("time", errors="ignore").assign_attrs(SamplingFrequency=1000.0))
    with pytest.raises(InputError, match=r"has no units; trained on V: set attrs\['units'\]"):
        run.predict(recording.drop_attrs())
    with pytest.raises(InputError, match=r"trained on channels E1, E2, .*, got E8, E7, .*; put them in that order"):
        run.predict(recording[::-1])
    gap = recording.copy(data=recording.values.copy())
    gap[2, 30:35] = np.nan
    with pytest.raises(InputError, match=r"5 samples are not finite, the first in channel E3 at 0.150 s"):
        run.predict(gap)
    with pytest.raises(InputError, match="trained on V, got mV"):
        run.predict(recording.assign_attrs(units="mV"))
    with pytest.raises(InputError, match="has no model 'svm'; it has"):
        run.predict(recording, model="svm")


@pytest.mark.parametrize(
    ("was", "edited"),
    [
        ("test: [4]", "test: [2]"),
        ("low: 20 Hz", "low: 40 Hz"),
        ("lr: 0.002", "lr: 0.5"),
        ("width: 16", "width: 32"),
        ("set: hudgins", "set: [rms]"),
        (
            "bandpass: {low: 20 Hz, high: 90 Hz, order: 4, zero_phase: false, start: first, design_rate: null}",
            "rectify",
        ),
        ("  - vote: {span: 3}\n", ""),
    ],
)
def test_a_recipe_that_was_changed_is_not_told_of_what_another_made(
    was: str, edited: str, place: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old predictions would be scored as those of the new recipe."""
    folder = shutil.copytree(place / "done", here / f"edited_{abs(hash(edited))}")
    path = folder / "recipe.yaml"
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, edited))
    metrics = (folder / "metrics.json").read_bytes()
    for again in (resume_run, load_run):
        with pytest.raises(
            InputError, match=r"recipe\.yaml: .* has been changed since (tinymyo|lda) was trained by it"
        ):
            again(folder)
    assert (folder / "metrics.json").read_bytes() == metrics
    path.write_text(text)
    resume_run(folder)


def test_what_differs_is_named_and_fields_of_other_versions_are_not() -> None:
    before = {
        "data": {"split": {"test": [4]}, "gone": 1},
        "pipeline": [{"bandpass": {"low": "20 Hz"}}, {"rectify": {}}],
    }
    now = {
        "data": {"split": {"test": [4]}, "new": 2},
        "pipeline": [{"bandpass": {"low": "20 Hz"}}, {"rectify": {"x": 1}}],
    }
    assert changed(before, now) is None
    now["data"]["split"]["test"] = [4, 5]  # type: ignore[call-overload]
    assert changed(before, now) == "data.split.test"
    now["data"] = before["data"]
    now["pipeline"] = [{"bandpass": {"low": "40 Hz"}}, {"rectify": {}}]
    assert changed(before, now) == "pipeline.bandpass.low"
    now["pipeline"] = [{"highpass": {"low": "20 Hz"}}, {"rectify": {}}]
    assert changed(before, now) == "pipeline"
    now["pipeline"] = [{"bandpass": {"low": "20 Hz"}}]
    assert changed(before, now) == "pipeline"


def test_seeds_and_metrics_may_be_added_to_a_run(place: Path, here: Path) -> None:
    folder = shutil.copytree(place / "done", here / "longer")
    path = folder / "recipe.yaml"
    text = path.read_text().replace("seeds: [0, 1]", "seeds: [0, 1, 2]")
    path.write_text(text.replace("evaluate: [accuracy, balanced_accuracy, macro_f1]", "evaluate: [accuracy]"))
    run = resume_run(folder)
    assert run.metrics["models"]["tinymyo"]["seeds"] == 3 and run.metrics["metrics"] == ["accuracy"]


def test_a_damaged_file_of_a_run_is_named(place: Path, here: Path) -> None:
    folder = shutil.copytree(place / "done", here / "damaged")
    (folder / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json is damaged"):
        load_run(folder)
    done = folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz"
    done.write_bytes(b"x")
    with pytest.raises(InputError, match=r"predictions\.npz: not a file of predictions \(damaged, or something else\)"):
        resume_run(folder)


def test_predictions_of_an_earlier_version_are_told_and_made_again(
    place: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(place / "done", here / "earlier")
    done = folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz"
    with np.load(done) as file:
        kept = {name: file[name] for name in file.files if name != "start_s"}
    np.savez_compressed(done, **kept)
    with pytest.raises(InputError, match=r"predictions\.npz: predictions of an earlier version.*keep start_s; delete"):
        resume_run(folder)
    done.unlink()
    monkeypatch.setattr(experiment, "fit_model", lambda *a, **k: pytest.fail("it is trained already"))
    assert resume_run(folder).metrics == load_run(place / "done").metrics
    assert "tinymyo, seed 0: trained before, asked again" in (folder / "log.txt").read_text()


def test_other_data_is_not_mixed_into_a_run(place: Path, here: Path) -> None:
    copy = here / "copy"
    shutil.copytree(place / "done", copy)
    (copy / "data.json").write_text(json.dumps({"store": "x", "digest": "another"}))
    with pytest.raises(InputError, match=r"has changed since .* began; start a new run"):
        resume_run(copy)


def test_two_processes_do_not_share_a_folder(place: Path, here: Path) -> None:
    with locked(place / "done"), pytest.raises(InputError, match="another process is working in"):
        resume_run(place / "done")


def test_a_damaged_cache_is_made_again(place: Path, here: Path) -> None:
    kept = sorted((here / "cache").rglob("*.npy"))
    for path in kept:
        path.write_bytes(path.read_bytes()[:200])
    again = run_recipe(load("tiny_run.yaml", ["train.epochs=1", "train.seeds=[0]"]), out=here / "cached")
    assert again.metrics["models"]["lda"] == load_run(place / "done").metrics["models"]["lda"]


def test_the_recording_shown_is_of_the_test_split(here: Path) -> None:
    changes = ["data.split.by=session", "data.split.valid=none", "data.split.test=null", "data.split.folds=2"]
    card = (here / "datasets" / "tiny.yaml").read_text().replace("sessions: 1", "sessions: 2").replace("tiny", "twice")
    (here / "datasets" / "twice.yaml").write_text(card)
    recipe = load("tiny_run.yaml", [*changes, "data.dataset=twice", "train.epochs=1", "train.seeds=[0]"])
    run = run_recipe(recipe, out=here / "sessions")
    assert run.metrics["split"][0]["test"] == ["01"]
    page = (run.folder / "report.html").read_text()
    assert "/ses-01/run-1, subject" in page
    assert "/ses-02/run-1, subject" not in page


def test_a_backend_that_is_not_here_stops_the_run_at_once(here: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InputError, match=r"backend 'cuda' cannot run on this machine: torch sees no CUDA"):
        run_recipe(load("tiny_run.yaml"), backend="cuda", out=here / "gpu")
    assert not (here / "gpu").exists()


def test_an_input_error_before_any_work_leaves_no_folder(here: Path) -> None:
    with pytest.raises(InputError, match="asks for subject 9"):
        run_recipe(load("tiny_run.yaml", ["data.split.test=[9]"]), out=here / "early")
    assert not (here / "early").exists()


@pytest.mark.parametrize("change", ["pipeline.tinymyo.weights=gone.ckpt", "train.start=gone"])
def test_weights_that_are_not_there_are_told_before_any_data_is_read(change: str, here: Path) -> None:
    recipe = load("tiny_run.yaml", [change, "data.store=nowhere.zarr"])
    with pytest.raises(InputError, match="there are no weights at gone"):
        run_recipe(recipe, out="weightless")
    assert not Path("weightless").exists()


def test_an_encoder_that_is_frozen_as_it_was_drawn_is_told(here: Path) -> None:
    changes = ["pipeline.tinymyo.adapt=frozen", "train.epochs=1", "train.seeds=[0]", "baselines=null"]
    run = run_recipe(load("tiny_run.yaml", changes), out=here / "frozen")
    assert "tinymyo has adapt: frozen and no weights" in (run.folder / "log.txt").read_text()
    run = run_recipe(load("tiny_run.yaml", [*changes, "train.start=frozen"]), out=here / "on")
    assert "no weights" not in (run.folder / "log.txt").read_text()


def test_folds_test_every_subject_once(here: Path) -> None:
    recipe = load("tiny_run.yaml", ["data.split.valid=none", "data.split.test=null", "data.split.folds=4", "train.epochs=1", "train.seeds=[0]"])  # fmt: skip  # noqa: E501
    run = run_recipe(recipe, out=here / "folds")
    assert run.metrics["subjects"] == ["01", "02", "03", "04"]
    assert [fold["test"] for fold in run.metrics["split"]] == [["01"], ["02"], ["03"], ["04"]]
    assert "fold 4" in (run.folder / "report.html").read_text()
    assert isinstance(run, Run)
    assert run.pipeline("lda", fold=3).parameters.states


def test_train_statistics_come_from_training_recordings_alone(place: Path, here: Path) -> None:
    """zscore over train: the mean kept with the model is that of subjects 01 and 02 after the filter."""
    run = mf.load_run(place / "done")
    store = mf.open_store("data/tiny.zarr")
    band = mf.Pipeline.from_yaml("- bandpass: {low: 20 Hz, high: 90 Hz}")
    filtered = np.concatenate(
        [band.run(store.emg(r.id)).values for r in store.rows if r.subject in ("01", "02")], axis=1
    )
    state = run.pipeline().parameters.states[1]
    found = [v for v in state.values() if np.shape(v) and np.allclose(v.ravel(), filtered.std(axis=1), rtol=1e-3)]
    assert found, f"no state is the training standard deviation: {state}"


def test_a_repetition_split_keeps_repetitions_apart(here: Path) -> None:
    changes = ["data.split.by=repetition", "data.split.valid=null", "data.split.test=[2]", "train.epochs=1"]
    with pytest.raises(RecipeError, match=r"tiny_run.yaml:5:\d+: zscore learns from whole training recordings"):
        run_recipe(load("tiny_run.yaml", changes), out=here / "leaky")
    recipe = load(
        tiny.write(here, tiny.RECIPE.replace("  - zscore: {over: train}\n", "")), [*changes, "train.seeds=[0]"]
    )
    tiny.write(here)
    run = run_recipe(recipe, out=here / "repetitions")
    assert run.metrics["split"] == [{"train": ["1"], "valid": [], "test": ["2"]}]


def test_a_split_by_the_parts_of_the_dataset(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings that are in no part, or in one that is not asked for, are never seen."""
    from myoflow.store import index

    parts = {"01": "train", "02": "train", "03": "test", "04": "held_out"}
    known = index.row_of

    def row_of(group: Path) -> index.Row:
        row = known(group)
        return attrs.evolve(row, subset=parts[row.subject])

    monkeypatch.setattr(index, "row_of", row_of)
    monkeypatch.setenv("MYOFLOW_DATA", str(here / "parted"))
    text = tiny.RECIPE.replace("{by: subject, valid: [3], test: [4]}", "{by: subset, train: [train], test: [test]}")
    (here / "parted.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0]"))
    run = run_recipe(load(here / "parted.yaml"), out=here / "parted_run")
    assert run.metrics["split"] == [{"train": ["train"], "valid": [], "test": ["test"]}]
    assert run.metrics["subjects"] == ["03"]


def test_plan_errors_point_into_the_recipe(here: Path) -> None:
    broken = here / "broken.yaml"
    broken.write_text(tiny.RECIPE.replace("20 samples", "30 samples"))
    with pytest.raises(RecipeError, match=r"broken.yaml:8:21: patch .*30"):
        plan_recipe(load(broken))
    broken.write_text(tiny.RECIPE.replace("lda: [features: {set: hudgins}, lda]", "lda: [lda]"))
    with pytest.raises(RecipeError, match=r"broken.yaml:13:\d+: lda takes \(window, feature\)"):
        plan_recipe(load(broken))


def test_a_wrong_recipe_leaves_no_folder_behind(here: Path) -> None:
    with pytest.raises(RecipeError):
        run_recipe(load("tiny_run.yaml", ["pipeline.bandpass.high=900 Hz"]), out=here / "nothing")
    assert not (here / "nothing").exists()


def test_a_folder_in_use_is_not_overwritten(place: Path, here: Path) -> None:
    with pytest.raises(InputError, match="is in use"):
        run_recipe(load("tiny_run.yaml"), out=place / "done")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run's folder: it has no recipe.yaml"):
        load_run(tmp_path)


def test_a_missing_store_says_how_to_make_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYOFLOW_DATA", str(here / "nowhere"))
    with pytest.raises(
        InputError, match=r"no store for uci_emg at .*nowhere/uci_emg.zarr; make it with `myoflow convert"
    ):
        run_recipe(load("gestures_uci"), out=here / "never")
    shutil.rmtree(here / "never", ignore_errors=True)


def test_labels_of_a_subset(here: Path) -> None:
    plans = plan_recipe(load("tiny_run.yaml", ["data.labels=[fist, rest]"]), spec=None)
    assert plans["tinymyo"].output.labels == ("fist", "rest")
    assert plans["lda"].input == Spec.signal(
        ("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8"), 200, labels=("fist", "rest")
    )
