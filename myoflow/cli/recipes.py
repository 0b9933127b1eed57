"""Verbs on recipes and on the libraries: run, check, list, show, cp, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from myoflow.cli.app import Backend, Cluster, Jobs, Overrides, RecipeArg, app

if TYPE_CHECKING:
    from myoflow.parallel import Workers
    from myoflow.recipe import Recipe


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
    calibrate: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="SUBJECT", help="Then move the network to this held-out person; may be given again."),
    ] = None,
    judge: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="MODEL", help="Then let a Whisper or wav2vec2 hear the made voices: its folder or name."),
    ] = None,
) -> None:
    """Run a recipe: prepare, train, evaluate, report."""
    from myoflow import tables
    from myoflow.errors import InputError
    from myoflow.parallel import workers
    from myoflow.progress import Bars
    from myoflow.recipe import load
    from myoflow.run import assist_run, process_number, resume_run, run_recipe

    changes = [*(overrides or ())]
    if resume is not None and calibrate and recipe is not None and "=" in recipe:
        changes, recipe = [recipe, *changes], None  # there is no recipe to name: the first word is a change, too
    if (recipe is None) == (resume is None):
        raise InputError("give a recipe to run, or --resume RUN, not both")
    if process_number() > 0:
        assist_run(resume or out)
        return
    chosen = workers(jobs, cluster)
    if resume is not None:
        if (changes and not calibrate) or backend or out:
            raise InputError("--resume takes the run's own recipe; overrides, --backend and --out do not go with it")
        if not calibrate and not judge:
            tables.scores(resume_run(resume, progress=Bars(), workers=chosen))
    else:
        assert recipe is not None
        loaded = load(recipe, changes)
        _can_follow(loaded, calibrate, judge)
        done = run_recipe(loaded, backend=backend, out=out, progress=Bars(), workers=chosen)
        tables.scores(done)
        resume, changes = done.folder, []
    if calibrate:
        _calibrate(resume, calibrate, changes, chosen)
    if judge:
        _judge(resume, judge, chosen)


def _can_follow(recipe: Recipe, calibrate: list[str] | None, judge: str | None) -> None:
    """Whether what is asked for after a run will be possible. Raises InputError."""
    if calibrate:
        from myoflow.personal import check

        check(recipe, calibrate)
    if judge:
        from myoflow.evaluation.outside import check as can_judge

        can_judge(recipe, judge)


def _calibrate(folder: Path, subjects: list[str], changes: list[str], workers: Workers) -> None:
    """Move a finished run's network to people that it has not seen, and say what that brought."""
    import attrs

    from myoflow import tables
    from myoflow.errors import InputError
    from myoflow.personal import calibrate
    from myoflow.progress import Bars
    from myoflow.recipe import load
    from myoflow.run import load_run

    done = load_run(folder)
    recipe = load(folder / "recipe.yaml", changes)
    if recipe.digest != done.recipe.digest:
        raise InputError("a finished run is calibrated as it is: only calibrate.* can be changed beside --resume")
    found = calibrate(attrs.evolve(done, recipe=recipe), subjects, progress=Bars(), workers=workers)
    tables.calibration(found, recipe.train.task.measured(found))


def _judge(folder: Path, model: str, workers: Workers) -> None:
    """Let a recogniser from elsewhere hear a finished run, and make its report again with what it heard."""
    from myoflow import tables
    from myoflow.evaluation.outside import judge
    from myoflow.progress import Bars
    from myoflow.run import load_run, resume_run

    found = judge(load_run(folder), model, progress=Bars())
    resume_run(folder, progress=Bars(), workers=workers)
    tables.heard(found)


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

    from myoflow.language.schema import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=2))
