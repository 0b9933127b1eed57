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

    def choices(self, backend: Backend) -> tuple[str, ...]:
        rest = "in bf16, which this CPU multiplies natively"
        if not _bf16(backend):
            rest = "in float32" if backend.precision == "float32" else "in float32, for this CPU has no bf16"
        return _told(backend, rest)

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        from myoflow.lower import onnx_graph, programs
        from myoflow.lower.batches import Batches
        from myoflow.lower.openvino_model import compiled, quantised, rounds_only

        def make() -> bytes:
            data = onnx_graph.lower(trained(segment, parameters.weights), segment.input)
            return data if calibration is None else quantised(data, calibration, backend.float_layers)

        packages = (*PACKAGES, *(["nncf"] if calibration is not None else []))
        data = programs.kept(programs.key(segment, backend, parameters, calibration, packages) + ".openvino", make)
        hint, choices = "bf16" if _bf16(backend) else "f32", self.choices(backend)
        if calibration is not None and hint == "bf16" and not rounds_only(data, hint, calibration):
            hint = "f32"
            choices = _told(backend, "in float32: OpenVINO's bf16 beside int8 was tried and gave other answers")
        model = cache(lambda threads: compiled(data, hint, threads))

        def run(batch: Array, threads: int) -> Array:
            out: Array = model(threads)(onnx_graph.within(batch, segment.input))
            return out

        return Batches(run, backend, segment.output, choices)


def _told(backend: Backend, rest: str) -> tuple[str, ...]:
    from myoflow.lower.batches import threads_in_words

    what = f"large products in int8, the rest {rest}" if backend.precision == "int8" else f"all {rest}"
    return what, threads_in_words(backend)


def _bf16(backend: Backend) -> bool:
    """Whether what is not in int8 is computed in bf16: attention and norms beside int8 products, too."""
    from myoflow.lower import hardware

    return backend.precision != "float32" and hardware.has_bf16() is not False
