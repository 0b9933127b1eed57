"""Live: a run or a pipeline on a signal that comes now; `mf.stream(run, source)`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myoflow.live.output import Notice
    from myoflow.live.session import Session
    from myoflow.live.source import Source
    from myoflow.live.timeline import Policy
    from myoflow.pipeline import Pipeline
    from myoflow.recipe import Recipe
    from myoflow.run import Run
    from myoflow.spec import Spec


def stream(
    what: Run | Recipe | Pipeline | str | Path,
    source: str | Source | Iterable[Any] = "replay",
    *,
    model: str | None = None,
    backend: str | None = None,
    profile: str | Path | None = None,
    until: str | None = None,
    spec: Spec | None = None,
    gaps: Policy = "hold",
    lag_s: float = 0.5,
    patience_s: float = 30.0,
    record: str | Path | None = None,
    subject: str = "live",
    notice: Callable[[Notice], None] | None = None,
) -> Session:
    """Decode a live signal: iterate over what this gives. A run whose task has a decoder of its own (`events`, silent
    speech) gives what that says: moments, words, sound (`Output.said`).

        for decision in mf.stream(run, "lsl:MyoArmband"):
            print(decision.time_s, decision.label, decision.latency.total_s)

    Args:
        what: a finished run (or its folder), a recipe (or its name) whose stages need no training, or a Pipeline.
        source: as on the command line (`replay:STORE/rec?speed=2`, `lsl:NAME`, `tcp:HOST:PORT`, ...), a Source, or any
            iterable of arrays `(channel, time)`.
        model: a baseline of the run; `backend`: where it runs; `profile`: a user's calibration.
        until: stop behind this stage, and give what it gives.
        spec: what a Pipeline takes; without it, what the source gives.
        gaps, lag_s, patience_s: see `Session`.
        record: a store that keeps raw signal and outputs, as `subject`.
        notice: is told what happens to the stream; without it, that goes to the logger `myoflow.live`.

    Raises:
        PlanError: a stage cannot stream, with its name, the reason and what to use instead.
        InputError: an untrained pipeline, a source that is not there or does not fit.
    """
    from myoflow.live.address import parse
    from myoflow.live.chunks import Chunks
    from myoflow.live.open import decoder_of, listener_of, open_run_or_recipe
    from myoflow.live.recorder import Recorder
    from myoflow.live.session import Session
    from myoflow.live.source import SOURCES, Source

    if isinstance(what, (str, Path)):
        what = open_run_or_recipe(what)
    listen = listener_of(what, model) if until is None else None
    pipeline, context = decoder_of(what, model=model, backend=backend, profile=profile, until=until, spec=spec)
    if isinstance(source, str):
        source = parse(source, SOURCES)
    elif not isinstance(source, Source):
        source = Chunks(source)
    recorder = None if record is None else Recorder(Path(record), subject=subject)
    told = notice or (lambda happened: logging.getLogger("myoflow.live").warning("%s", happened.text))
    settings: dict[str, Any] = {"gaps": gaps, "lag_s": lag_s, "patience_s": patience_s}
    return Session(pipeline, source, context, notice=told, recorder=recorder, listen=listen, **settings)
