"""Verbs on places to run: verify, bench, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import Overrides, app

RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")]
Model = Annotated[Optional[str], typer.Option(help="A baseline of the recipe; default its own pipeline.")]  # noqa: UP045


@app.command()
def verify(
    run: RunArg,
    backend: Annotated[str, typer.Option(help="The backend to prove; see `myoflow list backends`.")],
    model: Model = None,
    seed: Annotated[Optional[int], typer.Option(help="Of which training; default the recipe's first.")] = None,  # noqa: UP045
) -> None:
    """Compare a run's model on a backend with torch in float32, on its test windows."""
    from myoflow import tables
    from myoflow.errors import MyoflowError
    from myoflow.evaluation.verify import verify as prove
    from myoflow.progress import Bars
    from myoflow.run import load_run

    opened = load_run(run)
    found = prove(opened, backend, model, Bars(), seed)
    tables.parity(found, opened.recipe.train.task.measured(opened.metrics))
    if found.problems:
        raise MyoflowError(f"{backend} is not within its tolerances: " + "; ".join(found.problems))


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or path, or a run's folder.")],
    overrides: Overrides = None,
    backend: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A further backend for the learned stages; may be given several times."),
    ] = None,
) -> None:
    """Time every stage of a recipe, the learned ones on each backend asked for."""
    from myoflow import tables
    from myoflow.errors import InputError
    from myoflow.evaluation.bench import bench as measure
    from myoflow.models import main_name, plan_recipe
    from myoflow.recipe import load
    from myoflow.run import load_run

    parameters = None
    if (Path(recipe) / "recipe.yaml").is_file():
        if overrides:
            raise InputError("a run is measured as it was trained; overrides go with a recipe")
        done = load_run(recipe)
        parameters, header = done.load()
        loaded, plans = done.recipe, plan_recipe(done.recipe, spec=header.spec())
    else:
        loaded = load(recipe, overrides or ())
        plans = plan_recipe(loaded)
    tables.costs(measure(plans[main_name(loaded)], backend or (), parameters))


@app.command()
def export(
    run: RunArg,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="OUT", help="The file to write (model.onnx); for gap9 a folder."),
    ] = None,
    backend: Annotated[str, typer.Option(help="onnx, onnx-int8, or gap9 for a C project.")] = "onnx",
    model: Model = None,
    safetensors: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Write weights, config and model card into this new folder instead."),
    ] = None,
) -> None:
    """Write a run's network as one self-describing model file, as C for a microcontroller, or as safetensors."""
    from myoflow.errors import InputError
    from myoflow.run import load_run

    if (out is None) == (safetensors is None):
        raise InputError("give a file to write, such as model.onnx, or --safetensors DIR, not both")
    done = load_run(run)
    typer.echo(done.export(out, backend, model) if out is not None else done.export_folder(safetensors or "", model))
