"""Verbs on live signals: stream, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import Backend, app

SourceOption = Annotated[
    str, typer.Option("--source", help="replay:STORE/rec?speed=1, lsl:NAME, tcp:HOST:PORT, ...; myoflow list sources")
]
Model = Annotated[Optional[str], typer.Option(help="A baseline of the recipe; default its own pipeline.")]  # noqa: UP045


@app.command()
def stream(
    what: Annotated[str, typer.Argument(metavar="RUN_OR_RECIPE", help="A finished run's folder, or a recipe.")],
    source: SourceOption = "replay",
    sink: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="terminal, jsonl:FILE, lsl:NAME, udp:HOST:PORT, ...; may be given several times."),
    ] = None,
    model: Model = None,
    backend: Backend = None,
    profile: Annotated[Optional[Path], typer.Option(help="A user's profile from `myoflow calibrate`.")] = None,  # noqa: UP045
    until: Annotated[Optional[str], typer.Option(help="Give what this stage gives.")] = None,  # noqa: UP045
    gaps: Annotated[str, typer.Option(help="What fills lost samples: hold, zero or restart.")] = "hold",
    lag: Annotated[
        str, typer.Option(help="Windows that wait longer are dropped when there are newer ones.")
    ] = "500 ms",
    patience: Annotated[str, typer.Option(help="How long a lost source may stay away.")] = "30 s",
    seconds: Annotated[Optional[float], typer.Option(help="End after so many seconds of signal.")] = None,  # noqa: UP045
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="STORE", help="Keep raw signal and decisions there."),
    ] = None,
    subject: Annotated[str, typer.Option(help="With --record: who it is, letters and digits.")] = "live",
) -> None:
    """Decode a live signal; Ctrl-C ends it with a summary."""
    from myoflow.live.command import run_stream

    run_stream(
        what,
        source,
        sink or ["terminal"],
        model=model,
        backend=backend,
        profile=profile,
        until=until,
        gaps=gaps,
        lag=lag,
        patience=patience,
        seconds=seconds,
        record=record,
        subject=subject,
    )


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    user: Annotated[str, typer.Option(help="Who calibrates: letters and digits.")],
    source: SourceOption = "replay",
    out: Annotated[Optional[Path], typer.Option(help="The profile; default profiles/USER.safetensors.")] = None,  # noqa: UP045
    repetitions: Annotated[int, typer.Option(min=2, help="Of every gesture.")] = 3,
    hold: Annotated[str, typer.Option(help="How long a gesture is held.")] = "3 s",
    rest: Annotated[str, typer.Option(help="To get ready for the next one.")] = "2 s",
    prompts: Annotated[str, typer.Option(help="screen, or events: the labels of a replayed recording.")] = "screen",
    model: Model = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="STORE", help="Keep the signal there, with the gestures as events."),
    ] = None,
) -> None:
    """Record some repetitions of every gesture and adapt a run's model to the user."""
    from myoflow.live.command import run_calibrate

    run_calibrate(
        run,
        source,
        user=user,
        out=out,
        repetitions=repetitions,
        hold=hold,
        rest=rest,
        prompts=prompts,
        model=model,
        record=record,
    )
