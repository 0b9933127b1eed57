"""Engine: the contract between a planned segment and the thing that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attrs import Factory, frozen

from myoflow.errors import InputError
from myoflow.measure import peak_memory, percentile, timed
from myoflow.registry import Registry
from myoflow.spec import Spec
from myoflow.stage import Stage, State

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array


@frozen
class Segment:
    """Neighbouring stages that run on one backend. `specs[i]` is the input of `stages[i]`; `index` is the
    place of the first in the whole pipeline, `output` what the last one gives."""

    index: int
    stages: tuple[Stage, ...]
    specs: tuple[Spec, ...]
    output: Spec
    backend: str

    @property
    def input(self) -> Spec:
        """Spec of what the first stage takes."""
        return self.specs[0]


@frozen(eq=False)
class Parameters:
    """What a pipeline has learned: `states` of fitted host stages by their index, `weights` of torch modules
    by their name in the pipeline (`tinymyo.blocks.0.norm1.weight`).

    `calibration` are some training windows `(window, channel, time)` as they leave the window stage: what a backend
    that computes in integers measures its ranges on.
    """

    states: Mapping[int, State] = Factory(dict)
    weights: Mapping[str, Any] = Factory(dict)
    calibration: Array | None = None


class Program(Protocol):
    """A compiled segment. Feeds like a kernel: any cut of the input gives the same concatenated output.

    `choices` says in words what the engine chose, and why (`Engine.choices`). A program may have `details`: sections
    for a run's report, each a mapping of `title`, `text`, `tables` (`columns`, `rows`, `caption`) and `figures` (`svg`,
    `title`, `caption`). It may have `front(plan, parameters, index)`: a kernel that computes what stands before step
    `index`, its first, as its place would, with a method `begin` that forgets the past; None where it has none, and an
    InputError that says why not. Live decoding asks for it.
    """

    @property
    def choices(self) -> tuple[str, ...]:
        """In words."""
        ...

    def feed(self, chunk: Array) -> Array:
        """Outputs completed by this chunk."""
        ...

    def flush(self) -> Array:
        """What is left at the end."""
        ...


@frozen
class Report:
    """What a compiled segment costs on this machine, measured.

    `macs` are multiply-accumulates of one window, `p50_s` and `p99_s` its latency, `per_s` windows a second many at a
    time, `memory_bytes` what the program and its first window added at their peak to the process, or to the memory of
    a GPU (None where the system does not say). `choices` are the program's.
    """

    parameters: int
    macs: int
    p50_s: float
    p99_s: float
    per_s: float
    memory_bytes: int | None
    choices: tuple[str, ...]


class Engine:
    """Base of engines."""

    name: ClassVar[str]
    flows: ClassVar[bool] = False  # whether it defines `flow`

    def runs(self, stage: type[Stage]) -> bool:
        """Whether this engine can run the stage."""
        raise TypeError(f"{type(self).__name__} does not define runs")

    def missing(self, backend: Backend) -> str | None:
        """Why this machine cannot run the backend, with what to install or change; None when it can."""
        return None

    def here(self, backend: Backend) -> str:
        """`works`, or why not; more where a backend has several ways to run."""
        return self.missing(backend) or "works"

    def calibrates(self, backend: Backend) -> bool:
        """Whether the backend needs examples of what will go into a segment."""
        return False

    def choices(self, backend: Backend) -> tuple[str, ...]:
        """What the engine chooses for the backend on this machine (precision, threads), and why, in words."""
        return ()

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        """A fresh Program for the segment; `calibration` are examples of its input, if the engine calibrates.

        Raises:
            InputError: parameters that it needs are not there, or this machine cannot run the backend.
        """
        raise TypeError(f"{type(self).__name__} does not define compile")

    def flow(self, segment: Segment, backend: Backend, parameters: Parameters) -> Program:
        """A fresh Program that takes an utterance `(channel, time)` as it comes, and gives its frames.

        Raises:
            InputError: this engine cannot, or as `compile`.
        """
        raise InputError(
            f"backend '{backend.name}' takes whole utterances; a live one runs on torch: leave --backend out"
        )

    def peak(self, backend: Backend, call: Callable[[], Program]) -> tuple[Program, int | None]:
        """What a call gives, and the bytes that it added at its peak where the backend computes."""
        return peak_memory(call)

    def report(
        self,
        segment: Segment,
        backend: Backend,
        parameters: Parameters,
        windows: Array,
        calibration: Array | None = None,
    ) -> Report:
        """Compile a segment behind the window stage and measure it on `windows`, examples of its input.

        Raises as `compile`.
        """

        def ready() -> Program:
            program = self.compile(segment, backend, parameters, calibration)
            program.feed(windows[:1])
            return program

        ready()  # lowering and imports take memory once, and are not what a program holds
        program, memory = self.peak(backend, ready)
        times = timed(lambda: program.feed(windows[:1]))
        many = timed(lambda: program.feed(windows))
        costs = [stage.cost(spec) for stage, spec in zip(segment.stages, segment.specs, strict=True)]
        return Report(
            parameters=sum(cost.parameters for cost in costs),
            macs=sum(cost.macs for cost in costs),
            p50_s=percentile(times, 50),
            p99_s=percentile(times, 99),
            per_s=len(windows) / percentile(many, 50),
            memory_bytes=memory,
            choices=program.choices,
        )


ENGINES: Registry[Engine] = Registry("engine", "myoflow.engines")
