"""Experiment: the phases of a run, from the store to predictions, scores and report."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from myoflow import weights
from myoflow.answers.base import Answers, concat
from myoflow.data.prepare import input_spec, key, signals
from myoflow.data.source import labels_of, locate_store
from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.evaluation.audit import Audit
from myoflow.evaluation.parity import apart, compare, inexact, reference_plans, without_memory
from myoflow.files import cache_folder, read_json, write_json
from myoflow.mix import Others
from myoflow.models import main_name, plan_recipe, same_recipe
from myoflow.pipeline import Plan, compile_steps
from myoflow.prepared import Prepared
from myoflow.progress import Progress
from myoflow.split import Fold
from myoflow.task import PARTS, View
from myoflow.training.batch import explained
from myoflow.training.fit import Fitted, Split, fit_model, fit_signals, learned

if TYPE_CHECKING:
    from myoflow.parallel import Workers
    from myoflow.recipe import Recipe
    from myoflow.store import Store

CALIBRATION = 128  # training examples kept for backends that calibrate


class Experiment:
    """One recipe run in one folder: data, then per fold prepare, fit and predict, then scores and report.

    What is learned is the task's matter (`task.py`); this class knows examples and answers only as things to hand on.
    Each model of each fold and seed leaves weights and predictions in the folder and is skipped where they are there.
    """

    def __init__(self, recipe: Recipe, folder: Path, progress: Progress, workers: Workers | None = None) -> None:
        self.recipe = recipe
        self.task = recipe.train.task
        self.folder = folder
        self.progress = progress
        self.workers = workers
        self.timing: dict[str, float] = read_json(folder / "timing.json", {})
        self.counts: list[dict[str, Any]] = []
        self.main = main_name(recipe)
        self._prepared: dict[str, list[Prepared]] = {}

    def run(self) -> dict[str, Any]:
        """All phases; gives the metrics."""
        self.open()
        folds = self.recipe.data.split.assign(self._units())
        parts: dict[str, dict[int, list[Answers]]] = defaultdict(lambda: defaultdict(list))
        for number, fold in enumerate(folds, 1):
            for name in self.plans:
                for seed in self._seeds(name):
                    parts[name][seed].append(self._model(name, number, len(folds), fold, seed))
        models = {name: [concat(found) for found in seeds.values()] for name, seeds in parts.items()}
        metrics = {
            "recipe": self.recipe.name,
            "digest": self.recipe.digest,
            "protocol": self.recipe.protocol,
            "split": [dict(zip(PARTS, map(list, fold), strict=True)) for fold in folds],
            **self.task.summarise(models, self.recipe.evaluate, self.main),
            "audit": self.audit.plain(),
        }
        if skipped := self.store.attrs.get("skipped"):
            metrics["skipped"] = dict(skipped)  # recordings that conversion left out, and why
        if parity := self._parity():
            metrics["parity"] = parity
        self._report(metrics, models)
        write_json(self.folder / "metrics.json", metrics)  # last: its presence says that the run is finished
        return metrics

    def assist(self) -> None:
        """What a further process of a run does (torchrun, accelerate launch): it trains along, and leaves all else."""
        self.open()
        for number, fold in enumerate(self.recipe.data.split.assign(self._units()), 1):
            for name, plan in self.plans.items():
                for seed in self._seeds(name):
                    folder = self._folder(name, number, seed)
                    if learned(plan, plan.cut + 1) is None or _trained(folder):
                        continue
                    states = self._signal_states(plan, fold[0])
                    train, valid, _ = self._examples(plan, states, fold, number)
                    split, settings = Split(train, valid), self.recipe.train
                    fit_model(plan, split, settings, seed=seed, folder=folder, states=states, progress=self.progress)

    def open(self) -> None:
        """Find the data, and plan every model for what it really is."""
        with self._timed("open data"):
            self.store: Store = locate_store(self.recipe.data, self.progress, self.workers)
            spec = input_spec(self.store, self.recipe.data, labels_of(self.recipe.data))
            self.plans = plan_recipe(self.recipe, spec=spec)
            self.others = Others(self.recipe.data, self.progress, self.workers)
            self._same_data()
            self._same_recipe()
        self.audit = Audit(self.recipe, self.plans[self.main], self.store, self.others.stores)

    def held_out(self, name: str, number: int) -> Any:
        """Test examples of a fold, as the named model gets them; `open` comes first."""
        fold = self.recipe.data.split.assign(self._units())[number - 1]
        plan = self.plans[name]
        return self._examples(plan, self._signal_states(plan, fold[0]), fold, number)[2]

    def _same_data(self) -> None:
        """Refuse to go on with other data than the run began with: its parts would not belong together."""
        path, now = (
            self.folder / "data.json",
            {
                "store": str(self.store.path),
                "digest": self.others.digest(self.store.digest),
                "also": {name: str(store.path) for name, store in self.others.stores.items()},
            },
        )
        began = read_json(path, None)
        if began is None:
            write_json(path, now)
        elif began["digest"] != now["digest"]:
            raise InputError(f"{self.store.path} has changed since {self.folder} began; start a new run")

    def _same_recipe(self) -> None:
        """Refuse to go on with a recipe that was changed, and keep what it is for each model."""
        same_recipe(self.folder, self.recipe, self.plans)
        path = self.folder / "data.json"
        kept = read_json(path, {})
        parts = {name: self.recipe.part(None if name == self.main else name) for name in self.plans}
        models = {**kept.get("models", {}), **parts}
        if kept.get("models") != models:
            write_json(path, {**kept, "models": models})

    def _seeds(self, name: str) -> tuple[int, ...]:
        """Models without a network do not depend on the seed and are fitted once."""
        network = learned(self.plans[name], self.plans[name].cut + 1)
        return self.recipe.train.seeds if network else self.recipe.train.seeds[:1]

    def _units(self) -> list[str]:
        by = self.recipe.data.split.by
        if by == "repetition":
            found = {int(r) for row in self.store.rows for r in np.unique(self.store.events(row.id).repetition)}
            return [str(repetition) for repetition in sorted(found)]
        return sorted({str(getattr(row, by)) for row in self.store.rows} - {""})

    def _folder(self, name: str, number: int, seed: int) -> Path:
        return self.folder / f"fold-{number}" / name / f"seed-{seed}"

    def _model(self, name: str, number: int, folds: int, fold: Fold, seed: int) -> Answers:
        """One model of one fold and seed: fitted, saved, and asked about the test examples."""
        folder, plan = self._folder(name, number, seed), self.plans[name]
        states = self._signal_states(plan, fold[0])
        examples = self._examples(plan, states, fold, number)
        done = folder / "predictions.npz"
        if done.is_file():
            found: Answers = self.task.load(done)
            return found
        title = f"{name}, fold {number} of {folds}, seed {seed}" if folds > 1 else f"{name}, seed {seed}"
        split, settings = Split(examples[0], examples[1]), self.recipe.train
        with self._timed(f"fit {name}"):
            if _trained(folder):
                self.progress.say(f"{title}: trained before, asked again")
                parameters = weights.load(folder / "weights.safetensors")[0]
            else:
                self.progress.say(f"{title}: {len(examples[0])} training windows")
                parameters = fit_model(
                    plan, split, settings, seed=seed, folder=folder, states=states, progress=self.progress
                )
            settled = self.task.settle(Fitted(plan, parameters), split.valid)
            parameters = attrs.evolve(parameters, states={**parameters.states, **settled})
        header = weights.Header.of(self.recipe.digest, plan.input, name)
        weights.save(folder / "weights.safetensors", parameters, header)
        kept = calibration(examples[0]) if parameters.weights else None
        if kept is not None:
            weights.save_calibration(folder, kept)
            parameters = attrs.evolve(parameters, calibration=kept)
        with self._timed(f"predict {name}"):
            try:
                answers: Answers = self.task.predict(Fitted(plan, parameters), examples[2])
            except InputError as error:
                raise explained(error, examples[2]) from None
        self._prove(name, folder, answers, examples[2], parameters)
        answers.keep(folder)
        answers.save(done)
        (folder / "checkpoint.pt").unlink(missing_ok=True)  # the training is over
        write_json(self.folder / "timing.json", self.timing)
        return answers

    def _prove(self, name: str, folder: Path, answers: Answers, examples: Any, parameters: Parameters) -> None:
        """Where another backend than torch in float32 has answered, ask that, too, and keep the difference."""
        plan = self.plans[name]
        backends = inexact(plan)
        if not backends or not self.task.compiles:
            return
        with self._timed(f"verify {name}"):
            plain = reference_plans(self.recipe, plan)[name]
            reference = self.task.predict(Fitted(plain, parameters), examples)
            one, two = (
                apart(made, Fitted(made, parameters).outputs(examples)) for made in map(without_memory, (plain, plan))
            )
            found = compare(self.task, reference, answers, backends, self.recipe.evaluate, (one, two))
        for problem in found.problems:
            self.progress.say(f"{name} on {', '.join(backends)}: {problem}")
        write_json(folder / "parity.json", found.plain())

    def _parity(self) -> dict[str, Any]:
        """What each model's backends changed, in the first fold and seed."""
        first = {name: self._folder(name, 1, self.recipe.train.seeds[0]) / "parity.json" for name in self.plans}
        return {name: read_json(path, None) for name, path in first.items() if path.is_file()}

    def _prepare(self, plan: Plan, stop: int, parameters: Parameters) -> list[Prepared]:
        cache = cache_folder()
        store, data = self.store, self.recipe.data
        name = key(store, data, plan, stop, parameters)
        if name not in self._prepared:
            with self._timed("prepare signals"):
                found = signals(
                    store, data, plan, stop, parameters, cache=cache, progress=self.progress, workers=self.workers
                )
            self._prepared = {name: found}  # models of one fold share it; memory-mapped, so it costs next to nothing
        return self._prepared[name]

    def _signal_states(self, plan: Plan, training: Sequence[str]) -> dict[int, Any]:
        by, stop = self.recipe.data.split.by, plan.cut
        fitted = [step for step in plan.steps[:stop] if step.stage.fits]
        if not fitted:
            return {}
        chosen = {row.id for row in self.store.rows if getattr(row, by) in set(training)}
        return fit_signals(plan, stop, lambda index, known: self._prepare(plan, index, known), chosen)

    def _examples(self, plan: Plan, states: dict[int, Any], fold: Fold, number: int) -> list[Any]:
        """Training, validation and test examples of a fold."""
        step = plan.steps[plan.cut]
        prepared = self._prepare(plan, step.index, Parameters(states=states))
        by, data = self.recipe.data.split.by, self.recipe.data
        if data.also:
            others, fold = self.others.join(plan, fold)
            prepared = [*prepared, *others]
        found = [self.task.aligned(part, plan) for part in self.task.examples(prepared, step, fold, by)]
        if data.share < 1:
            found[0] = thinned(found[0], data.share, data.share_seed)
        for part, names, examples in zip(PARTS, fold, found, strict=True):
            if names and not len(examples):
                least = step.after.window_s
                length = f", and its labelled spans at least {least:g} s long" if least else ""
                raise InputError(
                    f"the {part} split ({by} {', '.join(names)}) has no windows; are its labels marked{length}?"
                )
        self._count(number, found)
        return found

    def _count(self, fold: int, found: Sequence[Any]) -> None:
        if any(row["fold"] == fold for row in self.counts):
            return
        self.audit.fold(found)
        folds = self.recipe.data.split.parts
        for part, examples in zip(PARTS, found, strict=True):
            self.counts.append(
                {
                    "fold": fold,
                    "folds": folds,
                    "split": part,
                    "subjects": sorted(set(examples.units("subject").tolist())),
                    "recordings": len(np.unique(examples.recording)),
                    "windows": len(examples),
                    "labels": self.task.counts(examples, self.plans[self.main]),
                }
            )

    def _report(self, metrics: dict[str, Any], models: dict[str, list[Answers]]) -> None:
        from myoflow.gather import gather
        from myoflow.report.page import write as write_page

        with self._timed("report"):
            shown, live = None, {}
            # With a split by repetition a recording holds training events, too: it is not drawn as a whole.
            if self.task.lives and self.recipe.data.split.by != "repetition":
                shown = self._shown()
                for name, plan in self.plans.items():
                    chain = compile_steps(plan, self._load(name), plan.cut)
                    live[name] = chain.whole(np.asarray(shown.values))
            view = View(self.folder, self.plans, self.main, models, metrics, shown, live)
            self.task.picture(view, self.folder / "picture.png")
            page = gather(self.recipe, view, self.counts, self.timing, self._details())
            write_page(page, self.folder / "report.html")
        write_json(self.folder / "timing.json", self.timing)

    def _details(self) -> list[Mapping[str, Any]]:
        """What programs on other backends than torch in float32 say of themselves, in fold 1 and the first seed."""
        found: list[Mapping[str, Any]] = []
        for name, plan in self.plans.items():
            if inexact(plan):
                found += compile_steps(plan, self._load(name), plan.cut + 1).details
        return found

    def _load(self, name: str) -> Parameters:
        path = self._folder(name, 1, self.recipe.train.seeds[0]) / "weights.safetensors"
        return weights.load(path)[0]

    def _shown(self) -> Prepared:
        """The test recording of fold 1 that the report draws: the one of median score, no lucky or unlucky one."""
        answers = self.task.load(self._folder(self.main, 1, self.recipe.train.seeds[0]) / "predictions.npz")
        plan = self.plans[self.main]
        signals_ = self._prepare(plan, plan.cut, self._load(self.main))
        goodness = answers.goodness()
        ids = sorted(set(answers.recording.tolist()))
        ids.sort(key=lambda id_: float(goodness[answers.recording == id_].mean()))
        return next(signal for signal in signals_ if signal.id == ids[len(ids) // 2])

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timing[phase] = round(self.timing.get(phase, 0.0) + time.perf_counter() - start, 3)


def _trained(folder: Path) -> bool:
    """Whether a model has been learned to the end, be its answers still there or not."""
    if (folder / "predictions.npz").is_file():
        return True
    return (folder / "weights.safetensors").is_file() and not (folder / "checkpoint.pt").is_file()


def thinned(examples: Any, share: float, seed: int) -> Any:
    """The executions of `data.share`. Raises InputError where examples have no labels."""
    if not hasattr(examples, "thin") or not (examples.label >= 0).all():
        raise InputError("data.share is for labelled windows; this task has none")
    return examples.thin(share, seed)


def calibration(examples: Any) -> Any:
    """Training examples to calibrate on, evenly spread over the split; None where they are no plain array.

    Of utterances, each of its own length, pieces of one length.
    """
    chosen = np.unique(np.linspace(0, len(examples) - 1, min(CALIBRATION, len(examples))).round().astype(np.int64))
    pieces = getattr(examples, "pieces", None)
    taken = examples.take(chosen) if pieces is None else pieces(chosen)
    return taken if isinstance(taken, np.ndarray) else None
