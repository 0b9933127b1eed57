"""Models: a recipe's own pipeline and its baselines, by name, planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow import mix, network
from myoflow.backend import load_backend
from myoflow.data.source import card_spec
from myoflow.errors import InputError, PlanError
from myoflow.files import read_json
from myoflow.heads import Heads
from myoflow.pipeline import Pipeline, Plan, engine_of
from myoflow.stage import cutting
from myoflow.training.fit import learned

if TYPE_CHECKING:
    from myoflow.recipe import Recipe
    from myoflow.spec import Spec


def pipelines(recipe: Recipe, backend: str | None = None) -> dict[str, Pipeline]:
    """The recipe's models by name: the pipeline itself, then each baseline behind the stage that cuts."""
    backend = backend or recipe.backend
    cut = cutting(recipe.pipeline)
    stages, backends = recipe.pipeline, recipe.backends
    if recipe.heads:
        stages, backends = (*stages, Heads(recipe.heads)), (*backends, None)
    found = {main_name(recipe): Pipeline(stages, backend=backend, backends=backends)}
    for name, tail in recipe.baselines.items():
        if name in found:
            raise recipe.located(
                PlanError(f"'{name}' is what the pipeline itself is called; rename the baseline"), name
            )
        if cut is None:
            raise recipe.located(PlanError("there is no window stage, behind which baselines branch off"), name)
        stop = cut + 1
        backends = (*recipe.backends[:stop], *recipe.baseline_backends[name])
        found[name] = Pipeline((*recipe.pipeline[:stop], *tail), backend=backend, backends=backends)
    return found


def main_name(recipe: Recipe) -> str:
    """What reports call the recipe's own pipeline: its encoder, or else its last stage."""
    names = [stage.name for stage in recipe.pipeline]
    return "tinymyo" if "tinymyo" in names else names[-1]


def plan_recipe(recipe: Recipe, backend: str | None = None, spec: Spec | None = None) -> dict[str, Plan]:
    """Plans of all models, from the dataset's card unless `spec` says what the store really holds.

    Raises:
        RecipeError: a stage does not fit, with its place in the recipe.
    """
    _refuse_published(recipe)
    spec = spec or card_spec(recipe.data)
    plans = {}
    for name, pipeline in pipelines(recipe, backend).items():
        try:
            if recipe.heads and name == main_name(recipe):
                _plan_heads(recipe, spec)
            plans[name] = pipeline.plan(spec)
            cut = plans[name].cut
            learned(plans[name], cut + 1)
            if recipe.data.also and not recipe.train.task.mixes:
                raise PlanError(f"data.also is for tasks that learn without labels; {recipe.train.task.name} does not")
            recipe.train.task.check(plans[name])
            mix.plans(recipe.data, plans[name])
            if recipe.data.split.by == "repetition":
                _refuse_recording_statistics(plans[name], cut)
        except PlanError as error:
            if name != main_name(recipe):
                raise recipe.located(error, name) from None
            raise recipe.located(error, head=error.head if recipe.heads else None) from None
    return plans


def _plan_heads(recipe: Recipe, spec: Spec) -> None:
    """Each head on its own, so that an error has its place there. Raises RecipeError, or PlanError of the pipeline."""
    after = Pipeline(recipe.pipeline).plan(spec).output
    for name, stages in recipe.heads.items():
        try:
            Pipeline(stages).plan(after)
            Heads({name: stages}).plan(after)
        except PlanError as error:
            raise recipe.located(error, head=name) from None


def _refuse_published(recipe: Recipe) -> None:
    """Stages that only repeat a publication's flaws stand in recipes that say so."""
    for index, stage in enumerate(recipe.pipeline):
        if stage.published_only is not None and recipe.protocol != "published":
            raise recipe.located(PlanError(stage.published_only, index))


def require_backends(plans: Mapping[str, Plan]) -> None:
    """Raise InputError when a backend of the plans cannot be had on this machine, before any work is done."""
    for name in sorted({step.backend for plan in plans.values() for step in plan.steps}):
        reason = engine_of(name).missing(load_backend(name))
        if reason:
            raise InputError(f"backend '{name}' cannot run on this machine: {reason}")


def same_recipe(folder: Path, recipe: Recipe, names: Iterable[str]) -> None:
    """Raise InputError when a run's recipe was changed since a model was trained: what is there was not made by it.

    Fields that another version of myoflow has, or has no more, count for nothing.
    """
    known = read_json(folder / "data.json", {}).get("models", {})
    for name in names:
        before, now = known.get(name), recipe.part(None if name == main_name(recipe) else name)
        where = changed(before, now) if isinstance(before, dict) else None
        if where is not None:
            raise InputError(
                f"{folder / 'recipe.yaml'}: {where} has been changed since {name} was trained by it; undo that, or run "
                "it as a recipe of its own. Seeds, metrics and baselines may be added to a run"
            )


def changed(before: Any, now: Any, place: str = "") -> str | None:
    """Where plain values differ, as dotted keys; None where they agree in all keys that both have."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        shared = [key for key in before if key in now]
        if before and now and not shared:
            return place
        places = (changed(before[key], now[key], f"{place}.{key}".lstrip(".")) for key in shared)
        return next((found for found in places if found is not None), None)
    if isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        places = (changed(one, other, place) for one, other in zip(before, now, strict=True))
        return next((found for found in places if found is not None), None)
    return None if before == now else place


def require_weights(recipe: Recipe, plans: Mapping[str, Plan]) -> None:
    """Raise InputError when weights that training starts from are not there or do not fit, before any work is done."""
    for plan in plans.values():
        segment = learned(plan, plan.cut + 1)
        if segment is None:
            continue
        if recipe.train.start is not None or any(getattr(stage, "weights", None) for stage in segment.stages):
            module, _ = network.fresh(segment)
            if recipe.train.start is not None:
                network.continued(module, recipe.train.start, segment.stages)


def _refuse_recording_statistics(plan: Plan, cut: int) -> None:
    """A split by repetition cuts through recordings, so that signal statistics would see the test part."""
    for step in plan.steps[:cut]:
        if step.stage.fits:
            raise PlanError(
                f"{step.stage.name} learns from whole training recordings, but a split by repetition cuts through "
                "recordings; use `over: window` or `over: running`",
                step.index,
            )
