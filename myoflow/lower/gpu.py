"""Gpu: windows through a torch module on a GPU: a recorded graph for a few, copies beside the work for many."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from myoflow.lower.batches import THROUGH

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.spec import Spec

# Windows of the graphs that are recorded; up to THROUGH go through them. Each size takes seconds to compile, which a
# live stream has before it begins but not when it has fallen behind.
RECORDED = (1, 16)
BATCH = 512  # windows at a time: a GPU is not full with fewer, and memory stays bounded
AHEAD = 2  # batches on their way to the GPU, or on it
WARM = 3  # calls before a graph is recorded: libraries choose their kernels and take their memory in the first


class Gpu:
    """A Program of a module that has no memory. Numbers are copied through pinned memory, which does not wait.

    With `compile` torch compiles the module; up to THROUGH windows of one size (`sized`) then go through recorded
    graphs, since launching their kernels one by one takes longer than they do. Float32 is float32: products and
    convolutions in TF32, which torch allows convolutions by default, are off.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        dtype: torch.dtype,
        output: Spec,
        choices: tuple[str, ...] = (),
        *,
        compile: bool = False,
        sized: bool = True,
    ) -> None:
        self._device, self._dtype = torch.device("cuda"), dtype
        module = module.to(self._device, dtype)
        self._few = torch.compile(module, dynamic=False) if compile else module
        self._many = torch.compile(module, dynamic=True) if compile else module
        self._graphs: dict[int, _Graph] | None = {} if compile and sized else None
        self._empty = tuple(0 if size is None else size for size in output.sizes)
        self.choices = choices

    def feed(self, chunk: Array) -> Array:
        if len(chunk) == 0:
            return self.flush()
        with torch.inference_mode(), exact():
            if self._graphs is None or len(chunk) > THROUGH:
                return self._batches(chunk)
            return self._recorded(self._graphs, chunk)

    def flush(self) -> Array:
        return np.empty(self._empty, np.float32)

    def _answers(self, module: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Float32 in and out; what is between is cast on the GPU."""
        return lambda x: module(x.to(self._dtype)).float()

    def _recorded(self, graphs: dict[int, _Graph], chunk: Array) -> Array:
        size = next((size for size in RECORDED if len(chunk) <= size), RECORDED[-1])
        if size not in graphs:
            graphs[size] = _Graph(self._answers(self._few), (size, *chunk.shape[1:]), self._device)
        return np.concatenate([graphs[size](chunk[at : at + size]) for at in range(0, len(chunk), size)])

    def _batches(self, chunk: Array) -> Array:
        answers, parts = self._answers(self._many), []
        waiting: deque[tuple[torch.cuda.Event, Tensor]] = deque()
        for start in range(0, len(chunk), BATCH):
            if len(waiting) == AHEAD:
                parts.append(_arrived(*waiting.popleft()))
            given = _pinned(chunk[start : start + BATCH]).to(self._device, non_blocking=True)
            out = answers(given).to("cpu", non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
            waiting.append((done, out))
        parts += [_arrived(*item) for item in waiting]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Graph:
    """The work on some windows, recorded once and replayed in the same memory; of fewer the rest is thrown away."""

    def __init__(self, call: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: torch.device) -> None:
        self._host = _pinned(np.zeros(shape, np.float32))
        self._given = self._host.to(device)
        side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM):
                call(self._given)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # other threads of this process may use the GPU meanwhile
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._out = call(self._given)
        self._answer = torch.empty(self._out.shape, dtype=torch.float32, pin_memory=True)

    def __call__(self, windows: Array) -> Array:
        self._host.numpy()[: len(windows)] = windows
        self._given.copy_(self._host, non_blocking=True)
        self._graph.replay()
        self._answer.copy_(self._out, non_blocking=True)
        torch.cuda.current_stream(self._given.device).synchronize()
        return self._answer.numpy()[: len(windows)].copy()


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Products and convolutions of float32 numbers in float32, whatever this process allows elsewhere."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def _pinned(values: Array) -> Tensor:
    """A float32 copy in memory that the GPU reads by itself; torch keeps such memory for the next one."""
    made = torch.empty(values.shape, dtype=torch.float32, pin_memory=True)
    made.numpy()[...] = values
    return made


def _arrived(done: torch.cuda.Event, out: Tensor) -> Array:
    done.synchronize()
    found: Array = out.numpy()
    return found
