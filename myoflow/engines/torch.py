"""Torch engine: a chain of modules in eval mode, on CPU or GPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError, MyoflowError
from myoflow.stage import Stage

if TYPE_CHECKING:
    import torch

    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.spec import Spec

BATCH = 64  # windows at a time: bounds memory, and larger batches are no faster on a CPU


def build(segment: Segment) -> torch.nn.Sequential:
    """The segment's modules with fresh weights, named by their stages (`tinymyo`, `classify`, `patch_2`)."""
    import torch

    modules: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for stage, spec in zip(segment.stages, segment.specs, strict=True):
        name, count = stage.name, 2
        while name in modules:
            name, count = f"{stage.name}_{count}", count + 1
        modules[name] = stage.module(spec)
    return torch.nn.Sequential(modules)


def load(module: torch.nn.Module, weights: Mapping[str, Any]) -> None:
    """Copy weights into a module; every tensor of the module must be there.

    Raises:
        InputError: no weights at all (the pipeline is untrained).
        MyoflowError: some are missing or have another shape.
    """
    import torch

    wanted = module.state_dict()
    if wanted and not weights:
        raise InputError(
            "this pipeline has learned stages without weights; run the recipe first, then use mf.load_run(RUN)"
        )
    missing = sorted(set(wanted) - set(weights))
    if missing:
        raise MyoflowError(f"the weights lack {len(missing)} tensors, the first is '{missing[0]}'")
    chosen = {}
    for name, tensor in wanted.items():
        given = torch.as_tensor(np.asarray(weights[name]))
        if given.shape != tensor.shape:
            raise MyoflowError(f"'{name}' has shape {tuple(given.shape)}, the pipeline needs {tuple(tensor.shape)}")
        chosen[name] = given
    module.load_state_dict(chosen)


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
