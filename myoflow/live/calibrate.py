"""Calibrate: some repetitions of every gesture, and a run's model moved towards the person who made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from myoflow.errors import InputError
from myoflow.live.adapt import adapt, balanced, head_of
from myoflow.live.address import parse
from myoflow.live.open import decoder_of
from myoflow.live.profile import Profile, base_of
from myoflow.live.prompts import Marked, Say, Screen
from myoflow.live.recorder import Recorder
from myoflow.live.session import Session
from myoflow.live.source import SOURCES, Context, Source
from myoflow.models import main_name
from myoflow.pipeline import Pipeline
from myoflow.run import Run, load_run

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


def calibrate(
    run: Run | str | Path,
    source: str | Source,
    *,
    user: str,
    repetitions: int = 3,
    hold_s: float = 3.0,
    rest_s: float = 2.0,
    prompts: Literal["screen", "events"] = "screen",
    model: str | None = None,
    record: str | Path | None = None,
    say: Say = lambda text, seconds: None,
    seed: int = 0,
) -> Profile:
    """A profile for `user`; `profile.save(path)` keeps it, `mf.stream(run, ..., profile=path)` uses it.

    With `prompts="screen"`, `say(text, seconds)` is told what the user shall do; with `events` a replayed recording's
    own labels are taken. What is learned is chosen by leaving out one repetition after the other, so that a model which
    calibration does not help stays as it was trained.

    Raises:
        InputError: the model cannot be calibrated, the source does not fit or cannot follow prompts, too little was
            recorded.
    """
    run = run if isinstance(run, Run) else load_run(run)
    name = model or main_name(run.recipe)
    pipeline, context = decoder_of(run, model=model)
    assert context.spec is not None, "a run knows its input"
    if repetitions < 2:
        raise InputError(f"calibration needs 2 repetitions or more, to leave one out; got {repetitions}")
    plan = pipeline.plan(context.spec)
    head = head_of(plan)
    labels = plan.output.labels
    window_s = plan.output.window_s or 0.0
    if prompts == "screen" and hold_s < window_s + 0.5:
        raise InputError(f"hold for {window_s + 0.5:g} s or more: half a second to react and one window")
    before = Pipeline(
        pipeline.stages[:head], backend=pipeline.backend, backends=pipeline.backends[:head]
    ).with_parameters(pipeline.parameters)
    recorder = None if record is None else Recorder(Path(record), subject=user)
    opened = parse(source, SOURCES) if isinstance(source, str) else source
    session = Session(before, opened, Context(context.spec, run.recipe), recorder=recorder, labels=labels)
    screen = Screen(labels, repetitions, hold_s, rest_s, say, seed)
    asked = _marked(session, labels, repetitions) if prompts == "events" else _prompted(session, screen)
    x, y, repetition = _collect(session, asked, window_s)
    balanced(y.tolist(), labels)
    found = adapt(plan, head, pipeline.parameters, x, y, repetition)
    return Profile(
        user=user,
        model=name,
        base=base_of(run, name),
        method=found.method,
        windows=len(y),
        repetitions=len(np.unique(repetition)),
        before=found.before,
        after=found.after,
        states=found.states,
        weights=found.weights,
    )


def _prompted(session: Session, screen: Screen) -> Screen:
    """Prompts for a person. Raises InputError where nobody can follow them."""
    if session.origin is not None:
        session.close()
        raise InputError(
            f"{session.origin}: a recording does not follow prompts on the screen; take its own labels (--prompts "
            "events), or give a live --source"
        )
    return screen


def _marked(session: Session, labels: tuple[str, ...], repetitions: int) -> Marked:
    """The labels of the recording that is replayed. Raises InputError where there are none."""
    try:
        if session.truth is None:
            raise InputError("this source has no events; use prompts on the screen, or replay a labelled recording")
        return Marked(session.truth, session.signal.rate_hz, labels, repetitions)
    except InputError:
        session.close()
        raise


def _collect(session: Session, asked: Screen | Marked, window_s: float) -> tuple[Array, Array, Array]:
    """Inputs of the head, labels and repetitions of all windows inside the trials; made-up samples do not count."""
    kept: list[Any] = []
    labels: list[int] = []
    repetitions: list[int] = []
    rate, recorder = session.signal.rate_hz, session.recorder
    written = 0
    for output in session:
        asked.tick(output.end_s)
        for trial in asked.trials:
            if trial.holds(output.end_s - window_s, output.end_s) and not output.filled:
                kept.append(output.values)
                labels.append(trial.label)
                repetitions.append(trial.repetition)
        while written < len(asked.trials) and output.end_s >= asked.trials[written].stop_s:
            trial = asked.trials[written]
            written += 1
            if recorder is not None:
                recorder.event(trial.label, round(trial.start_s * rate), round(trial.stop_s * rate), trial.repetition)
        if output.end_s >= asked.end_s:
            session.stop("calibrated")
    if not kept:
        raise InputError("no window was recorded: the source ended before the first gesture was done")
    return np.stack(kept), np.array(labels), np.array(repetitions)
