"""Verbs on recipes and on the libraries: run, check, list, show, cp, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import Backend, Cluster, Jobs, Overrides, RecipeArg, app


@app.command()
def run(
    recipe: Annotated[Optional[str], typer.Argument(help="A recipe's name or path.")] = None,  # noqa: UP045
    overrides: Overrides = None,
    backend: Backend = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The run's folder; default runs/<recipe>/<time>."),
    ] = None,
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Continue a run that was stopped, from its folder."),
    ] = None,
    jobs: Jobs = None,
    cluster: Cluster = None,
) -> None:
    """Run a recipe: prepare, train, evaluate, report."""
    from myoflow.errors import InputError
    from myoflow.parallel import workers
    from myoflow.progress import Bars
    from myoflow.run import assist_run, process_number, resume_run, run_recipe

    if (recipe is None) == (resume is None):
        raise InputError("give a recipe to run, or --resume RUN, not both")
    if process_number() > 0:
        assist_run(resume or out)
        return
    chosen = workers(jobs, cluster)
    if resume is not None:
        if overrides or backend or out:
            raise InputError("--resume takes the run's own recipe; overrides, --backend and --out do not go with it")
        done = resume_run(resume, progress=Bars(), workers=chosen)
    else:
        from myoflow.recipe import load

        assert recipe is not None
        loaded = load(recipe, overrides or ())
        done = run_recipe(loaded, backend=backend, out=out, progress=Bars(), workers=chosen)
    from myoflow import tables

    tables.scores(done)


@app.command()
def check(recipe: RecipeArg, overrides: Overrides = None, backend: Backend = None) -> None:
    """Plan a recipe and print the plan, without opening data or training."""
    from myoflow import tables
    from myoflow.models import plan_recipe
    from myoflow.recipe import load

    loaded = load(recipe, overrides or ())
    tables.plans(loaded, plan_recipe(loaded, backend))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="stages, datasets, formats, backends, recipes, sources or sinks.")],
) -> None:
    """List what there is."""
    from myoflow import tables

    tables.listing(what)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A stage, dataset, backend, recipe, sources.NAME or sinks.NAME.")],
) -> None:
    """Show one stage (fields, units, defaults, backends), dataset card, backend or recipe."""
    from myoflow import tables

    tables.show(name)


@app.command()
def cp(
    recipe: RecipeArg,
    to: Annotated[Optional[Path], typer.Argument(help="Where; default ./recipes/<name>.yaml.")] = None,  # noqa: UP045
) -> None:
    """Copy a shipped recipe to edit it."""
    import shutil

    from myoflow.errors import InputError
    from myoflow.library import find

    source = find("recipes", recipe)
    target = to or Path("recipes") / source.name
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise InputError(f"{target} exists already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    typer.echo(f"{target}: edit it, then run `myoflow run {target}`")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for completion in editors."""
    import json

    from myoflow.schema import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=2))
