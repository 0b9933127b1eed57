"""Calibration: prompts, collected windows, a head or an LDA moved towards one person, a profile that stream loads."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import myoflow as mf
from myoflow.cli import app
from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.live.adapt import adapt, head_of
from myoflow.live.profile import load_profile
from myoflow.live.prompts import Marked, Screen
from myoflow.network import build
from myoflow.pipeline import Pipeline
from myoflow.recording import Events
from myoflow.run import Run
from myoflow.spec import Spec

LABELS = ("rest", "fist", "flexion")
SPEC = Spec.signal(4, 1000.0, labels=LABELS)


def test_prompts_ask_for_everything_in_another_order_each_time() -> None:
    said: list[str] = []
    screen = Screen(LABELS, 3, 3.0, 2.0, lambda text, seconds: said.append(text), seed=1)
    assert len(screen.trials) == 9 and screen.end_s == 45
    for repetition in (1, 2, 3):
        assert {t.label for t in screen.trials if t.repetition == repetition} == {0, 1, 2}
    for now in np.arange(0, 46, 0.1):
        screen.tick(float(now))
    changes = [text for text, last in zip(said, ["", *said[:-1]], strict=True) if text != last]
    assert len(changes) == 18 and changes[0].startswith("get ready for") and changes[1].startswith("hold")
    first = screen.trials[0]
    assert not first.holds(first.start_s + 0.4, first.start_s + 0.6), "people react late"
    assert first.holds(first.start_s + 0.5, first.stop_s) and not first.holds(first.start_s + 1, first.stop_s + 0.01)


def test_marked_takes_the_first_repetitions() -> None:
    columns = [np.array(c) for c in ((0, 500, 1000, 1500, 2000), (400,) * 5, (1, 0, 1, 0, 1), (1, 1, 2, 2, 3))]
    events = Events(*columns, names=("fist", "rest"))  # type: ignore[arg-type]
    marked = Marked(events, 1000.0, ("rest", "fist"), 2)
    assert [(t.label, t.start_s, t.repetition) for t in marked.trials] == [
        (0, 0, 1),
        (1, 0.5, 1),
        (0, 1, 2),
        (1, 1.5, 2),
    ]
    with pytest.raises(InputError, match="fewer than two executions of flexion"):
        Marked(events, 1000.0, LABELS, 2)


def person(seed: int, shift: float, count: int = 90, width: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of three gestures, of a person whose electrodes sit elsewhere by `shift`."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    centres = 3 * np.eye(3, width)
    x = centres[y] @ np.roll(np.eye(width), round(shift), axis=1) + 0.7 * rng.standard_normal((count, width))
    return x.astype(np.float32), y, np.arange(count) * 3 // count


def test_lda_learns_a_person_who_is_elsewhere_and_keeps_one_who_is_not() -> None:
    pipeline = Pipeline([mf.Window(length="50 ms", stride="50 ms"), mf.Features(), mf.LDA()])
    plan = pipeline.plan(SPEC)
    before = plan.steps[2].before
    width = before.size("feature")
    x, y, _ = person(0, 0, 600, width)
    parameters = Parameters(states={2: mf.LDA().fit(before, [(x, y)])})
    assert head_of(plan) == 2
    moved = adapt(plan, 2, parameters, *person(1, 1, width=width))
    assert (
        moved.before < 0.6 and moved.after > 0.9 and set(moved.states[2]) == {"mean", "scale", "weights", "intercept"}
    )
    fresh, labels, _ = person(2, 1, width=width)
    own = Parameters(states={2: moved.states[2]})
    found = pipeline.with_parameters(own)
    kernel = mf.LDA().kernel(before, found.parameters.states[2])
    assert (kernel.feed(fresh).argmax(axis=1) == labels).mean() > 0.9, "and people's next repetitions as well"
    same = adapt(plan, 2, parameters, *person(3, 0, width=width))
    assert same.after >= same.before > 0.9


def test_a_head_learns_a_person_and_the_encoder_stays() -> None:
    stages = [
        mf.Window(length="40 ms", stride="40 ms"),
        mf.Patch(length="20 samples"),
        mf.TinyMyo(layers=1, width=16, heads=1),
        mf.Classify(),
    ]
    plan = Pipeline(stages).plan(SPEC)
    from myoflow.training.fit import learned

    network = learned(plan, 1)
    assert network is not None and head_of(plan) == 3
    torch.manual_seed(0)
    weights = {name: tensor.numpy().copy() for name, tensor in build(network).state_dict().items()}
    rng = np.random.default_rng(0)
    y, repetition = np.arange(90) % 3, np.arange(90) // 30
    tokens = rng.standard_normal((90, *map(int, plan.steps[3].before.sizes[1:]))).astype(np.float32)  # type: ignore[arg-type]
    tokens[np.arange(90), y, :, y] += 3.0
    found = adapt(plan, 3, Parameters(weights=weights), tokens, y, repetition)
    assert found.after > 0.9 > found.before
    assert found.weights and all(name.startswith("classify") for name in found.weights) and not found.states
    assert any(not np.array_equal(value, weights[name]) for name, value in found.weights.items())


def test_thin_products_learn_a_person_along_with_the_head_and_nothing_else() -> None:
    """Patches whose gestures differ in what a head alone, on an encoder that sees nothing of it, cannot tell."""
    stages = [
        mf.Window(length="40 ms", stride="40 ms"),
        mf.Patch(length="20 samples"),
        mf.TinyMyo(layers=1, width=16, heads=1, adapt="lora", rank=4, dropout=0.0, drop_path=0.0),
        mf.Classify(),
    ]
    plan = Pipeline(stages).plan(SPEC)
    from myoflow.training.fit import learned

    network = learned(plan, 1)
    assert network is not None and head_of(plan) == 2
    torch.manual_seed(0)
    weights = {name: tensor.numpy().copy() for name, tensor in build(network).state_dict().items()}
    rng = np.random.default_rng(0)
    y, repetition = np.arange(90) % 3, np.arange(90) // 30
    patches = rng.standard_normal((90, *map(int, plan.steps[2].before.sizes[1:]))).astype(np.float32)  # type: ignore[arg-type]
    patches[np.arange(90), y] *= 4.0
    found = adapt(plan, 2, Parameters(weights=weights), patches, y, repetition)
    assert found.after > 0.7 > 0.5 > found.before and "thin products and classify" in found.method
    assert {name.split(".")[-1] for name in found.weights} == {"lora_up", "lora_down", "weight", "bias"}
    assert all("lora" in name or name.startswith("classify") for name in found.weights)
    moved = [n for n, value in found.weights.items() if "lora_up" in n and not np.array_equal(value, weights[n])]
    assert moved


def test_calibrate_and_stream_with_the_profile(run: Run, place: Path) -> None:
    """On a replayed recording whose labels are the prompts; the recording is kept with them as events."""
    command = ["calibrate", "plain", "--user", "anna", "--source", "replay?speed=max", "--prompts", "events"]
    done = CliRunner().invoke(app, [*command, "--repetitions", "2", "--record", "mine.zarr"])
    assert done.exit_code == 0, done.output
    assert "decided rightly before" in done.output and "--profile profiles/anna.safetensors" in done.output
    profile = load_profile(place / "profiles" / "anna.safetensors", run, "tinymyo")
    assert profile.user == "anna" and profile.after >= profile.before and profile.repetitions == 2
    plain = list(mf.stream(run, "replay?speed=max"))
    own = list(mf.stream(run, "replay?speed=max", profile=place / "profiles" / "anna.safetensors"))
    assert len(own) == len(plain)
    if profile.method != "as trained":
        assert any(not np.array_equal(a.values, b.values) for a, b in zip(own, plain, strict=True))
    store = mf.open_store(place / "mine.zarr")
    kept = store.raw(store.rows[0].id)
    assert store.rows[0].subject == "anna" and kept.events.names == ("rest", "fist", "flexion")
    assert sorted(kept.events.label.tolist()) == [0, 0, 1, 1, 2, 2]


def test_a_recording_follows_no_prompts_on_the_screen(run: Run, place: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "plain", "--user", "cy", "--source", "replay?speed=max"])
    assert isinstance(done.exception, InputError) and done.exception.exit_code == 2
    assert "a recording does not follow prompts on the screen; take its own labels (--prompts events)" in str(
        done.exception
    )
    assert not (place / "profiles" / "cy.safetensors").exists()


def test_the_line_to_use_a_profile_by_can_be_pasted(run: Run, place: Path) -> None:
    words = ["calibrate", "plain", "--user", "di", "--source", "replay?speed=max", "--prompts", "events"]
    done = CliRunner().invoke(app, [*words, "--model", "lda", "--repetitions", "99", "--out", "di's.safetensors"])
    line = done.output[done.output.index("use it: ") + 8 :].splitlines()[0]
    assert "(of 99 asked for)" in done.output
    words = shlex.split(line)[1:]
    assert words[-1] == "replay?speed=max" and CliRunner().invoke(app, [*words, "--sink", "file:di.csv"]).exit_code == 0


def test_what_does_not_go_together_is_refused(run: Run, place: Path) -> None:
    profile = mf.calibrate(run, "replay?speed=max", user="bo", prompts="events", model="lda", repetitions=2)
    assert profile.model == "lda"
    profile.save(place / "bo.safetensors")
    with pytest.raises(InputError, match="calibrates the model lda, not tinymyo; add --model lda"):
        mf.stream(run, "replay", profile=place / "bo.safetensors")
    with pytest.raises(InputError, match="there is no profile at"):
        mf.stream(run, "replay", profile=place / "nobody.safetensors")
    weights = run.weights_file("lda")
    with pytest.raises(InputError, match="is not a profile of this version"):
        mf.stream(run, "replay", profile=weights, model="lda")
    before = weights.read_bytes()
    try:
        weights.write_bytes(before + b" ")
        with pytest.raises(InputError, match="calibrated on another run"):
            load_profile(place / "bo.safetensors", run, "lda")
    finally:
        weights.write_bytes(before)
    with pytest.raises(InputError, match=r"hold for 0\.7 s or more"):
        mf.calibrate(run, "replay", user="bo", hold_s=0.3)
    with pytest.raises(InputError, match="2 repetitions or more"):
        mf.calibrate(run, "replay", user="bo", repetitions=1)
