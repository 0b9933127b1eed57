"""Program: an exported model file as a decoder, without the run, the recipe or the weights that it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from myoflow.backend import load_backend
from myoflow.engine import Parameters
from myoflow.engines.onnx import OnnxEngine
from myoflow.errors import InputError, MyoflowError
from myoflow.language.build import parse_stages
from myoflow.pipeline import Pipeline, Stream, compile_steps, label
from myoflow.spec import Spec

if TYPE_CHECKING:
    import xarray as xr

    from myoflow.dsp.kernel import Chain
    from myoflow.engine import Program
    from myoflow.pipeline import Plan
    from myoflow.stage import State


@frozen(eq=False)
class Exported:
    """A model file as `myoflow export` writes it: signals in, answers out, on onnxruntime and without torch.

    `plan` is the whole pipeline, `told` the file's metadata. `program` is the network alone: it takes windows as the
    stage before it gives them.
    """

    path: Path
    plan: Plan
    told: Mapping[str, str]
    program: Program
    _parameters: Parameters
    _first: int
    _stop: int

    def predict(self, array: xr.DataArray) -> xr.DataArray:
        """The pipeline's output for one recording `(channel, time)` at the model's rate, in its units.

        Raises InputError when the recording has another rate, other units or channels, or gaps.
        """
        try:
            self.plan.input.require_recording(array, mended=self.plan.steps[0].stage.mends)
        except InputError as error:
            raise InputError(f"{self.path.name}: {error}") from None
        values = np.asarray(array.values).astype(np.float32, copy=False)
        return label(self._chain().whole(values), self.plan.output)

    def stream(self) -> Stream:
        """The same live. Raises InputError when a stage cannot stream, with the reason."""
        if self.plan.output.blockers:
            raise InputError("this model cannot stream: " + "; ".join(self.plan.output.blockers))
        return Stream(self.plan, self._parameters, self._chain())

    def _chain(self) -> Chain:
        from myoflow.dsp.kernel import Chain

        links: list[Any] = [self.program]
        axes = [self.plan.steps[self._stop - 1].after.open_axis]
        if self._first:
            links.insert(0, compile_steps(self.plan, self._parameters, 0, self._first))
            axes.insert(0, self.plan.steps[self._first - 1].after.open_axis)
        if self._stop < len(self.plan.steps):
            links.append(compile_steps(self.plan, self._parameters, self._stop))
            axes.append(self.plan.output.open_axis)
        return Chain(links, axes)


def load_program(path: str | Path) -> Exported:
    """Open a model file that `myoflow export` wrote.

    Raises:
        InputError: there is none, it is damaged or of another kind, or onnxruntime is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}; `myoflow export RUN {path}` writes one")
    told, data = _read(path)
    parts = {name: json.loads(told[name]) for name in ("before", "network", "after")}
    stages: list[dict[str, Any]] = []
    states: dict[int, State] = {}
    for stage in [*parts["before"], *parts["network"], *parts["after"]]:
        learned = stage.pop("learned", None)
        if learned is not None:
            states[len(stages)] = {name: np.array(v["values"], v["dtype"]) for name, v in learned.items()}
        stages.append({stage.pop("stage"): stage})
    first, stop = len(parts["before"]), len(parts["before"]) + len(parts["network"])
    spec = Spec.signal(
        tuple(json.loads(told["channels"])),
        json.loads(told["rate_hz"]),
        units=told["units"],
        labels=tuple(json.loads(told["labels"])),
    )
    card = load_backend("onnx-int8" if told["precision"] == "int8" else "onnx")
    built, _ = parse_stages(json.dumps(stages))
    backends = [card.name if first <= index < stop else None for index in range(len(built))]
    plan = Pipeline(built, backends=backends).plan(spec)
    program = OnnxEngine().program(data, card, plan.steps[first].before, plan.steps[stop - 1].after)
    return Exported(path, plan, told, program, Parameters(states=states), first, stop)


def _read(path: Path) -> tuple[dict[str, str], bytes]:
    """Metadata and bytes of a model file."""
    reason = OnnxEngine().missing(load_backend("onnx"))
    if reason:
        raise InputError(f"{path} cannot run on this machine: {reason}")
    from myoflow.lower import onnx_graph

    data = path.read_bytes()
    try:
        told = onnx_graph.session(data, 1).metadata
    except Exception as error:  # onnxruntime raises its own kinds, by what is wrong inside
        raise MyoflowError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from error
    if not {"myoflow", "before", "network", "after", "precision"} <= set(told):
        raise InputError(f"{path} does not say what it takes; only files of `myoflow export` do")
    return told, data
