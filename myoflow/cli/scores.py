"""Verbs on what finished runs are worth: evaluate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import Backend, app

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
    from myoflow.evaluate import evaluate as scored
    from myoflow.evaluate import kept
    from myoflow.progress import Bars
    from myoflow.run import load_run
    from myoflow.store import open_store

    loaded = load_run(run)
    found = scored(loaded, store, fold=fold, backend=backend, progress=Bars())
    tables.evaluation(found, loaded.recipe.train.task.measured(found), kept(loaded, open_store(store)))


@app.command()
def compare(
    run: RunArg,
    other: Annotated[Path, typer.Argument(help="Another one, tested on the same examples.")],
    model: Annotated[Optional[str], typer.Option(help="A model of the first; default its own.")] = None,  # noqa: UP045
    other_model: Annotated[Optional[str], typer.Option(help="A model of the other; default its own.")] = None,  # noqa: UP045
) -> None:
    """Compare two runs on the same test examples, with a paired test."""
    from myoflow import tables
    from myoflow.compare import compare as compared
    from myoflow.run import load_run

    one = load_run(run)
    found = compared(one, load_run(other), model, other_model)
    tables.comparison(found, one.recipe.train.task.measured(one.metrics))
