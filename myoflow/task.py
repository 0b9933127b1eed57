"""Task: the contract of what a pipeline learns, from examples to report, and the registry tasks stand in.

Everything that depends on what is learned belongs to the task; data, folds, seeds, resuming, caching, timing and
weights belong to `experiment.py` and know nothing of labels. A task is one file in `myoflow/tasks/`; `classify.py` is
the model of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from attrs import Factory, frozen

from myoflow.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from myoflow.engine import Parameters
    from myoflow.listener import Listener
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.split import Fold
    from myoflow.stage import State

    Array = npt.NDArray[Any]
    Part = Array | Mapping[str, Array]  # first axis: examples of the batch
    Batch = tuple[Part, Part]  # what a network takes, and what it should give
    Output = torch.Tensor | dict[str, torch.Tensor]  # of a network; by head where it has several

PARTS = ("train", "valid", "test")


@frozen
class Measure:
    """How a metric is read: its unit (`%`: a share of 1, shown times 100), decimals, and which way is better."""

    unit: str = "%"
    better: Literal["higher", "lower"] = "higher"
    digits: int = 1

    @property
    def scale(self) -> float:
        """What a value is multiplied by when it is shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def points(self) -> str:
        """What a difference of two values is counted in: `points` of percent, or the unit itself."""
        return "points" if self.unit == "%" else self.unit

    def worse(self, difference: float, reference: float) -> float:
        """How much worse a change is, in points: of percent, or of a hundredth of the reference value."""
        gone = -difference if self.better == "higher" else difference
        return 100 * gone if self.unit == "%" else 100 * gone / (abs(reference) or 1.0)

    def text(self, value: float | None) -> str:
        """`91.3 %`, `8.77 deg`; a dash for no value."""
        return "—" if value is None else f"{self.number(value)} {self.unit}".rstrip()

    def number(self, value: float | None, signed: bool = False, more: int = 0) -> str:
        """A value without its unit, with `more` decimals than usual."""
        if value is None:
            return "—"
        return f"{self.scale * value:{'+' if signed else ''}.{self.digits + more}f}"


class Examples(Protocol):
    """What a network is trained on and asked about. `store.windows.Windows` is one kind, utterances another.

    `ids` names recordings, `recording` gives each example's index in it. Rows are ordered by recording, then time.
    """

    @property
    def ids(self) -> tuple[str, ...]: ...

    @property
    def recording(self) -> npt.NDArray[np.integer[Any]]: ...

    def __len__(self) -> int: ...

    def select(self, keep: Array) -> Self:
        """The rows where `keep` is True, or those it lists."""
        ...

    def units(self, by: str) -> npt.NDArray[np.str_]:
        """Each row's subject, session, subset or repetition, as text."""
        ...

    def places(self) -> dict[str, Array]:
        """Where each row comes from: subject, session, repetition, recording and start_s, `(row,)` each."""
        ...

    def take(self, rows: Array) -> Any:
        """The input of the given rows, in that order: a `Part`, where first axis is the row."""
        ...

    def steps(self, size: int) -> int:
        """How many batches `batches` and `shuffled` give."""
        ...

    def batches(self, size: int) -> Iterator[Batch]:
        """Everything in order. `size` counts rows, or whatever the kind of examples calls a batch's size."""
        ...

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Everything once in random order, which depends on `rng` alone."""
        ...


class Model(Protocol):
    """A pipeline that has learned, and can be asked; `training.fit.Fitted` is the one kind."""

    @property
    def plan(self) -> Plan: ...

    @property
    def parameters(self) -> Parameters: ...

    @property
    def device(self) -> str:
        """What its network runs on, in torch's words."""
        ...

    def outputs(self, examples: Any) -> npt.NDArray[np.float32]:
        """The pipeline's output for every example, `(row, ...)`; of utterances, all their frames in a row."""
        ...

    def network(self) -> torch.nn.Module | None:
        """The trained network alone, in eval mode; None for a model without one."""
        ...

    def batches(self, examples: Any, size: int) -> Iterator[Batch]:
        """Batches of examples as the network gets them."""
        ...


@frozen(eq=False)
class View:
    """What a task draws its sections of the report from: a run that is over.

    `models` gives each model's answers, one a seed with folds put together. `shown` is a test recording of fold 1 as
    the cutting stage got it, and `live` every model's output over the whole of it, on the grid that a live stream has;
    both are missing where a recording also holds training data, or the task shows none.
    """

    folder: Path
    plans: Mapping[str, Plan]
    main: str
    models: Mapping[str, Sequence[Any]]
    metrics: Mapping[str, Any]
    shown: Prepared | None = None
    live: Mapping[str, Array] = Factory(dict)


class Task:
    """Base of all tasks. Subclasses are `@task("name") @frozen` classes; their fields are keys of `train:` in YAML.

    `measures` are the metrics that `evaluate:` may name, `defaults` those without it. `curve` is the number that the
    learning curve shows beside the loss, None for none; `measures` says how it is read where it is there. `streams`
    says which other streams of a recording the examples need. `lives`: the report shows a whole
    recording, live. `compiles`: answers come from the compiled pipeline, so that a backend can change them. `mixes`:
    further stores (`data.also`) may be learned from beside the first.
    Heavy imports (numpy, torch) belong inside the methods.
    """

    name: ClassVar[str]
    measures: ClassVar[Mapping[str, Measure]] = {}
    defaults: ClassVar[tuple[str, ...]] = ()
    curve: ClassVar[str | None] = None
    lives: ClassVar[bool] = True
    compiles: ClassVar[bool] = True
    mixes: ClassVar[bool] = False

    def check(self, plan: Plan) -> None:
        """Raise PlanError when a pipeline does not end in what this task needs."""

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Any]:
        """Training, validation and test `Examples` of a fold: whatever of `prepared` belongs to the units of each part.

        `step` is the cutting stage as planned, `prepared` its input; `fold` names units, `by` says of what.
        """
        raise TypeError(f"{type(self).__name__} does not define examples")

    def aligned(self, examples: Any, plan: Plan) -> Any:
        """The examples with what they must know of the stages behind the cut, such as when frames come."""
        return examples

    def counts(self, examples: Any, plan: Plan) -> dict[str, int]:
        """Examples per label, for the report's table of data; empty where there are no labels."""
        return {}

    def begin(self, module: torch.nn.Module, examples: Any) -> None:
        """Give a fresh module what the training examples alone tell, such as the scale of its outputs."""

    def network(self, module: torch.nn.Module) -> torch.nn.Module:
        """What is trained, around the pipeline's own `module`, whose parameters alone are learned and kept."""
        return module

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Mean loss over the examples of a batch: a scalar with gradient."""
        raise TypeError(f"{type(self).__name__} does not define loss")

    def rival(self) -> torch.nn.Module | None:
        """A fresh network that judges what the trained one makes and is trained against it; None for none."""
        return None

    def rival_loss(self, rival: torch.nn.Module, output: Any, target: Any) -> torch.Tensor:
        """The rival's own loss for what was made (`output`, detached) and what is true."""
        raise TypeError(f"{type(self).__name__} does not define rival_loss")

    def against(self, rival: torch.nn.Module, output: Any, target: Any) -> torch.Tensor:
        """What is added to `loss` for being told from the truth by the rival."""
        raise TypeError(f"{type(self).__name__} does not define against")

    def gauge(self, output: Any, target: Any) -> torch.Tensor:
        """The `curve` number of a batch, summed over its examples: a scalar."""
        raise TypeError(f"{type(self).__name__} does not define gauge")

    def settle(self, model: Model, valid: Any) -> dict[int, State]:
        """What is chosen on validation examples when all else has been learned, such as a threshold.

        By step, the whole state of each step that changes; it is kept with the weights.
        """
        return {}

    def asked(self, examples: Any, own: Callable[[], Any]) -> Any:
        """Examples of another store, with what the run's own test examples, which `own()` gives, know beside
        themselves, such as the words to search with."""
        return examples

    def predict(self, model: Model, examples: Any) -> Any:
        """`Answers` of a fitted model to all examples."""
        return self.answers(model.outputs(examples), examples, model.plan)

    def answers(self, found: Array, examples: Any, plan: Plan) -> Any:
        """`myoflow.answers.base.Answers` from a pipeline's outputs for `examples`."""
        raise TypeError(f"{type(self).__name__} does not define answers")

    def listener(self, plan: Plan, folder: Path) -> Listener | None:
        """This task's decoder for a live stream of a pipeline's outputs, which says what `answers` would.

        `folder` holds the model's weights, and what `Answers.keep` left beside them. None where an output is an answer
        by itself. Raises InputError: what decoding needs is not there.
        """
        return None

    def load(self, path: Path) -> Any:
        """`Answers` that were saved. Raises InputError."""
        raise TypeError(f"{type(self).__name__} does not define load")

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """The scores for metrics.json: plain values, as `myoflow.answers.scores.summarise` lays them out.

        `models` gives each model's answers, one a seed.
        """
        raise TypeError(f"{type(self).__name__} does not define summarise")

    def measured(self, scores: Mapping[str, Any]) -> Mapping[str, Measure]:
        """How the metrics of a run are read, from what `summarise` gave: units may depend on the data."""
        return self.measures

    def sections(self, view: View) -> list[Section]:
        """The parts of the report that only this task can draw, in order."""
        return []

    def picture(self, view: View, path: Path) -> None:
        """Draw the run's picture at `path`, where there is one to draw."""


TASKS: Registry[Task] = Registry("task", "myoflow.tasks")
task = TASKS.add
