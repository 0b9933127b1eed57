"""Recipe: YAML to frozen objects; every problem of a file at once, each with file, line and column."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from myoflow import library
from myoflow.card import load_card
from myoflow.errors import InputError, PlanError, RecipeError, did_you_mean
from myoflow.language.build import BAD, Builder, Placed
from myoflow.language.document import Document, Trail, emit, problem
from myoflow.language.extend import REMOVED, inherit, override
from myoflow.settings import DEFAULT_TASK as DEFAULT_TASK
from myoflow.settings import Also as Also
from myoflow.settings import Calibrate as Calibrate
from myoflow.settings import Data as Data
from myoflow.settings import Train as Train
from myoflow.settings import no_task
from myoflow.stage import Stage, cutting
from myoflow.task import TASKS, Task
from myoflow.typed import frozen, hints_of, plain

if TYPE_CHECKING:
    from myoflow.run import Run

NAME = re.compile(r"[^\W_][\w.-]*")


@attrs.frozen(eq=False)
class Origin:
    """Where the stages of a recipe stand in its files."""

    document: Document
    pipeline: tuple[Trail, ...]
    baselines: Mapping[str, tuple[Trail, ...]]
    heads: Mapping[str, tuple[Trail, ...]] = attrs.Factory(dict)


@frozen
class Recipe:
    """A filled recipe: what to do, on what, where, and how it is judged.

    Each of `heads` is a branch behind the pipeline's last stage; all are trained together with it. Each of `baselines`
    is a chain of stages that branches off after the pipeline's window stage. `backends` runs parallel to `pipeline`,
    and each of `baseline_backends` to its baseline: the backend that a stage itself asks for, or None. `protocol:
    published` marks a recipe that repeats a publication's procedure with its flaws; the report says so. `calibrate` is
    for `run --calibrate` alone.
    """

    name: str
    data: Data
    pipeline: tuple[Stage, ...]
    title: str = ""
    protocol: Literal["strict", "published"] = "strict"
    heads: dict[str, tuple[Stage, ...]] = attrs.Factory(dict)
    baselines: dict[str, tuple[Stage, ...]] = attrs.Factory(dict)
    train: Train = attrs.Factory(Train)
    evaluate: tuple[str, ...] = ()
    calibrate: Calibrate = attrs.Factory(Calibrate)
    backend: str | None = None
    backends: tuple[str | None, ...] = ()
    baseline_backends: dict[str, tuple[str | None, ...]] = attrs.Factory(dict)
    origin: Any = attrs.field(default=None, eq=False, repr=False)

    def run(self, *, backend: str | None = None, out: str | Path | None = None) -> Run:
        """Prepare, train, evaluate and report, in the folder `out` (default `runs/<name>/<time>`).

        Raises:
            RecipeError, InputError: the recipe does not fit the data, or the data is not there.
        """
        from myoflow.run import run_recipe  # upwards, for `mf.load_recipe(...).run()` alone

        return run_recipe(self, backend=backend, out=out)

    def __attrs_post_init__(self) -> None:
        # A recipe made in Python need not spell out that no stage asks for a backend.
        if not self.backends:
            object.__setattr__(self, "backends", (None,) * len(self.pipeline))
        whole = {name: self.baseline_backends.get(name) or (None,) * len(c) for name, c in self.baselines.items()}
        object.__setattr__(self, "baseline_backends", whole)
        if not self.evaluate:
            object.__setattr__(self, "evaluate", self.train.task.defaults)

    def with_backend(self, backend: str) -> Recipe:
        """The same recipe with another backend at its top. Raises InputError when there is none of that name."""
        library.find("backends", backend)
        return attrs.evolve(self, backend=backend)  # type: ignore[misc]

    def dump(self) -> str:
        """YAML text with every default written out; loading it gives an equal Recipe."""
        return emit(self.filled())

    def filled(self) -> dict[str, Any]:
        """The recipe as plain values, every default written out."""
        data = _plain_fields(self.data)
        data["split"] = _plain_fields(self.data.split)
        data["also"] = {name: _plain_also(also) for name, also in self.data.also.items()}
        return {
            "name": self.name,
            "title": self.title,
            "protocol": self.protocol,
            "data": data,
            "pipeline": _plain_stages(self.pipeline, self.backends),
            "heads": {name: _plain_stages(chain, (None,) * len(chain)) for name, chain in self.heads.items()},
            "baselines": {name: _plain_stages(c, self.baseline_backends[name]) for name, c in self.baselines.items()},
            "train": _plain_train(self.train),
            "evaluate": list(self.evaluate),
            "calibrate": _plain_fields(self.calibrate),
            "backend": self.backend,
        }

    @property
    def digest(self) -> str:
        """Short SHA-256 of everything that decides a run's result: not its name, its title and later calibrations."""
        others = ("name", "title", "calibrate")
        filled = {key: value for key, value in self.filled().items() if key not in others}
        filled["data"] = {
            key: value for key, value in filled["data"].items() if key != "raw"
        }  # nor where files came from
        return hashlib.sha256(emit(filled).encode()).hexdigest()[:12]

    def part(self, baseline: str | None = None) -> dict[str, Any]:
        """What decides one model and its predictions, its own or a baseline's, as plain values: data, stages, training.

        Seeds, metrics and other baselines are none of it: they may be added to a run. Nor is where files lie.
        """
        filled = self.filled()
        stages = filled["pipeline"]
        if baseline is not None:
            cut = cutting(self.pipeline)
            stages = [*stages[: 0 if cut is None else cut + 1], *filled["baselines"][baseline]]
        return {
            "data": {key: value for key, value in filled["data"].items() if key not in ("raw", "store")},
            "pipeline": [stage if isinstance(stage, dict) else {stage: {}} for stage in stages],
            "heads": filled["heads"] if baseline is None else {},
            "train": {key: value for key, value in filled["train"].items() if key != "seeds"},
            "backend": self.backend,
        }

    def located(self, error: PlanError, baseline: str | None = None, head: str | None = None) -> RecipeError:
        """A planning error with the place of its stage and field in the recipe's file.

        `error.stage` counts in `pipeline`, or in the named baseline's whole chain: the pipeline up to the stage that
        cuts, then the baseline's own stages; in a named head's own stages.
        """
        if self.origin is None:
            return RecipeError([problem(str(error), self.name)])
        document, trails = self.origin.document, self.origin.pipeline
        section: Trail = ("pipeline",)
        if head is not None:
            trails, section = self.origin.heads.get(head, ()), ("heads", head)
        if baseline is not None:
            cut = cutting(self.pipeline)
            shared = 0 if cut is None else cut + 1
            trails = (*trails[:shared], *self.origin.baselines[baseline])
            section = ("baselines", baseline)
        if error.stage is None or not 0 <= error.stage < len(trails):
            return RecipeError([problem(str(error), document.key_at(section))])
        trail = trails[error.stage]
        written = error.field is not None and (*trail, error.field) in document.values
        place = document.value_at((*trail, error.field)) if written else document.key_at(trail)
        return RecipeError([problem(str(error), place)])


def _plain_fields(thing: Any) -> dict[str, Any]:
    return {name: plain(getattr(thing, name), hint) for name, hint in hints_of(type(thing)).items()}


def _plain_also(also: Also) -> dict[str, Any]:
    fields = _plain_fields(also)
    fields["split"] = also.split and _plain_fields(also.split)
    return fields


def _plain_train(train: Train) -> dict[str, Any]:
    """The section with the task's own fields among the others, behind those of the schedule."""
    fields = {"task": train.task.name, **{k: v for k, v in _plain_fields(train).items() if k != "task"}}
    at = list(fields).index("clip")
    items = list(fields.items())
    return dict([*items[:at], *_plain_fields(train.task).items(), *items[at:]])


def _plain_stages(stages: Sequence[Stage], backends: Sequence[str | None]) -> list[Any]:
    items: list[Any] = []
    for stage, backend in zip(stages, backends, strict=True):
        fields = _plain_fields(stage)
        if backend is not None:
            fields["backend"] = backend
        items.append({stage.name: fields} if fields else stage.name)
    return items


def load_recipe(name_or_path: str | Path, *overrides: str) -> Recipe:
    """`load` as `mf.load_recipe`: `mf.load_recipe("quickstart", "train.epochs=1")`."""
    return load(name_or_path, overrides)


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by path, or by name from the library, with dotted overrides such as `train.lr=1e-3`.

    Raises:
        InputError: there is no such recipe.
        RecipeError: it is wrong; every problem of the file, one line each.
    """
    path = library.find("recipes", str(name_or_path))
    document = inherit(path)
    builder = Builder(document)
    for text in overrides:
        try:
            override(document, text)
        except RecipeError as error:
            builder.problems += error.problems
    recipe = _Sections(builder).recipe(path.stem)
    builder.check()
    assert recipe is not None, "a builder that gives nothing has said why"
    return recipe


_KEYS = (
    "extends",
    "name",
    "title",
    "protocol",
    "data",
    "pipeline",
    "heads",
    "baselines",
    "train",
    "evaluate",
    "calibrate",
    "backend",
)


class _Sections:
    """The top level of a recipe, section by section, each checked whatever the others hold."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.document = builder.document

    def recipe(self, stem: str) -> Recipe | None:
        top = self.builder.mapping(self.document.value, (), "a recipe", _KEYS) or {}
        top = {key: value for key, value in top.items() if value is not REMOVED}
        hints = hints_of(Recipe)
        simple = {key: value for key, value in top.items() if key in ("name", "title", "protocol")}
        known, _ = self.builder.fields(simple, hints, (), "")
        known["data"] = self._data(top)
        pipeline = self._pipeline(top)
        heads = self._chains(top.get("heads"), "heads")
        baselines = self._chains(top.get("baselines"), "baselines")
        known["train"], task = self._train(top.get("train"))
        known["evaluate"] = self._evaluate(top.get("evaluate"), task)
        known["calibrate"] = self.builder.section(Calibrate, top.get("calibrate"), ("calibrate",), "calibrate")
        known["backend"] = self.builder.named("backends", top.get("backend"), ("backend",), "backend")
        self._names(known.get("name"), {"heads": heads, "baselines": baselines})
        if self.builder.problems or pipeline is None:
            return None
        known.setdefault("name", stem)
        known.setdefault("title", known["name"])
        origin = Origin(
            document=self.document,
            pipeline=tuple(p.trail for p in pipeline),
            baselines={name: tuple(p.trail for p in placed) for name, placed in baselines.items()},
            heads={name: tuple(p.trail for p in placed) for name, placed in heads.items()},
        )
        return Recipe(
            **known,
            pipeline=tuple(p.stage for p in pipeline),
            backends=tuple(p.backend for p in pipeline),
            heads={name: tuple(p.stage for p in placed) for name, placed in heads.items()},
            baselines={name: tuple(p.stage for p in placed) for name, placed in baselines.items()},
            baseline_backends={name: tuple(p.backend for p in placed) for name, placed in baselines.items()},
            origin=origin,
        )

    def _names(self, name: Any, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Names become folders: nothing but plain words."""
        found = [(name, ("name",))] if isinstance(name, str) else []
        named = [(chain, (section, chain)) for section, chains in sections.items() for chain in chains]
        for word, trail in [*found, *named]:
            if not NAME.fullmatch(word):
                message = f"{word!r} is no name: use letters, digits, '_', '-' and '.', a letter or digit first"
                self.builder.fail(message, self.document.key_at(trail))

    def _needs(self, key: str, what: str) -> None:
        if (key,) not in self.builder.meant:
            self.builder.fail(f"a recipe needs '{key}' ({what})", self.document.value_at(()))

    def _data(self, top: Mapping[str, Any]) -> Data | None:
        if "data" not in top:
            self._needs("data", "a section: which dataset, and how it is split")
            return None
        section = self._split_by_name(top["data"])
        if section is None:
            return None
        data = self.builder.section(Data, section, ("data",), "data")
        if not isinstance(section, Mapping) or not isinstance(section.get("dataset"), str):
            return data
        named = self.builder.named("datasets", section["dataset"], ("data", "dataset"), "data.dataset")
        for name, also in (data.also if data is not None else {}).items():
            trail = ("data", "also", name)
            self.builder.named("datasets", also.dataset or name, trail, f"data.also.{name}")
        if named is not BAD and data is not None and data.labels is not None:
            self._labels(data)
        if named is not BAD and data is not None and data.target is not None:
            self._target(data)
        return data

    def _target(self, data: Data) -> None:
        """The stream to learn and its channels must stand in the dataset's card."""
        try:
            known = load_card(data.dataset).streams
        except RecipeError as error:
            self.builder.problems += error.problems  # what is wrong stands in the card
            return
        target = str(data.target)
        if target not in known:
            message = f"data.target: the card of {data.dataset} names no stream '{target}'"
            there = ", ".join(known) or "none"
            place = self.document.value_at(("data", "target"))
            self.builder.fail(f"{message}{did_you_mean(target, known) or '.'} It names: {there}", place)
            return
        for i, channel in enumerate(data.target_channels or ()):
            if channel not in known[target].channels:
                close = did_you_mean(channel, known[target].channels) or "."
                message = f"data.target_channels: {target} has no channel '{channel}'{close}"
                place = self.document.value_at(("data", "target_channels", i))
                self.builder.fail(f"{message} It has: {', '.join(known[target].channels)}", place)

    def _split_by_name(self, section: Any) -> Any:
        """The section with a split of the dataset's card in the place of its name; None when there is none."""
        if not isinstance(section, Mapping) or not isinstance(name := section.get("split"), str):
            return section
        place = ("data", "split")
        try:
            splits = load_card(str(section.get("dataset"))).splits
        except RecipeError as error:
            self.builder.problems += error.problems  # what is wrong stands in the card
            return None
        except InputError:
            splits = {}
            self.builder.named("datasets", section.get("dataset"), ("data", "dataset"), "data.dataset")
        if name in splits:
            return {**section, "split": _plain_fields(splits[name])}
        there = ", ".join(splits) or "none"
        close = did_you_mean(name, splits) or "."
        message = f"data.split: {section.get('dataset')} has no split called '{name}'{close} It has: {there}"
        self.builder.fail(message, self.document.value_at(place))
        return None

    def _labels(self, data: Data) -> None:
        try:
            known = load_card(data.dataset).labels
        except RecipeError as error:
            self.builder.problems += error.problems  # what is wrong stands in the card
            return
        for i, label in enumerate(data.labels or ()):
            if label not in known:
                message = f"data.labels: {data.dataset} has no label '{label}'{did_you_mean(label, known) or '.'}"
                self.builder.fail(
                    f"{message} Labels: {', '.join(known)}", self.document.value_at(("data", "labels", i))
                )

    def _pipeline(self, top: Mapping[str, Any]) -> list[Placed] | None:
        if "pipeline" not in top:
            self._needs("pipeline", "a list of stages")
            return None
        return self.builder.stages(top["pipeline"], ("pipeline",), "pipeline")

    def _chains(self, value: Any, section: str) -> dict[str, list[Placed]]:
        """Named chains of stages: heads or baselines."""
        if value is None:
            return {}
        found = {}
        chains = self.builder.field(value, dict[str, Any], (section,), section)
        for name, chain in {} if chains is BAD else chains.items():
            if chain is REMOVED:
                continue
            found[name] = self.builder.stages(chain, (section, name), f"{section}.{name}") or []
        return found

    def _train(self, value: Any) -> tuple[Train | None, type[Task] | None]:
        """The section, whose fields are those of every training and those of its task; and the task's class."""
        whole: Any = {} if value is None else value
        cls = self._task(whole.get("task", REMOVED)) if isinstance(whole, Mapping) else TASKS[DEFAULT_TASK]
        common = [key for key in hints_of(Train) if key != "task"]
        own = list(hints_of(cls)) if cls is not None else [key for key in whole if key not in common]
        fields = self.builder.mapping(whole, ("train",), "train", ("task", *common, *own))
        if fields is None:
            return None, cls
        train = self.builder.section(Train, {k: v for k, v in fields.items() if k in common}, ("train",), "train")
        if cls is None:
            return None, None
        mine = {key: item for key, item in fields.items() if key in own}
        task = self.builder.section(cls, mine, ("train",), "train")
        if len(fields) < len(whole) or train is None or task is None:
            return None, cls
        return attrs.evolve(train, task=task), cls  # type: ignore[misc]

    def _task(self, name: Any) -> type[Task] | None:
        if name is REMOVED:
            return TASKS[DEFAULT_TASK]
        if isinstance(name, str) and name in TASKS:
            return TASKS[name]
        self.builder.fail(f"train.task: {no_task(name)}", self.document.value_at(("train", "task")))
        return None

    def _evaluate(self, value: Any, task: type[Task] | None) -> Any:
        if value is None or task is None:  # the task's own choice; or nobody knows which metrics there are
            return ()
        metrics = self.builder.field(value, tuple[str, ...], ("evaluate",), "evaluate")
        if metrics is BAD:
            return metrics
        if not metrics:
            self.builder.fail("evaluate: is empty; name a metric", self.document.value_at(("evaluate",)))
        for i, metric in enumerate(metrics):
            place = self.document.value_at(("evaluate", i))
            if metric not in task.measures:
                close = did_you_mean(metric, task.measures) or "."
                known = ", ".join(task.measures)
                self.builder.fail(f"there is no metric '{metric}'{close} Metrics: {known}", place)
            elif metric in metrics[:i]:
                self.builder.fail(f"evaluate names '{metric}' twice", place)
        return metrics
