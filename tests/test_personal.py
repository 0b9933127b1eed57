"""Personal: a network moved to a held-out person by some of that person's executions, and asked about the others."""

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tiny
import torch
from typer.testing import CliRunner

from myoflow import weights
from myoflow.answers.predictions import Predictions
from myoflow.cli import app
from myoflow.data.source import locate_store
from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.experiment import Experiment
from myoflow.live.profile import load_profile
from myoflow.models import plan_recipe
from myoflow.personal import AFTER, _examples, calibrate, check, executions
from myoflow.progress import Progress
from myoflow.recipe import load
from myoflow.run import Run, load_run, run_recipe
from myoflow.store.windows import Windows
from myoflow.training.fit import Fitted, Split, refit

RECIPE = tiny.ONE_SEED.replace("  - vote: {span: 3}\n", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.run(tmp_path_factory.mktemp("personal"), "done", RECIPE)


@pytest.fixture
def done(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return load_run(place / "done")


def changed(run: Run, *changes: str) -> Run:
    return attrs.evolve(run, recipe=load(run.folder / "recipe.yaml", changes))


def kept(found: dict[str, Any]) -> Path:
    return Path(found["folder"]) / f"subject-{found['subjects'][0]}" / "seed-0.safetensors"


def surprise(run: Run, parameters: Parameters) -> float:
    """Mean cross-entropy of the executions that the person gives to learn from, of whom two epochs know little."""
    plan = plan_recipe(run.recipe, spec=run.spec())["tinymyo"]
    learn, _ = _examples(run.recipe, locate_store(run.recipe.data, Progress()), plan, parameters, "04", 1)
    scores = torch.from_numpy(Fitted(plan, parameters).outputs(learn))
    return float(torch.nn.functional.cross_entropy(scores, torch.from_numpy(learn.label)))


@pytest.mark.parametrize("how", ["full", "frozen", "lora"])
def test_a_person_is_learned_and_asked_about_the_rest(done: Run, how: str) -> None:
    run = changed(done, f"calibrate.adapt={how}", "calibrate.epochs=12", "calibrate.lr=1e-2")
    assert run.recipe.digest == done.recipe.digest, "a calibration is no other run"
    found = calibrate(run, ["4"])
    whole = json.loads((done.folder / "metrics.json").read_text())["windows"]
    assert 0 < found["windows"] < whole, "one of two executions is not tested on"
    profile = load_profile(kept(found), run, "tinymyo")
    known = weights.load(run.weights_file())[0]
    assert set(profile.weights) == set(known.weights), "what lora learned is in the plain matrices"
    assert surprise(run, profile.over(known)) < surprise(run, known) - 0.1, "what it was shown it knows"
    moved = {name for name, value in profile.weights.items() if not np.array_equal(value, known.weights[name])}
    inside = {name for name in moved if ".blocks." in name}
    assert bool(inside) == (how != "frozen") and "classify.classifier.weight" in moved
    if how == "lora":
        assert all(".attn." in name or ".mlp." in name for name in inside) and "tinymyo.embed.weight" not in moved


def test_the_profile_decides_as_the_calibrated_model_did(done: Run) -> None:
    run = changed(done, "calibrate.epochs=3")
    found = calibrate(run, ["4"])
    profile = load_profile(kept(found), run, "tinymyo")
    known, header = run.load()
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    test = experiment.held_out("tinymyo", 1)
    model = Fitted(plan_recipe(run.recipe, spec=header.spec())["tinymyo"], profile.over(known))
    said = run.recipe.train.task.predict(model, test)
    assert isinstance(said, Predictions)
    order = executions(test)
    keys = zip(test.label.tolist(), test.recording.tolist(), test.repetition.tolist(), strict=True)
    later = np.array([order[key] >= 1 for key in keys])
    right = float((said.scores.argmax(1) == said.label)[later].mean())
    assert right == pytest.approx(found["models"][AFTER]["metrics"]["accuracy"]["value"])
    assert profile.after == pytest.approx(right) and profile.before != profile.after


@pytest.mark.parametrize("how", ["frozen", "lora"])
def test_a_run_that_was_trained_with_lora_moves_on(done: Run, how: str) -> None:
    """Whatever rank it had; the profile fits the run, whose own thin products must not count twice."""
    folder = Path("thin")
    if not folder.exists():
        changes = [
            "pipeline.tinymyo.weights=done",
            "pipeline.tinymyo.adapt=lora",
            "pipeline.tinymyo.rank=3",
            "train.lr=0.03",
        ]
        run_recipe(load("tiny_run.yaml", changes), out=folder)
    run = changed(load_run(folder), f"calibrate.adapt={how}", "calibrate.epochs=12", "calibrate.lr=1e-2")
    found = calibrate(run, ["4"])
    profile, known = load_profile(kept(found), run, "tinymyo"), run.load()[0]
    assert set(profile.weights) == set(known.weights)
    assert any(np.abs(v).max() > 0 for n, v in known.weights.items() if n.endswith("lora_up")), "it had learned by them"
    assert surprise(run, profile.over(known)) < surprise(run, known) - 0.1
    plan = plan_recipe(run.recipe, spec=run.spec())["tinymyo"]
    _, test = _examples(run.recipe, locate_store(run.recipe.data, Progress()), plan, known, "04", 1)
    said = run.recipe.train.task.predict(Fitted(plan, profile.over(known)), test)
    right = float((said.scores.argmax(1) == said.label).mean())  # type: ignore[attr-defined]
    assert right == pytest.approx(found["models"][AFTER]["metrics"]["accuracy"]["value"])


def test_the_same_seed_gives_the_same_person(done: Run) -> None:
    run = changed(done, "calibrate.epochs=2")
    torch.manual_seed(5)
    first = calibrate(run, ["4"])
    torch.manual_seed(6)
    assert calibrate(run, ["4"]) == first
    assert calibrate(run, ["4", "04"]) == first, "nobody counts twice"


def test_executions_are_counted_in_time() -> None:
    windows = Windows(
        signals=(), rate_hz=1.0, ids=("a", "b"), subjects=("1", "1"), sessions=("", ""), subsets=("", ""), length=1,
        recording=np.array([0, 0, 0, 0, 1], np.int32), start=np.arange(5), label=np.array([1, 1, 0, 1, 1]),
        repetition=np.array([2, 2, 1, 1, 2], np.int16),
    )  # fmt: skip
    assert executions(windows) == {(1, 0, 2): 0, (0, 0, 1): 0, (1, 0, 1): 1, (1, 1, 2): 2}


def test_what_cannot_be_calibrated_is_told(done: Run) -> None:
    with pytest.raises(InputError, match="subject 2 was not held out for testing; these were: 4"):
        check(done.recipe, ["2"])
    with pytest.raises(InputError, match=r"too few executions of .*lower calibrate.repetitions"):
        calibrate(changed(done, "calibrate.repetitions=2"), ["4"])
    lda, nothing = plan_recipe(done.recipe, spec=done.spec())["lda"], Parameters()
    with pytest.raises(InputError, match="lda is fitted at once"):
        refit(lda, Split(None, None), done.recipe.train, nothing, seed=0, folder=Path("x"), progress=Progress())
    by_repetition = load(done.folder / "recipe.yaml", ["data.split={by: repetition, test: [2]}"])
    with pytest.raises(InputError, match="this recipe splits by repetition"):
        check(by_repetition, ["4"])


def test_the_command_runs_and_refuses_other_changes(done: Run) -> None:
    resumed = ["run", "--resume", "done", "--calibrate", "4"]
    said = CliRunner().invoke(app, [*resumed, "calibrate.epochs=1", "calibrate.adapt=frozen"])
    assert said.exit_code == 0, said.output
    assert "as trained" in said.output and "adapt: frozen" in said.output
    other = CliRunner().invoke(app, [*resumed, "train.lr=1e-4"])
    assert other.exit_code != 0 and "only calibrate.* can be changed" in str(other.exception or other.output)
