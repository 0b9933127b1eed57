"""Torch engine: a chain of modules in eval mode, on CPU or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.network import build, load
from myoflow.stage import Stage

if TYPE_CHECKING:
    import torch

    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.spec import Spec

BATCH = 64  # windows at a time: bounds memory, and larger batches are no faster on a CPU


class TorchProgram:
    """A module over batches of windows."""

    def __init__(self, module: torch.nn.Module, device: torch.device, output: Spec) -> None:
        self._module = module
        self._device = device
        self._empty = tuple(0 if size is None else size for size in output.sizes)

    def feed(self, chunk: Array) -> Array:
        import torch

        if len(chunk) == 0:
            return np.empty(self._empty, np.float32)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(chunk), BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(chunk[start : start + BATCH], dtype=np.float32))
                parts.append(self._module(batch.to(self._device)).float().cpu().numpy())
        return np.concatenate(parts)

    def flush(self) -> Array:
        return np.empty(self._empty, np.float32)


@ENGINES.add("torch")
class TorchEngine(Engine):
    """Learned stages, for training and for inference on CPU and GPU."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        if backend.device != "cuda":
            return None
        import torch

        if torch.cuda.is_available():
            return None
        return "torch sees no CUDA device here; use --backend torch, or install a CUDA build of torch and a driver"

    def compile(self, segment: Segment, backend: Backend, parameters: Parameters) -> Program:
        import torch

        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        module = build(segment)
        load(module, parameters.weights)
        device = torch.device(backend.device)
        return TorchProgram(module.to(device).eval(), device, segment.output)
