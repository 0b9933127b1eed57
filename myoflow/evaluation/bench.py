"""Bench: what each stage of a pipeline costs on each backend of this machine, and the network as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from myoflow.backend import load_backend
from myoflow.engine import Parameters, Segment
from myoflow.errors import InputError
from myoflow.measure import peak_memory, percentile, timed
from myoflow.network import build
from myoflow.pipeline import Plan, calibration_of, compile_steps, engine_of
from myoflow.training.fit import learned

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

CHUNK_S = 0.02  # of signal at a time: what a live source gives
MANY = 16  # windows at a time for throughput


@frozen
class Cost:
    """One stage, or the whole network, on one backend.

    Latencies in s are of a chunk of 20 ms before the stage that cuts, of one window behind it. `throughput` is seconds
    of signal, or windows, per second, 16 at a time. `share` is what part of this machine's speed in float32 products
    of matrices, on one core, the latency makes; a backend of lower precision may pass 1. Of a GPU it is the GPU's, in
    the backend's precision. `memory_bytes` is what it added at its peak to the process, or to the GPU's memory, None
    where that cannot be measured. `choices` are the engine's.
    """

    stage: str
    backend: str
    p50_s: float
    p99_s: float
    throughput: float
    unit: str
    macs_per_s: float = 0.0
    share: float = 0.0
    memory_bytes: int | None = None
    choices: tuple[str, ...] = ()
    note: str = ""


def bench(plan: Plan, backends: Sequence[str], parameters: Parameters | None = None) -> list[Cost]:
    """Time every stage on its own backend, the learned ones on each of `backends`, too, and so the whole network.

    Without `parameters` the learned stages have random weights (which cost the same), and stages that are fitted are
    left out. Raises InputError when a backend cannot run here.
    """
    for name in backends:
        reason = engine_of(name).missing(load_backend(name))
        if reason:
            raise InputError(f"backend '{name}' cannot run on this machine: {reason}")
    rng = np.random.default_rng(0)
    cut = plan.cut
    network = learned(plan, cut + 1)
    parameters = parameters or Parameters()
    if network is not None and not parameters.weights:
        weights = {name: tensor.numpy() for name, tensor in build(network).state_dict().items()}
        parameters = evolve(parameters, weights=weights)
    peak = matrix_speed()
    signal = (1e-5 * rng.standard_normal((plan.input.size("channel"), int(plan.input.rate_hz)))).astype(np.float32)
    found = [_signal_stage(plan, index, parameters, signal) for index in range(cut + 1)]
    windows = rng.standard_normal((MANY, *map(int, plan.steps[cut].after.sizes[1:]))).astype(np.float32)  # type: ignore[arg-type]
    if parameters.calibration is None:
        parameters = evolve(parameters, calibration=windows)
    inside = set() if network is None else set(range(network.index, network.index + len(network.stages)))
    for step in plan.steps[cut + 1 :]:
        if step.stage.training_only or (step.stage.fits and step.index not in parameters.states):
            continue
        if network is not None and step.index == network.index:
            found += _network(plan, network, backends, parameters, windows, peak)
        for name in dict.fromkeys([step.backend, *(backends if step.index in inside else ())]):
            segment = Segment(step.index, (step.stage,), (step.before,), step.after, name)
            found.append(_window_stage(plan, segment, step.stage.name, parameters, windows, peak))
        windows = compile_steps(plan, parameters, step.index, step.index + 1).feed(windows)
    return found


def _network(
    plan: Plan, network: Segment, backends: Sequence[str], parameters: Parameters, windows: Array, peak: float
) -> list[Cost]:
    """The network lowered as one, on every backend that all of its stages run on."""
    own = {step.backend for step in plan.steps[network.index : network.index + len(network.stages)]}
    names = [*(own if len(own) == 1 else ()), *backends]
    return [
        _window_stage(plan, evolve(network, backend=name), "network", parameters, windows, peak)
        for name in dict.fromkeys(names)
    ]


def _signal_stage(plan: Plan, index: int, parameters: Parameters, signal: Array) -> Cost:
    step = plan.steps[index]
    if step.stage.fits and index not in parameters.states:
        return Cost(step.stage.name, step.backend, np.nan, np.nan, np.nan, "s/s", note="not fitted")
    rate = step.before.rate_hz
    samples = max(1, round(CHUNK_S * rate))
    shape = (step.before.size("channel"), samples)
    chunk = np.resize(signal, shape).astype(np.float32)
    compile_steps(plan, parameters, index, index + 1).feed(chunk)  # compiled functions are loaded

    def ready() -> object:
        made = compile_steps(plan, parameters, index, index + 1)
        made.feed(chunk)
        return made

    _, memory = peak_memory(ready)
    chain = compile_steps(plan, parameters, index, index + 1)
    times = timed(lambda: chain.feed(chunk))
    long = np.resize(signal, (shape[0], int(10 * rate))).astype(np.float32)
    whole = timed(lambda: compile_steps(plan, parameters, index, index + 1).feed(long))
    latency = percentile(times, 50), percentile(times, 99)
    return Cost(step.stage.name, step.backend, *latency, 10 / percentile(whole, 50), "s/s", memory_bytes=memory)


def _window_stage(
    plan: Plan, segment: Segment, title: str, parameters: Parameters, windows: Array, peak: float
) -> Cost:
    backend, engine = load_backend(segment.backend), engine_of(segment.backend)
    examples = calibration_of(plan, parameters, segment.index) if engine.calibrates(backend) else None
    made = engine.report(segment, backend, parameters, windows, examples)
    peak = gpu_speed(backend.precision) if backend.device == "cuda" else peak
    speed = made.macs / made.p50_s
    latency = made.p50_s, made.p99_s
    return Cost(
        title, backend.name, *latency, made.per_s, "windows/s", speed, speed / peak, made.memory_bytes, made.choices
    )


@cache
def gpu_speed(precision: str, size: int = 8192) -> float:
    """Multiply-accumulates per second of a matrix product on the GPU in that precision, the best of a second."""
    import torch

    from myoflow.lower.gpu import exact

    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device="cuda", dtype=kind) for _ in range(2))

    def product() -> None:
        a @ b
        torch.cuda.synchronize()

    with exact():
        return float(size**3 / min(timed(product)))


def matrix_speed(size: int = 768) -> float:
    """Multiply-accumulates per second of a float32 matrix product on one core, the best of a second."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.randn(size, size), torch.randn(size, size)
        return size**3 / min(timed(lambda: a @ b))
    finally:
        torch.set_num_threads(threads)
