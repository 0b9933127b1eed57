"""Parity: what another backend changed in a model's answers on held-out windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, frozen

from myoflow.answers.scores import difference, score
from myoflow.backend import load_backend
from myoflow.distance import Distance, Floats
from myoflow.heads import Heads
from myoflow.models import plan_recipe

if TYPE_CHECKING:
    from myoflow.answers.base import Answers
    from myoflow.pipeline import Plan
    from myoflow.recipe import Recipe
    from myoflow.task import Task


@frozen
class Change:
    """A metric on torch in float32 and on the backend, and the difference with its interval, in its own unit."""

    reference: float
    value: float
    difference: float
    low: float
    high: float


@frozen
class Parity:
    """One model on `backends` against torch in float32, on the same windows.

    `outputs` says by head (`output` where there is one) how far its numbers are from the reference's. `decisions` is
    how many windows were decided otherwise, None where nothing is decided. `problems` are empty where the stated
    tolerances hold.
    """

    backends: tuple[str, ...]
    windows: int
    outputs: Mapping[str, Distance]
    decisions: int | None
    metrics: Mapping[str, Change]
    problems: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "backends": list(self.backends), "problems": list(self.problems)}


def inexact(plan: Plan) -> tuple[str, ...]:
    """Backends of a plan that compute otherwise than torch in float32 does, in order of appearance."""
    names = dict.fromkeys(step.backend for step in plan.steps if not step.stage.training_only)
    return tuple(name for name in names if not load_backend(name).exact)


def reference_plans(recipe: Recipe, like: Plan) -> dict[str, Plan]:
    """Plans of a recipe's models with every stage on its default: host, and torch in float32."""
    plain = evolve(recipe, backend=None, backends=(), baseline_backends={})  # type: ignore[misc]
    return plan_recipe(plain, spec=like.input)


def without_memory(plan: Plan) -> Plan:
    """The plan up to the first stage that remembers (a vote): behind it small differences vanish, or turn decisions."""
    stop = next((step.index for step in plan.steps if step.stage.remembers), len(plan.steps))
    return evolve(plan, steps=plan.steps[:stop])


def apart(plan: Plan, values: Floats) -> dict[str, Floats]:
    """What a plan has given, by head, whose numbers are of other kinds and sizes."""
    last = plan.steps[-1]
    return last.stage.split(last.before, values) if isinstance(last.stage, Heads) else {"output": values}


def compare(
    task: Task,
    reference: Answers,
    other: Answers,
    backends: Sequence[str],
    metrics: Sequence[str],
    outputs: tuple[Mapping[str, Floats], Mapping[str, Floats]],
) -> Parity:
    """How far `other`, computed on `backends`, is from `reference`, computed by torch in float32.

    `outputs` are both models' numbers by head (`apart`), before any stage that remembers.

    Raises:
        InputError: they are of different windows, or a backend does not exist.
    """
    one, two = outputs
    far = {name: Distance.between(values, two[name]) for name, values in one.items()}
    before, after = score(reference, metrics), score(other, metrics)
    moved = difference(other, reference, metrics)
    changes = {
        name: Change(before[name].value, after[name].value, moved[name].value, moved[name].low, moved[name].high)
        for name in metrics
    }
    cards = [load_backend(name) for name in backends]
    tolerance = max((card.tolerance for card in cards), default=0.0)
    points = max((card.metric_tolerance for card in cards), default=0.0)
    problems = [f"{name} {problem}" for name, found in far.items() if (problem := found.problem(tolerance))]
    for name, change in changes.items():
        worse = task.measures[name].worse(change.difference, change.reference)
        if worse > points + 1e-9:
            way = "lower" if task.measures[name].better == "higher" else "higher"
            unit = "points" if task.measures[name].unit == "%" else "%"
            problems.append(f"{name} is {worse:.2f} {unit} {way}, {points:g} is allowed")
    return Parity(
        backends=tuple(backends),
        windows=len(reference),
        outputs=far,
        decisions=reference.turned(other),
        metrics=changes,
        problems=tuple(problems),
    )
