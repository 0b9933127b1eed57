"""Personal: a finished run's network moved to people it has not seen, by a few of their own repetitions."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from myoflow.answers.base import concat
from myoflow.data.prepare import signals
from myoflow.data.source import labels_of, locate_store
from myoflow.errors import InputError
from myoflow.evaluation.audit import overlapping
from myoflow.files import cache_folder, write_json
from myoflow.live.profile import Profile
from myoflow.models import plan_recipe
from myoflow.progress import Progress
from myoflow.split import unit_key, units_of
from myoflow.training.fit import Fitted, Split, refit

if TYPE_CHECKING:
    from myoflow.parallel import Workers
    from myoflow.pipeline import Plan
    from myoflow.recipe import Calibrate, Recipe
    from myoflow.run import Run
    from myoflow.store import Store
    from myoflow.store.windows import Windows

BEFORE, AFTER = "as trained", "calibrated"


def check(recipe: Recipe, subjects: Sequence[str]) -> None:
    """What can be known before anything is trained.

    Raises:
        InputError: the recipe does not hold people out, or not these, or nothing of it can be calibrated so.
    """
    if recipe.train.task.name != "classify":
        raise InputError(f"--calibrate is for the task classify; this recipe's is {recipe.train.task.name}")
    split = recipe.data.split
    if split.by != "subject":
        raise InputError(f"--calibrate takes people who were held out; this recipe splits by {split.by}")
    if recipe.calibrate.adapt != "full" and not any(hasattr(stage, "adapt") for stage in recipe.pipeline):
        raise InputError(f"calibrate.adapt: {recipe.calibrate.adapt} needs a tinymyo stage; this pipeline has none")
    if split.folds is None:
        held = [unit for item in split.test or () for unit in units_of(item)]
        for subject in subjects:
            _one_of(subject, held)


def calibrate(
    run: Run, subjects: Sequence[str], *, progress: Progress | None = None, workers: Workers | None = None
) -> dict[str, Any]:
    """Scores before and after, on the same executions of the same people, as metrics.json lays them out.

    Every seed's network learns from the first `calibrate.repetitions` executions of every label by one held-out
    subject and is asked about that subject's others, one subject after the other. Also keeps a profile of each (as
    `stream --profile` takes it) and the scores under `calibrated/` in the run's folder.

    Raises:
        InputError: a subject who was not held out, or one with too few executions.
    """
    subjects = list({unit_key(subject): subject for subject in subjects}.values())  # nobody counts twice
    check(run.recipe, subjects)
    told, recipe = progress or Progress(), run.recipe
    store, how, task = locate_store(recipe.data, told, workers), recipe.calibrate, recipe.train.task
    folder = run.folder / "calibrated" / f"{how.adapt}_{how.repetitions}"
    said: dict[str, list[Any]] = {BEFORE: [], AFTER: []}
    for seed in recipe.train.seeds:
        pairs = [_person(run, store, subject, seed, folder, told) for subject in subjects]
        for name, answers in zip((BEFORE, AFTER), zip(*pairs, strict=True), strict=True):
            said[name].append(concat(list(answers)))
    found = {
        "run": str(run.folder),
        "store": str(store.path),
        "calibrate": attrs.asdict(how),  # type: ignore[arg-type]
        **task.summarise(said, recipe.evaluate, AFTER),
    }
    write_json(folder / f"scores_{'_'.join(map(unit_key, subjects))}.json", found)
    return {**found, "folder": str(folder)}


def _one_of(subject: str, held: Sequence[str]) -> str:
    """The subject as the run spells it. Raises InputError when it was not held out."""
    known = {unit_key(name): name for name in held}
    if unit_key(subject) not in known:
        raise InputError(f"subject {subject} was not held out for testing; these were: {', '.join(held)}")
    return known[unit_key(subject)]


def _fold_of(run: Run, subject: str) -> tuple[int, str]:
    """The fold that tests a subject, from 1, and the subject's name there."""
    every = [name for parts in run.metrics["split"] for name in parts["test"]]
    name = _one_of(subject, every)
    return next(number for number, parts in enumerate(run.metrics["split"], 1) if name in parts["test"]), name


def _person(run: Run, store: Store, subject: str, seed: int, folder: Path, progress: Progress) -> tuple[Any, Any]:
    """Answers before and after for one subject and seed."""
    recipe, how, name = run.recipe, run.recipe.calibrate, run.metrics["main"]
    fold, person = _fold_of(run, subject)
    known, header = run.load(name, fold, seed)
    plan = plan_recipe(recipe, spec=header.spec())[name]
    learn, test = _examples(recipe, store, plan, known, person, how.repetitions)
    progress.say(f"subject {person}, seed {seed}: {len(learn)} windows to learn from, {len(test)} to test on")
    settings = attrs.evolve(  # type: ignore[misc]
        recipe.train,
        epochs=how.epochs,
        lr=how.lr,
        min_lr=min(how.lr, recipe.train.min_lr),
        batch=how.batch,
        accumulate=1,
        patience=None,
    )
    moving = plan_recipe(_adapting(recipe, how), spec=header.spec())[name]
    with tempfile.TemporaryDirectory() as scratch:
        nothing = learn.select(np.zeros(len(learn), bool))
        after = refit(
            moving, Split(learn, nothing), settings, known, seed=seed, folder=Path(scratch), progress=progress
        )
    task = recipe.train.task
    answers = tuple(task.predict(Fitted(plan, parameters), test) for parameters in (known, after))
    right = [float(found.goodness().mean()) for found in answers]
    weights = run.weights_file(name, fold, seed)
    profile = Profile(
        user=person,
        model=name,
        base=hashlib.sha256(weights.read_bytes()).hexdigest(),
        method=f"{how.adapt}, {how.repetitions} executions a label",
        windows=len(learn),
        repetitions=how.repetitions,
        before=right[0],
        after=right[1],
        states={},
        weights=dict(after.weights),
    )
    place = folder / f"subject-{person}"
    place.mkdir(parents=True, exist_ok=True)
    profile.save(place / f"seed-{seed}.safetensors")
    return answers[0], answers[1]


def _adapting(recipe: Recipe, how: Calibrate) -> Recipe:
    """The recipe with an encoder that learns as `calibrate` says, from the run's weights and no others."""
    changes: dict[str, Any] = {"adapt": how.adapt, "rank": how.rank, "weights": None}
    if how.adapt != "full":
        changes["layer_decay"] = 1.0
    stages = tuple(attrs.evolve(s, **changes) if hasattr(s, "adapt") else s for s in recipe.pipeline)  # type: ignore[misc]
    return attrs.evolve(recipe, pipeline=stages)  # type: ignore[misc]


def _examples(
    recipe: Recipe, store: Store, plan: Plan, known: Any, person: str, repetitions: int
) -> tuple[Windows, Windows]:
    """Windows of a person's first executions to learn from, and of all others to test on; none share a sample."""
    step = plan.steps[plan.cut]
    prepared = signals(store, recipe.data, plan, step.index, known, cache=cache_folder(), progress=Progress())
    learn, _, test = recipe.train.task.examples(prepared, step, ((person,), (), (person,)), "subject")
    order = executions(learn)
    learn = learn.select(np.array([order[key] < repetitions for key in _keys(learn)], bool))
    test = test.select(np.array([order.get(key, repetitions) >= repetitions for key in _keys(test)], bool))
    if len(learn):
        test = test.select(~overlapping(test.places(), learn.places(), step.after.window_s or 0.0))
    labels = labels_of(recipe.data)
    without = [labels[number] for number in sorted({key[0] for key in order} - set(test.label.tolist()))]
    if without:
        raise InputError(
            f"subject {person} has too few executions of {', '.join(without)}: {repetitions} are learned from, and "
            "none is left to test on; lower calibrate.repetitions"
        )
    return learn, test


Key = tuple[int, int, int]


def _keys(windows: Windows) -> list[Key]:
    """The execution that each window is from: label, recording, repetition."""
    columns = (windows.label, windows.recording, windows.repetition)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def executions(windows: Windows) -> dict[Key, int]:
    """Every execution with its number among those of its label, from 0, in the order of recordings and time."""
    count: dict[int, int] = {}
    found: dict[Key, int] = {}
    for key in _keys(windows):  # rows are in order of recording and start
        if key not in found:
            found[key] = count.get(key[0], 0)
            count[key[0]] = found[key] + 1
    return found
