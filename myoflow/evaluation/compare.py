"""Compare: two finished runs, or several draws of two experiments, on the examples that all were tested on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from myoflow.answers.base import Answers, concat
from myoflow.answers.scores import summarise
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.run import Run


def compare(
    one: Run | Sequence[Run], other: Run | Sequence[Run], model: str | None = None, other_model: str | None = None
) -> dict[str, Any]:
    """`one` minus `other`: metrics of both, differences with paired intervals and p values, as plain values.

    `model` and `other_model` name a model in each run, default each run's own. Folds are put together, seeds paired.
    Several runs on each side are draws, of the training data (`data.share_seed`) or of the seed: they are paired by
    these, and intervals are about other draws as well as about other people.

    Raises:
        InputError: runs of different tasks or without a common metric, tested on different examples, or several that
            cannot be paired.
    """
    ones, others = (sorted(_listed(side), key=_draw) for side in (one, other))
    metrics = _common([*ones, *others])
    _check_draws(ones, others)
    chosen = [model or ones[0].metrics["main"], other_model or others[0].metrics["main"]]
    names = [f"{_called(runs, short=True)}/{name}" for runs, name in zip((ones, others), chosen, strict=True)]
    if names[0] == names[1]:
        names = [f"{_called(runs, short=False)}/{name}" for runs, name in zip((ones, others), chosen, strict=True)]
    if names[0] == names[1]:
        raise InputError(f"{names[0]} is compared with itself; name another run or model")
    answers: dict[str, list[Answers]] = {name: [] for name in names}
    draws: list[int] = []
    for number, pair in enumerate(zip(ones, others, strict=True)):
        found = [_answers(run, name) for run, name in zip(pair, chosen, strict=True)]
        count = math.lcm(*map(len, found)) if len(ones) > 1 else 0  # a single pair's seeds are paired by the scores
        for name, seeds in zip(names, found, strict=True):
            answers[name] += seeds * (count // len(seeds) or 1)
        draws += [number] * count
    scored = summarise(answers, metrics, names[0], draws=draws or None)
    sides = {
        side: {"name": name, "audit": runs[0].metrics["audit"], **scored["models"][name]}
        for side, name, runs in zip(("one", "other"), names, (ones, others), strict=True)
    }
    shared = {key: scored[key] for key in ("windows", "rows", "subjects", "interval", "metrics")}
    return {**shared, **sides, "differences": scored["differences"][names[1]]}


def _listed(side: Run | Sequence[Run]) -> list[Run]:
    return list(side) if isinstance(side, Sequence) else [side]


def _draw(run: Run) -> tuple[int, tuple[int, ...]]:
    """What was drawn for a run: its share of the labels, and its seeds."""
    return run.recipe.data.share_seed, run.recipe.train.seeds


def _common(runs: Sequence[Run]) -> list[str]:
    """Metrics of all runs. Raises InputError: there are none, or the runs learn different things."""
    first = runs[0]
    for run in runs[1:]:
        kinds = [each.recipe.train.task.name for each in (first, run)]
        if kinds[0] != kinds[1]:
            raise InputError(f"{first.folder} learns to {kinds[0]}, {run.folder} to {kinds[1]}: nothing to compare")
    metrics = [name for name in first.recipe.evaluate if all(name in run.recipe.evaluate for run in runs)]
    if not metrics:
        raise InputError(f"{first.folder} and {runs[-1].folder} have no metric in common (evaluate)")
    return metrics


def _check_draws(ones: Sequence[Run], others: Sequence[Run]) -> None:
    """Raise InputError when several runs are no draws of one experiment, or cannot be paired."""
    if not ones or not others:
        raise InputError("there are no runs to compare")
    if len(ones) != len(others):
        raise InputError(f"{len(ones)} runs cannot be paired with {len(others)}: give as many draws of both")
    if len(ones) == 1:
        return
    for runs in (ones, others):
        for before, after in pairwise(runs):
            if _draw(before) == _draw(after):
                raise InputError(
                    f"{before.folder} and {after.folder} have the same data.share_seed and train.seeds: these are not "
                    "two draws of one experiment"
                )
            if before.recipe.data.share != after.recipe.data.share:
                shares = [run.recipe.data.share for run in (before, after)]
                raise InputError(
                    f"{before.folder} learns from a share of {shares[0]:g}, {after.folder} from {shares[1]:g}: compare "
                    "draws of one share"
                )
    for run, opposite in zip(ones, others, strict=True):
        if _draw(run) != _draw(opposite):
            raise InputError(
                f"{run.folder} has no counterpart of the same draw: data.share_seed and train.seeds are "
                f"{_draw(run)[0]} and {list(_draw(run)[1])}, those of the nearest, {opposite.folder}, are "
                f"{_draw(opposite)[0]} and {list(_draw(opposite)[1])}"
            )


def _called(runs: Sequence[Run], *, short: bool) -> str:
    """The first run's folder, and how many stand beside it."""
    name = runs[0].folder.name if short else str(runs[0].folder)
    return name if len(runs) == 1 else f"{name} and {len(runs) - 1} more"


def _answers(run: Run, model: str) -> list[Answers]:
    """A model's answers, one a seed with folds put together."""
    task, seeds = run.recipe.train.task, run.recipe.train.seeds
    run.weights_file(model)  # says which models there are
    folders = sorted(run.folder.glob("fold-*"), key=lambda path: int(path.name.partition("-")[2]))
    if not folders:
        raise InputError(f"{run.folder} has lost its predictions: there is no fold-1 in it")
    own = seeds[: run.metrics["models"][model]["seeds"]]
    return [
        concat([task.load(folder / model / f"seed-{seed}" / "predictions.npz") for folder in folders]) for seed in own
    ]
