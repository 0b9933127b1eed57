"""Pipeline: stages in a row; planned first, then run on whole recordings or streamed in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.engine import ENGINES, Engine, Parameters, Segment
from myoflow.errors import InputError, PlanError
from myoflow.spec import UTTERANCES, Spec
from myoflow.stage import Cost, Stage, cutting
from myoflow.typed import Mismatch

if TYPE_CHECKING:
    import xarray as xr

    from myoflow.dsp.kernel import Array, Chain, Kernel


@frozen
class Step:
    """One planned stage: where it runs, what goes in and out, what it costs."""

    index: int
    stage: Stage
    backend: str
    before: Spec
    after: Spec
    cost: Cost
    note: str = ""

    @property
    def rate(self) -> str:
        """How often an item of the output comes: `200 Hz` for samples, `4 /s` for windows."""
        if self.after.step_s is not None:
            return f"{1 / self.after.step_s:.3g} /s"
        return f"{self.after.rate_hz:g} Hz"


@frozen
class Plan:
    """A pipeline fitted to an input Spec, before any data is read."""

    input: Spec
    steps: tuple[Step, ...]

    @property
    def output(self) -> Spec:
        """Spec of what the pipeline gives."""
        return self.steps[-1].after if self.steps else self.input

    @property
    def cut(self) -> int:
        """Index of the stage that cuts the signal into examples. Raises PlanError: a decoder needs one."""
        index = self._cut
        if index is None:
            raise PlanError("the pipeline has no window stage; a classifier decides on windows")
        return index

    @property
    def _cut(self) -> int | None:
        return cutting([step.stage for step in self.steps])

    def segments(self, start: int = 0, stop: int | None = None) -> list[Segment]:
        """Steps `start:stop` as segments of one backend each; training-only stages are left out."""
        steps = [step for step in self.steps[start:stop] if not step.stage.training_only]
        # A gap left by a training-only stage ends a segment: its states are found by index.
        runs = groupby(enumerate(steps), key=lambda item: (item[1].backend, item[1].index - item[0]))
        found = []
        for (backend, _), items in runs:
            group = [step for _, step in items]
            found.append(
                Segment(
                    index=group[0].index,
                    stages=tuple(step.stage for step in group),
                    specs=tuple(step.before for step in group),
                    output=group[-1].after,
                    backend=backend,
                )
            )
        return found


class Pipeline:
    """Stages in a row, with what they have learned.

    Args:
        stages: frozen stage objects, in order.
        backend: where all stages that can shall run; None leaves each on its default.
        backends: one name or None per stage; wins over `backend`, and is an error where it cannot be done.
        parameters: fitted states and trained weights, as `mf.load_run` gives them.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        backend: str | None = None,
        backends: Sequence[str | None] | None = None,
        parameters: Parameters | None = None,
    ) -> None:
        self.stages = tuple(stages)
        for i, stage in enumerate(self.stages):
            if not isinstance(stage, Stage):
                given = f"the class {stage.__name__}" if isinstance(stage, type) else f"'{stage}'"
                raise InputError(f"stage {i} of the pipeline is {given}, not a stage such as mf.Rectify()")
        self.backend = backend
        self.backends = tuple(backends) if backends is not None else (None,) * len(self.stages)
        self.parameters = parameters or Parameters()
        if not self.stages:
            raise InputError("a pipeline needs at least one stage")
        if len(self.backends) != len(self.stages):
            raise ValueError(f"{len(self.stages)} stages but {len(self.backends)} backends")

    @classmethod
    def from_yaml(cls, text: str) -> Pipeline:
        """A pipeline from YAML: a list of stages, as under `pipeline:` in a recipe. Raises RecipeError."""
        from myoflow.language.build import parse_stages

        stages, backends = parse_stages(text)
        return cls(stages, backends=backends)

    def with_parameters(self, parameters: Parameters) -> Pipeline:
        """The same pipeline with other learned numbers."""
        return Pipeline(self.stages, backend=self.backend, backends=self.backends, parameters=parameters)

    def plan(self, spec: Spec) -> Plan:
        """Plan every stage for an input Spec. Raises PlanError with the index of the stage at fault."""
        steps = []
        for index, stage in enumerate(self.stages):
            try:
                backend, note = self._place(stage, self.backends[index])
                after = stage.plan(spec)
                cost = stage.cost(spec)
            except PlanError as error:
                raise PlanError(f"{stage.name} {_lower(str(error))}", index, error.field) from None
            except (Mismatch, ValueError) as error:
                raise PlanError(f"{stage.name}: {error}", index) from error
            steps.append(Step(index, stage, backend, spec, after, cost, note))
            spec = after
        return Plan(steps[0].before, tuple(steps))

    def run(self, array: xr.DataArray) -> xr.DataArray:
        """The pipeline's output for one recording `(channel, time)` in `Spec.of(array)`'s units.

        Gives `(channel, time)`, `(window, ...)` or `(window, label)` with coordinates; `time` of a window is that of
        its last sample, in s from the recording's start.

        Raises:
            PlanError, InputError: the pipeline does not fit the array, or has not been trained.
        """
        import numpy as np

        spec = Spec.of(array)
        plan = self.plan(spec)
        values = np.asarray(array.values).astype(np.float32, copy=False)
        return label(compile_steps(plan, self.parameters).whole(values), plan.output)

    def stream(self, spec: Spec) -> Stream:
        """A live pipeline: `feed` chunks `(channel, time)`, `flush` at the end.

        Raises:
            PlanError: a stage cannot stream, with the reason and the causal alternative.
        """
        plan = self.plan(spec)
        if plan.output.blockers:
            raise PlanError("this pipeline cannot stream: " + "; ".join(plan.output.blockers))
        return Stream(plan, self.parameters)

    def _place(self, stage: Stage, asked: str | None) -> tuple[str, str]:
        default = "host" if stage.on_host() else "torch"
        if stage.on_host() and stage.on_torch():
            default = "torch"  # it stands beside learned stages: no hand-over in between
        if asked is not None:
            if not engine_of(asked).runs(type(stage)):
                raise PlanError(f"cannot run on '{asked}'; leave `backend` out or use '{default}'", None, "backend")
            return asked, ""
        if self.backend is not None and self.backend != default:
            if engine_of(self.backend).runs(type(stage)):
                return self.backend, ""
            return default, f"stays on {default}: {self.backend} cannot run it"
        return default, ""


class Stream:
    """A running pipeline. Arrays go in as `(channel, time)` and come out as the plan's output says."""

    def __init__(self, plan: Plan, parameters: Parameters, chain: Chain | None = None) -> None:
        """`chain` is the plan compiled; it is compiled here unless given."""
        self.plan = plan
        self.output = plan.output
        compiled = compile_flow if flowing(plan) else compile_steps
        self._chain = chain or compiled(plan, parameters)

    def feed(self, chunk: Array) -> Array:
        """Outputs that this chunk completes, possibly none."""
        import numpy as np

        chunk = np.asarray(chunk)
        channels = self.plan.input.size("channel")
        if chunk.ndim != 2 or chunk.shape[0] != channels:
            raise InputError(f"expected a chunk of shape (channel {channels}, time), got {chunk.shape}")
        return self._chain.feed(chunk.astype(np.float32, copy=False))

    def flush(self) -> Array:
        """The rest; the stream is over afterwards."""
        return self._chain.flush()


def engine_of(name: str) -> Engine:
    """The engine behind a backend's name. Raises InputError."""
    from myoflow.backend import load_backend

    return ENGINES[load_backend(name).engine]()


def compile_steps(plan: Plan, parameters: Parameters, start: int = 0, stop: int | None = None) -> Chain:
    """Steps `start:stop` compiled, fresh, as one chain of programs."""
    from myoflow.backend import load_backend
    from myoflow.dsp.kernel import Chain

    links, axes = [], []
    for segment in plan.segments(start, stop):
        backend = load_backend(segment.backend)
        engine = ENGINES[backend.engine]()
        examples = calibration_of(plan, parameters, segment.index) if engine.calibrates(backend) else None
        links.append(engine.compile(segment, backend, parameters, examples))
        axes.append(segment.output.open_axis)
    return Chain(links, axes)


def flowing(plan: Plan) -> bool:
    """Whether the pipeline cuts by utterance, which a live stream runs through frame by frame."""
    cut = plan._cut
    return cut is not None and plan.steps[cut].after.dims == UTTERANCES


def flows(plan: Plan) -> bool:
    """Whether a live stream can run through a pipeline that cuts by utterance, on the backends where it is."""
    if not flowing(plan) or plan.output.blockers:
        return False
    return all(engine_of(segment.backend).flows for segment in plan.segments(plan.cut + 1))


def compile_flow(plan: Plan, parameters: Parameters, start: int = 0) -> Chain:
    """Steps from `start` on of a pipeline that cuts by utterance, as one chain from signal to frames `(utterance 1,
    frame, feature)`.

    Its network goes along with the signal instead of waiting for its end. Raises InputError: a backend cannot.
    """
    from myoflow.backend import load_backend
    from myoflow.dsp.kernel import Chain

    links: list[Kernel] = [compile_steps(plan, parameters, start, plan.cut)] if plan.cut > start else []
    for segment in plan.segments(plan.cut + 1):
        backend = load_backend(segment.backend)
        links.append(ENGINES[backend.engine]().flow(segment, backend, parameters))
    return Chain(links, [1] * len(links))


def calibration_of(plan: Plan, parameters: Parameters, index: int) -> Array:
    """The calibration windows as the input of step `index`, which stands behind the window stage."""
    cut = plan._cut
    if parameters.calibration is None or cut is None or index <= cut:
        step = plan.steps[index]
        raise InputError(
            f"backend '{step.backend}' computes in integers and needs training windows to measure their ranges on; "
            "a run keeps them beside its weights (calibration.npy): run the recipe again, or choose another backend"
        )
    before = plan.segments(cut + 1, index)
    return (
        compile_steps(plan, parameters, cut + 1, index).feed(parameters.calibration)
        if before
        else (parameters.calibration)
    )


def label(array: Array, spec: Spec) -> xr.DataArray:
    """A bare array with the dims and coordinates that its Spec tells."""
    import numpy as np
    import xarray as xr

    coords: dict[str, object] = {}
    if "channel" in spec.dims and spec.size("channel") == len(spec.channels):
        coords["channel"] = list(spec.channels)
    if "label" in spec.dims:
        coords["label"] = list(spec.labels)
    if "target" in spec.dims and spec.target is not None:
        coords["target"] = list(spec.target.channels)
    if spec.dims[-1] == "time" and spec.dims[0] != "window":
        coords["time"] = np.arange(array.shape[-1]) / spec.rate_hz
    if spec.dims[0] == "window" and spec.step_s is not None:
        coords["time"] = ("window", window_ends(len(array), spec))
    attrs_ = {"SamplingFrequency": spec.rate_hz, "units": spec.units}
    return xr.DataArray(array, dims=spec.dims, coords=coords, attrs=attrs_)


def window_ends(count: int, spec: Spec) -> Array:
    """Time in s of the end of each of `count` windows."""
    import numpy as np

    assert spec.step_s is not None and spec.window_s is not None, "only windows have ends"
    return np.arange(count) * spec.step_s + spec.window_s


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
