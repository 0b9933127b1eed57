"""events: pulses after moments, windows joined on one grid, detections counted, and a detector that learns."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import tiny
import torch

import myoflow as mf
from myoflow.answers.detections import THRESHOLDS, best_threshold, f1, precision, recall
from myoflow.errors import InputError, PlanError, RecipeError
from myoflow.evaluation.evaluate import evaluate
from myoflow.models import plan_recipe
from myoflow.pipeline import Plan
from myoflow.recipe import load
from myoflow.run import resume_run, run_recipe
from myoflow.spec import Spec
from myoflow.stages.detect import Detect
from myoflow.stages.reinhard import Reinhard
from myoflow.stages.strided_conv import StridedConv
from myoflow.stages.tinymyo import TinyMyo
from myoflow.store.momentary import Momentary
from myoflow.tasks.events import Events

RECIPE = """
data: {dataset: tiny, labels: [fist, flexion], split: {by: subject, valid: [3], test: [4]}}
pipeline:
  - highpass: {cut: 20 Hz, order: 2}
  - zscore: {over: train, per: all}
  - window: {length: 1 s, stride: 500 ms}
  - strided_conv: {width: 16, length: 60 ms, stride: 20 ms, dropout: 0}
  - tinymyo: {layers: 1, width: 16, heads: 1, dropout: 0, drop_path: 0, lookahead: 20 ms}
  - detect
train: {task: events, pulse: [200 ms, 400 ms], tolerance: [0 s, 600 ms], epochs: 3, lr: 3e-3, batch: 8}
"""


def examples(onsets: list[int], starts: list[int], **more: object) -> Momentary:
    count = len(starts)
    return Momentary(
        signals=(np.zeros((1, 1000), np.float32),),
        rate_hz=100.0,
        ids=("r",),
        subjects=("1",),
        sessions=("1",),
        subsets=("",),
        length=100,
        recording=np.zeros(count, np.int32),
        start=np.array(starts, np.int64),
        label=np.full(count, -1),
        repetition=np.zeros(count, np.int16),
        onsets=(np.array(onsets),),
        kinds=(np.array([i % 2 for i in range(len(onsets))]),),
        **{"labels": 2, "pulse_s": (0.1, 0.2), "frames": 10, "heard": 4, "hop": 10, **more},
    )


def test_frames_that_have_just_heard_a_moment_are_to_say_so() -> None:
    target = examples([130, 175, 400], [100, 150]).truth(np.arange(2))
    # frame f of window s has heard up to s + 4 + 10 f; label 0 is due 140..150, label 1 185..195
    assert np.argwhere(target[0]).tolist() == [[4, 0], [9, 1]]
    assert np.argwhere(target[1]).tolist() == [[4, 1]]


def test_a_pulse_at_a_windows_edge_is_cut_and_a_far_one_left_out() -> None:
    target = examples([85, 90], [100]).truth(np.arange(1))
    assert np.argwhere(target[0]).tolist() == [[0, 0], [0, 1]]  # 95..105 and 100..110 both hold 104, nothing 114
    assert not examples([60, 190], [100]).truth(np.arange(1)).any()


def test_a_perfect_detector_has_no_faults_and_a_deaf_one_only_misses(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    task = Events(pulse=(0.2, 0.4), tolerance=(0.0, 0.6))
    seen = task.aligned(recording([100, 400, 900]), plan)
    truth = seen.truth(np.arange(len(seen)))
    perfect = task.answers(np.where(truth > 0, 5, -5).astype(np.float32), seen, plan)
    assert np.diagonal(perfect.tables[0])[:2].tolist() == [2, 1] and perfect.tables[0, :-1, -1].sum() == 0
    perfection = {"cler": 0, "miss_rate": 0, "false_per_hour": 0, "precision": 1, "recall": 1, "f1": 1}
    assert {name: float(f(perfect.tally()[0])) for name, f in perfect.functions.items()} == perfection
    deaf = task.answers(np.full_like(truth, -5), seen, plan)
    assert deaf.functions["miss_rate"](deaf.tally()[0]) == 1.0 and np.isnan(deaf.functions["cler"](deaf.tally()[0]))
    loud = task.answers(
        np.tile(np.where(np.arange(truth.shape[1]) % 10, -5, 5)[:, None], (len(truth), 1, 2)), seen, plan
    )
    hours = loud.tables[0, -1, -1] / 3600
    assert float(loud.functions["false_per_hour"](loud.tally()[0])) == pytest.approx(
        loud.tables[0, -1, :-1].sum() / hours
    )


def planned(folder: Path) -> Plan:
    path = tiny.write(folder, RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (plan,) = plan_recipe(load(path)).values()
    return plan


def recording(onsets: list[int]) -> Momentary:
    """Ten seconds at 200 Hz, in windows of a second."""
    made = examples(onsets, list(range(0, 1801, 100)), pulse_s=(0.2, 0.4))
    return attrs.evolve(made, rate_hz=200.0, length=200, signals=(np.zeros((1, 2000), np.float32),))


def test_frames_know_only_their_past() -> None:
    torch.manual_seed(0)
    spec = Spec(("window", "channel", "time"), (None, 3, 200), 200.0, ("a", "b", "c"), labels=("x", "y"))
    stem = StridedConv(width=16, dropout=0.0)
    frames = stem.plan(spec)
    encoder = TinyMyo(layers=2, width=16, heads=2, lookahead=0.05)
    module = torch.nn.Sequential(stem.module(spec), encoder.module(frames), Detect().module(frames)).eval()
    x = torch.randn(1, 3, 200)
    y = x.clone()
    y[..., 120:] += 1.0
    with torch.no_grad():
        one, two = module(x), module(y)
    last = (120 - 21) // 10  # the last frame whose 21 samples end before the change
    assert one.shape == (1, frames.size("frame"), 2)
    assert torch.equal(one[:, : last + 1], two[:, : last + 1]) and not torch.allclose(
        one[:, last + 1], two[:, last + 1]
    )


def test_the_published_front_has_its_size() -> None:
    spec = Spec(("window", "channel", "time"), (None, 16, 16000), 2000.0, tuple("abcdefghijklmnop"), labels=("x",) * 9)
    stem = StridedConv()
    assert stem.plan(spec).size("frame") == 1598 and stem.hears(spec) == 20
    assert sum(p.numel() for p in stem.module(spec).parameters()) == stem.cost(spec).parameters == 65_088
    x = np.array([[0.0, 32.0, -32.0, 1e9]], np.float32)
    y = Reinhard().kernel(Spec.signal(1, 100.0)).feed(x)
    np.testing.assert_allclose(y, [[0, 32, -32, 64]], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("pipeline.window.stride=250ms", "do not divide"),
        ("train.releases=[fist, fits]", "no label 'fits'"),
        ("train.pulse=[400 ms, 200 ms]", "must rise"),
        ("train.threshold=1.0", "must be auto, or lie between 0 and 1, got 1"),
        ("train.threshold=high", "auto"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_read(change: str, said: str, tmp_path: Path) -> None:
    path = tiny.write(tmp_path, RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises((RecipeError, PlanError, InputError), match=said):
            plan_recipe(load(path, [change]))


def test_frames_are_not_classified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = RECIPE[: RECIPE.index("  - strided_conv")] + "  - lags\n  - lda\n"
    with pytest.raises(RecipeError, match=r"lda says what happens in each frame here: that is train\.task: events"):
        plan_recipe(load(tiny.write(tmp_path, recipe)))
    flat = recipe.replace("  - lags", "  - features: {set: hudgins}") + "train: {task: events}\n"
    with pytest.raises(RecipeError, match="ends in detect, or in lags and lda, but lda gives"):
        plan_recipe(load(tiny.write(tmp_path, flat)))


def test_a_confusion_a_miss_and_a_false_alarm_by_hand() -> None:
    table = np.array([[6, 1, 3], [0, 8, 2], [4, 1, 3600]], float)  # 20 moments, 20 detections, 14 of them right
    assert float(precision(table)) == float(recall(table)) == float(f1(table)) == 0.7
    assert np.isnan(precision([[0, 2], [0, 9]])) and recall([[0, 2], [0, 9]]) == 0, "nothing was detected"


def test_the_best_threshold_is_the_middle_of_the_best() -> None:
    tables = np.zeros((len(THRESHOLDS), 3, 3))
    tables[:, 0, 0], tables[:, 0, 2] = 5, 5
    tables[6:9, 0, 0], tables[6:9, 0, 2] = 9, 1
    assert best_threshold(tables) == THRESHOLDS[7] == 0.4
    with pytest.raises(InputError, match="no moments in the validation split"):
        best_threshold(np.zeros((len(THRESHOLDS), 3, 3)))


def test_each_model_keeps_the_threshold_of_its_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen once; evaluate, another run of the scores and a live stream go by what stands beside the weights."""
    monkeypatch.chdir(tmp_path)
    changes = ["train.threshold=auto", "train.dead=500 ms", "train.epochs=12"]
    recipe = RECIPE + "baselines: {lda: [lags: {back: [100 ms, 200 ms], stride: 20 ms}, lda]}\n"
    run = run_recipe(load(tiny.write(tmp_path, recipe), changes), out=tmp_path / "run")
    for name, model in run.metrics["models"].items():
        parameters, _ = run.load(name, 1, 0)
        (chosen,) = {float(s["threshold"]) for s in parameters.states.values() if "threshold" in s}
        assert model["threshold"] == [chosen] and chosen in THRESHOLDS
        at = model["sweep"]["threshold"].index(chosen)
        for metric in ("cler", "miss_rate", "false_per_hour"):
            assert model["sweep"][metric][at] == pytest.approx(model["metrics"][metric]["value"], abs=1e-6)
        with_all = [score for score in model["sweep"]["f1"] if score is not None]
        assert len(set(with_all)) > 1, "thresholds differ in what they give"
    again = evaluate(run, "data/tiny.zarr")
    assert {n: m["threshold"] for n, m in again["models"].items()} == {
        n: m["threshold"] for n, m in run.metrics["models"].items()
    }
    for name, model in run.metrics["models"].items():
        said = [o for o in mf.stream(run, "replay:data/tiny.zarr/sub-04/ses-01/run-1?speed=max", model=name) if o.said]
        table = np.array(model["table"])
        assert len(said) == table[:, :-1].sum() > 0, "live, the test recording gets as many detections"
    page = (run.folder / "report.html").read_text()
    assert "Precision over recall" in page and "precision is their share" in page


def test_auto_needs_people_to_choose_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tiny.write(tmp_path, RECIPE.replace("valid: [3], ", ""))
    with pytest.raises(PlanError, match="threshold: auto is chosen on a validation split"):
        run_recipe(load(path, ["train.threshold=auto"]), out=tmp_path / "run")


def test_a_run_from_recipe_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_recipe(load(tiny.write(tmp_path, RECIPE)), out=tmp_path / "run")
    scores = run.metrics["models"]["tinymyo"]["metrics"]
    assert set(scores) == {"cler", "miss_rate", "false_per_hour"}
    assert run.metrics["moments"] > 0 and 0 <= scores["miss_rate"]["value"] <= 1
    page = (run.folder / "report.html").read_text()
    assert "false alarms" in page and "flexion" in page and "1 test recordings of 1 subject." in page
    history = (run.folder / "fold-1" / "tinymyo" / "seed-0" / "history.jsonl").read_text().splitlines()
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in history]
    assert losses[-1] < losses[0]
    done = run.folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz"
    with np.load(done) as file:
        kept = {name: file[name] for name in file.files if name not in ("sweep", "threshold")}
    np.savez_compressed(done, **kept)  # as runs were before thresholds were swept
    with pytest.raises(InputError, match="an earlier version, which did not keep sweep, threshold; delete the file"):
        resume_run(run.folder)
    done.unlink()
    assert resume_run(run.folder).metrics == run.metrics
