"""Torch engine: a chain of modules in eval mode, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.lower.batches import THROUGH, Batches, threads_in_words
from myoflow.lower.hardware import has_bf16
from myoflow.network import trained
from myoflow.stage import Stage

if TYPE_CHECKING:
    import torch

    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.nn.flow import Flow


@ENGINES.add("torch")
class TorchEngine(Engine):
    """Learned stages, for training and for inference on CPU and GPU."""

    flows = True

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        if backend.precision == "int8":
            return "torch runs in float32 or bf16; for int8 use onnx-int8 or openvino-int8"
        if backend.device != "cuda":
            return None
        import torch

        if not torch.cuda.is_available():
            return "torch sees no CUDA device here; use --backend torch, or install a CUDA build of torch and a driver"
        if backend.compile and find_spec("triton") is None:
            return "compiling for CUDA needs triton: pip install triton, or use --backend cuda-float32"
        return None

    def peak(self, backend: Backend, call: Callable[[], Program]) -> tuple[Program, int | None]:
        if backend.device != "cuda":
            return super().peak(backend, call)
        import torch

        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return call(), torch.cuda.max_memory_allocated() - before

    def choices(self, backend: Backend) -> tuple[str, ...]:
        what = f"all in {backend.precision}"
        if backend.device == "cuda":
            graphs = f"CUDA graphs for up to {THROUGH} windows, whose launches take longer than their work"
            return (what, f"compiled; {graphs}") if backend.compile else (what,)
        if backend.precision == "bf16":
            native = has_bf16() is not False
            what += ", which this CPU multiplies natively" if native else "; this CPU has none, float32 is faster here"
        return (what, *(["compiled"] if backend.compile else []), threads_in_words(backend))

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        import numpy as np
        import torch

        from myoflow.nn.inference import arranged

        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        dtype = torch.bfloat16 if backend.precision == "bf16" else torch.float32
        module = trained(segment, parameters.weights)
        if backend.device == "cuda":
            from myoflow.lower.gpu import Gpu

            form = arranged(module) if backend.compile else module
            sized = None not in segment.input.sizes[1:]
            return Gpu(form, dtype, segment.output, self.choices(backend), compile=backend.compile, sized=sized)
        call: Callable[[torch.Tensor], torch.Tensor] = module.to(dtype)
        if backend.compile:
            call = torch.compile(arranged(module).to(dtype))

        def run(batch: Array, threads: int) -> Array:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            try:
                with torch.inference_mode():
                    out: Array = call(torch.from_numpy(np.require(batch, requirements="W")).to(dtype)).float().numpy()
            finally:
                torch.set_num_threads(before)  # sums of a training that goes on in this process must not change
            return out

        return Batches(run, backend, segment.output, self.choices(backend))

    def flow(self, segment: Segment, backend: Backend, parameters: Parameters) -> Program:
        import torch

        from myoflow.lower.pieces import Pieces
        from myoflow.nn.flow import Flow

        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        device = torch.device(backend.device)
        dtype = torch.bfloat16 if backend.precision == "bf16" else torch.float32
        flow = Flow(trained(segment, parameters.weights).to(device, dtype))
        run = _at_threads(flow, backend.threads or 1) if backend.device == "cpu" else _exact(flow)
        return Pieces(run, flow.piece, segment.output.size("feature"), self.choices(backend))


def _at_threads(flow: Flow, threads: int) -> Callable[[Array], Array]:
    """A flow's work on so many threads."""
    import torch

    def run(piece: Array) -> Array:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return flow.run(piece)
        finally:
            torch.set_num_threads(before)

    return run


def _exact(flow: Flow) -> Callable[[Array], Array]:
    """A flow's work on a GPU, without TF32."""
    from myoflow.lower.gpu import exact

    def run(piece: Array) -> Array:
        with exact():
            return flow.run(piece)

    return run
