"""OpenVINO engine: learned stages in OpenVINO, in float32, bf16 or int8; the fastest on CPUs."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.network import trained
from myoflow.stage import Stage

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "openvino")
HINT = {"float32": "f32", "bf16": "bf16", "int8": "f32"}


@ENGINES.add("openvino")
class OpenvinoEngine(Engine):
    """What torch can run, through the same ONNX model as `onnx`."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        if backend.device != "cpu":
            return f"openvino is used on the CPU, not on {backend.device}"
        needed = (*PACKAGES, "nncf") if backend.precision == "int8" else PACKAGES
        lacking = [name for name in needed if find_spec(name) is None]
        return f"{', '.join(lacking)} missing: pip install 'myoflow[openvino]'" if lacking else None

    def calibrates(self, backend: Backend) -> bool:
        return backend.precision == "int8"

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        from myoflow.lower import onnx_graph, programs
        from myoflow.lower.batches import Batches
        from myoflow.lower.openvino_model import compiled, quantised

        def make() -> bytes:
            data = onnx_graph.lower(trained(segment, parameters.weights), segment.input)
            return data if calibration is None else quantised(data, calibration, backend.float_layers)

        packages = (*PACKAGES, *(["nncf"] if calibration is not None else []))
        data = programs.kept(programs.key(segment, backend, parameters, calibration, packages) + ".openvino", make)
        model = cache(lambda threads: compiled(data, HINT[backend.precision], threads))

        def run(batch: Array, threads: int) -> Array:
            out: Array = model(threads)(batch)
            return out

        return Batches(run, backend, segment.output, (f"openvino in {backend.precision}",))
