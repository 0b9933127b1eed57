"""ONNX engine: learned stages in onnxruntime, in float32 or int8."""

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
    from myoflow.spec import Spec

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@ENGINES.add("onnx")
class OnnxEngine(Engine):
    """What torch can run, exported from the torch module."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        if backend.device != "cpu" or backend.precision == "bf16":
            return f"onnxruntime is used on the CPU, in float32 or int8, not for {backend.device} {backend.precision}"
        lacking = [name for name in PACKAGES if find_spec(name) is None]
        return f"{', '.join(lacking)} missing: pip install 'myoflow[onnx]'" if lacking else None

    def calibrates(self, backend: Backend) -> bool:
        return backend.precision == "int8"

    def choices(self, backend: Backend) -> tuple[str, ...]:
        from myoflow.lower.batches import threads_in_words

        what = "products by weights in int8, the rest in float32" if backend.precision == "int8" else "all in float32"
        return what, threads_in_words(backend)

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        from myoflow.lower import onnx_graph, programs
        from myoflow.lower.quantise import quantised

        def make() -> bytes:
            data = onnx_graph.lower(trained(segment, parameters.weights), segment.input)
            return data if calibration is None else quantised(data, calibration, backend.float_layers)

        data = programs.kept(programs.key(segment, backend, parameters, calibration, PACKAGES) + ".onnx", make)
        return self.program(data, backend, segment.input, segment.output)

    def program(self, data: bytes, backend: Backend, given: Spec, output: Spec) -> Program:
        """A Program of a finished model from `given` to `output`."""
        from myoflow.lower import onnx_graph
        from myoflow.lower.batches import Batches

        session = cache(lambda threads: onnx_graph.session(data, threads))

        def run(batch: Array, threads: int) -> Array:
            out: Array = session(threads)(onnx_graph.within(batch, given))
            return out

        return Batches(run, backend, output, self.choices(backend))
