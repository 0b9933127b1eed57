"""Torch engine: a chain of modules in eval mode, on CPU or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.lower.batches import Batches
from myoflow.network import trained
from myoflow.stage import Stage

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array


@ENGINES.add("torch")
class TorchEngine(Engine):
    """Learned stages, for training and for inference on CPU and GPU."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        if backend.precision == "int8":
            return "torch runs in float32 or bf16; for int8 use onnx-int8 or openvino-int8"
        if backend.device != "cuda":
            return None
        import torch

        if torch.cuda.is_available():
            return None
        return "torch sees no CUDA device here; use --backend torch, or install a CUDA build of torch and a driver"

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        import torch

        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        device = torch.device(backend.device)
        dtype = torch.bfloat16 if backend.precision == "bf16" else torch.float32
        module = trained(segment, parameters.weights).to(device, dtype)
        call = torch.compile(module) if backend.compile else module

        def run(batch: Array, threads: int) -> Array:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            try:
                with torch.inference_mode():
                    out: Array = call(torch.from_numpy(batch).to(device, dtype)).float().cpu().numpy()
            finally:
                torch.set_num_threads(before)  # sums of a training that goes on in this process must not change
            return out

        choices = (f"torch in {backend.precision}", *(["compiled"] if backend.compile else []))
        return Batches(run, backend, segment.output, choices)
