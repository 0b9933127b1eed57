"""Open: from a run, a recipe or a pipeline to what a session decodes with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from myoflow.errors import InputError, PlanError, did_you_mean
from myoflow.live.source import Context
from myoflow.models import main_name, pipelines
from myoflow.pipeline import Pipeline
from myoflow.recipe import Recipe
from myoflow.run import Run, load_run
from myoflow.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from myoflow.listener import Listener
    from myoflow.pipeline import Plan
    from myoflow.spec import Spec


def decoder_of(
    what: Run | Recipe | Pipeline | str | Path,
    *,
    model: str | None = None,
    backend: str | None = None,
    profile: str | Path | None = None,
    until: str | None = None,
    spec: Spec | None = None,
) -> tuple[Pipeline, Context]:
    """The pipeline to stream, with its numbers, and what a source may know of it.

    Raises:
        PlanError, RecipeError: a stage cannot stream; in a recipe with its line.
        InputError: there is no such run, recipe, model or stage, or it has not been trained.
    """
    if isinstance(what, (str, Path)):
        what = open_run_or_recipe(what)
    if isinstance(what, Pipeline):
        if model or backend or profile:
            raise InputError("model, backend and profile belong to a run; a pipeline has its own")
        return _until(what, until), Context(spec)
    if isinstance(what, Recipe):
        return _of_recipe(what, model, backend, profile, until, spec)
    name = model or main_name(what.recipe)
    pipeline = what.pipeline(model, backend=backend)
    if profile is not None:
        from myoflow.live.profile import load_profile

        pipeline = pipeline.with_parameters(load_profile(profile, what, name).over(pipeline.parameters))
    pipeline, spec = _until(pipeline, until), what.spec(model)
    _refuse(what.recipe, name, pipeline, spec)
    return pipeline, Context(spec, what.recipe)


def listener_of(what: Run | Recipe | Pipeline, model: str | None) -> Callable[[Plan], Listener] | None:
    """What makes the decoder of a run's task for a stretch of signal; None where it has none. Raises InputError."""
    if not isinstance(what, Run):
        return None
    task, folder = what.recipe.train.task, what.weights_file(model).parent
    if type(task).listener is Task.listener:
        return None
    return lambda plan: _there(task.listener(plan, folder))


def _there(listener: Listener | None) -> Listener:
    assert listener is not None, "a task that defines it gives one"
    return listener


def open_run_or_recipe(name: str | Path) -> Run | Recipe:
    """A finished run where the name is its folder, else the recipe of that name.

    Raises:
        InputError: it is neither.
    """
    if (Path(name) / "recipe.yaml").is_file():
        return load_run(name)
    if Path(name).is_dir():
        raise InputError(f"{name} is not a run's folder: it has no recipe.yaml")
    if "/" in str(name) and Path(name).suffix not in (".yaml", ".yml"):
        raise InputError(f"there is no run's folder {name}")
    from myoflow.recipe import load

    return load(name)


def _of_recipe(
    recipe: Recipe,
    model: str | None,
    backend: str | None,
    profile: str | Path | None,
    until: str | None,
    spec: Spec | None,
) -> tuple[Pipeline, Context]:
    from myoflow.data.source import card_spec

    if profile is not None:
        raise InputError("a profile belongs to a run; give the run's folder")
    name = model or main_name(recipe)
    models = pipelines(recipe, backend)
    if name not in models:
        raise InputError(f"recipe {recipe.name} has no model '{name}'; it has {', '.join(models)}")
    pipeline, spec = _until(models[name], until), spec or card_spec(recipe.data)
    _refuse(recipe, name, pipeline, spec)
    untrained = [stage.name for stage in pipeline.stages if stage.fits or not stage.on_host()]
    if untrained:
        first = [stage.name for stage in pipeline.stages].index(untrained[0])
        before = f", or stream what comes before it: --until {pipeline.stages[first - 1].name}" if first else ""
        raise InputError(
            f"{recipe.name} has stages that learn ({', '.join(untrained)}), and a recipe alone has learned nothing; "
            f"give the folder of a run (`myoflow run {recipe.name}` makes one){before}"
        )
    return pipeline, Context(spec, recipe)


def _until(pipeline: Pipeline, until: str | None) -> Pipeline:
    if until is None:
        return pipeline
    names = [stage.name for stage in pipeline.stages]
    if until not in names:
        raise InputError(f"there is no stage '{until}'{did_you_mean(until, names) or '.'} Stages: {', '.join(names)}")
    stop = len(names) - names[::-1].index(until)
    return Pipeline(
        pipeline.stages[:stop],
        backend=pipeline.backend,
        backends=pipeline.backends[:stop],
        parameters=pipeline.parameters,
    )


def _refuse(recipe: Recipe, model: str, pipeline: Pipeline, spec: Spec) -> None:
    """Raise RecipeError, with its place, at the first stage that cannot stream."""
    baseline = None if model == main_name(recipe) else model
    try:
        plan = pipeline.plan(spec)
    except PlanError as error:
        raise recipe.located(error, baseline) from None
    for step in plan.steps:
        new = step.after.blockers[len(step.before.blockers) :]
        if new:
            raise recipe.located(PlanError(f"this pipeline cannot stream: {'; '.join(new)}", step.index), baseline)
