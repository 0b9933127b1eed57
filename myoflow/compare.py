"""Compare: two finished runs on the examples that both were tested on, with a paired test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from myoflow.answers import Answers, concat
from myoflow.errors import InputError
from myoflow.scores import summarise

if TYPE_CHECKING:
    from myoflow.run import Run


def compare(one: Run, other: Run, model: str | None = None, other_model: str | None = None) -> dict[str, Any]:
    """`one` minus `other`: metrics of both, differences with paired intervals and p values, as plain values.

    `model` and `other_model` name a model in each run, default each run's own. Folds are put together, seeds paired.

    Raises:
        InputError: runs of different tasks or without a common metric, or tested on different examples.
    """
    kinds = [run.recipe.train.task.name for run in (one, other)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{one.folder} learns to {kinds[0]}, {other.folder} to {kinds[1]}: nothing to compare")
    metrics = [name for name in one.recipe.evaluate if name in other.recipe.evaluate]
    if not metrics:
        raise InputError(f"{one.folder} and {other.folder} have no metric in common (evaluate)")
    chosen = [model or one.metrics["main"], other_model or other.metrics["main"]]
    names = [f"{run.folder.name}/{name}" for run, name in zip((one, other), chosen, strict=True)]
    if names[0] == names[1]:
        names = [f"{run.folder}/{name}" for run, name in zip((one, other), chosen, strict=True)]
    if names[0] == names[1]:
        raise InputError(f"{names[0]} is compared with itself; name another run or model")
    answers = {name: _answers(run, m) for name, run, m in zip(names, (one, other), chosen, strict=True)}
    found = summarise(answers, metrics, names[0])
    sides = {
        side: {"name": name, "audit": run.metrics["audit"], **found["models"][name]}
        for side, name, run in zip(("one", "other"), names, (one, other), strict=True)
    }
    shared = {key: found[key] for key in ("windows", "subjects", "interval", "metrics")}
    return {**shared, **sides, "differences": found["differences"][names[1]]}


def _answers(run: Run, model: str) -> list[Answers]:
    """A model's answers, one a seed with folds put together."""
    task, seeds = run.recipe.train.task, run.recipe.train.seeds
    run.weights_file(model)  # says which models there are
    folders = sorted(run.folder.glob("fold-*"), key=lambda path: int(path.name.partition("-")[2]))
    own = seeds[: run.metrics["models"][model]["seeds"]]
    return [
        concat([task.load(folder / model / f"seed-{seed}" / "predictions.npz") for folder in folders]) for seed in own
    ]
