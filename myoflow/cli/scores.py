"""Verbs on what finished runs are worth: evaluate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from myoflow.cli.app import Backend, app

if TYPE_CHECKING:
    from myoflow.run import Run

RunArg = Annotated[Path, typer.Argument(help="A finished run's folder.")]


@app.command()
def evaluate(
    run: RunArg,
    store: Annotated[Path, typer.Argument(help="A store: all of it is tested on.")],
    fold: Annotated[int, typer.Option(help="Whose fold's models are asked.")] = 1,
    backend: Backend = None,
) -> None:
    """Score a run's models on any store, subject by subject, and say what of it was trained on."""
    from myoflow import tables
    from myoflow.evaluation.evaluate import evaluate as scored
    from myoflow.evaluation.evaluate import kept
    from myoflow.progress import Bars
    from myoflow.run import load_run
    from myoflow.store import open_store

    loaded = load_run(run)
    found = scored(loaded, store, fold=fold, backend=backend, progress=Bars())
    tables.evaluation(found, loaded.recipe.train.task.measured(found), kept(loaded, open_store(store)))


@app.command()
def compare(
    run: Annotated[str, typer.Argument(help="A finished run, or a pattern that several match: 'runs/few_*'.")],
    other: Annotated[str, typer.Argument(help="Another one, or as many, tested on the same examples.")],
    model: Annotated[Optional[str], typer.Option(help="A model of the first; default its own.")] = None,  # noqa: UP045
    other_model: Annotated[Optional[str], typer.Option(help="A model of the other; default its own.")] = None,  # noqa: UP045
) -> None:
    """Compare two runs on the same test examples, with a paired test; of several on each side, as draws, the means."""
    from myoflow import tables
    from myoflow.evaluation.compare import compare as compared

    ones, others = _runs(run), _runs(other)
    first = ones[0]
    tables.comparison(compared(ones, others, model, other_model), first.recipe.train.task.measured(first.metrics))


def _runs(pattern: str) -> list[Run]:
    """The finished runs that a pattern names. Raises InputError: there is none."""
    from glob import glob

    from myoflow.errors import InputError
    from myoflow.run import load_run

    if Path(pattern).is_dir() or not any(sign in pattern for sign in "*?["):
        return [load_run(pattern)]
    found = [load_run(path) for path in sorted(glob(pattern)) if Path(path).is_dir()]
    if not found:
        raise InputError(f"no folder matches {pattern}")
    return found
