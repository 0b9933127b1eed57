"""Evaluate: a finished run's models on any store, with intervals, subject by subject, and what may have leaked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from myoflow.data.prepare import input_spec, signals
from myoflow.errors import InputError
from myoflow.evaluation.audit import Finding, against
from myoflow.evaluation.beginnings import seen_by
from myoflow.evaluation.prints import print_of
from myoflow.experiment import Experiment
from myoflow.files import cache_folder, read_json, write_json
from myoflow.models import plan_recipe, require_backends
from myoflow.prepared import Prepared
from myoflow.progress import Progress
from myoflow.store import open_store
from myoflow.training.fit import Fitted

if TYPE_CHECKING:
    from myoflow.pipeline import Plan
    from myoflow.run import Run
    from myoflow.store import Store


def evaluate(
    run: Run, store: str | Path, *, fold: int = 1, backend: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Scores of all models and seeds of one fold on every recording of a store, as metrics.json lays them out.

    The store's labels are matched by name; events of other names are left out. Also keeps them, as
    `evaluations/<store>.json` in the run's folder.

    Raises:
        InputError: another rate, other units or channels than trained on, no example with a label that is known, or,
            for speech, the run's own data is gone.
    """
    told, opened = progress or Progress(), open_store(Path(store))
    recipe = run.recipe if backend is None else run.recipe.with_backend(backend)
    trained = run.spec()
    given = input_spec(opened, recipe.data, trained.labels)
    _require(trained.require_source, given, opened)
    plans = plan_recipe(recipe, spec=trained)
    require_backends(plans)
    models: dict[str, list[Any]] = {}
    for name, plan in plans.items():
        seeds = recipe.train.seeds[: run.metrics["models"][name]["seeds"]]
        for seed in seeds:
            parameters, _ = run.load(name, fold, seed)
            model = Fitted(plan, parameters)
            examples = _examples(run, opened, model, told)
            examples = recipe.train.task.asked(examples, partial(_own, run, name, fold, told))
            models.setdefault(name, []).append(recipe.train.task.predict(model, examples))
    found = {
        "store": str(opened.path),
        "run": str(run.folder),
        "fold": fold,
        **recipe.train.task.summarise(models, recipe.evaluate, run.metrics["main"]),
        "audit": [attrs.asdict(finding) for finding in _leaks(run, opened, fold, plans[run.metrics["main"]])],
    }
    path = kept(run, opened)
    path.parent.mkdir(exist_ok=True)
    write_json(path, found)
    return found


def kept(run: Run, store: Store) -> Path:
    """Where the scores on a store are kept."""
    return run.folder / "evaluations" / f"{store.path.stem}.json"


def _require(check: Any, given: Any, store: Store) -> None:
    try:
        check(given)
    except InputError as error:
        raise InputError(f"{store.path}: {error}") from None


def _examples(run: Run, store: Store, model: Fitted, progress: Progress) -> Any:
    """Everything in the store that has a label, cut as for a test."""
    step = model.plan.steps[model.plan.cut]
    cache = cache_folder()
    prepared: list[Prepared] = signals(
        store, run.recipe.data, model.plan, step.index, model.parameters, cache=cache, progress=progress
    )
    people = tuple(dict.fromkeys(signal.subject for signal in prepared))
    task = run.recipe.train.task
    examples = task.aligned(task.examples(prepared, step, ((), (), people), "subject")[2], model.plan)
    if not len(examples):
        known = ", ".join(model.plan.input.labels)
        raise InputError(f"{store.path} has nothing to test on: no span long enough with one of the labels {known}")
    return examples


def _own(run: Run, name: str, fold: int, progress: Progress) -> Any:
    """The run's own test examples. Raises InputError: its data is gone or has changed."""
    experiment = Experiment(run.recipe, run.folder, progress)
    experiment.open()
    return experiment.held_out(name, fold)


def _leaks(run: Run, store: Store, fold: int, plan: Plan) -> list[Finding]:
    """Whether recordings of the store were trained on, and whether its people were."""
    began = Path(read_json(run.folder / "data.json", {"store": ""})["store"])
    original = open_store(began).only(run.recipe.data.only) if (began / "index.json").is_file() else None
    split, by = run.metrics["split"][fold - 1], run.recipe.data.split.by
    learned = {*split["train"], *split["valid"]}
    rows = original.rows if original is not None else ()
    # A split by repetition cuts through recordings: all of them were trained on in part.
    trained = [row for row in rows if by == "repetition" or getattr(row, by) in learned]
    found = against(store, original, [row.id for row in trained])
    further = _further(run, store, fold, by)
    if any(finding.about == "recordings" for finding in further):  # the first store alone had been looked at
        found = []
    found += further
    if original is not None and store.dataset == original.dataset:
        people = {row.subject for row in trained} & {row.subject for row in store.rows}
        text = f"{len(people)} of these people were trained on: the score says nothing about new ones."
        found.append(Finding("people", False, text if people else "None of these people was trained on."))
    else:
        found.append(Finding("people", False, f"Another dataset ({store.dataset}): who is who is not known."))
    return found


def _further(run: Run, store: Store, fold: int, by: str) -> list[Finding]:
    """Whether recordings of the store were learned from a recipe's further stores, or by weights that it began with."""
    trainings = seen_by(run.folder, fold)
    marks = {row.id: print_of(store.path / row.id) for row in store.rows}
    people = {(store.dataset or "", row.subject) for row in store.rows}
    found = [Finding("beginning", *seen.told(marks, people, by)) for seen in trainings[1:]]
    again = [name for name, mark in marks.items() if trainings and trainings[0].recordings.names(mark)]
    if again and run.recipe.data.also:
        few = ", ".join(again[:3]) + (", ..." if len(again) > 3 else "")
        text = f"{len(again)} of {len(store)} recordings were trained on, further stores counted: {few}."
        found.insert(0, Finding("recordings", True, text))
    return found
