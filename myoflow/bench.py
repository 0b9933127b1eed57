"""Bench: what each stage of a pipeline costs on each backend of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from myoflow.backend import load_backend
from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.fit import learned
from myoflow.network import build
from myoflow.pipeline import Plan, compile_steps, engine_of
from myoflow.prepare import find_cut

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

CHUNK_S = 0.02  # of signal at a time: what a live source gives
MANY = 16  # windows at a time for throughput
SECONDS = 1.0  # of measuring per row
FEWEST = 20  # calls per row


@frozen
class Cost:
    """One stage on one backend. Latencies in s are of a chunk of 20 ms before the window stage, of one window behind.

    `throughput` is seconds of signal, or windows, per second, 16 at a time. `share` is what part of this machine's
    float32 matrix product speed on one core the latency makes; a backend of lower precision may pass 1.
    """

    stage: str
    backend: str
    p50_s: float
    p99_s: float
    throughput: float
    unit: str
    macs_per_s: float = 0.0
    share: float = 0.0
    memory_bytes: int = 0
    note: str = ""


def bench(plan: Plan, backends: Sequence[str], parameters: Parameters | None = None) -> list[Cost]:
    """Time every stage on its own backend, and the learned ones on each of `backends`.

    Without `parameters` the learned stages have random weights (which cost the same), and stages that are fitted are
    left out. Raises InputError when a backend cannot run here.
    """
    rng = np.random.default_rng(0)
    window = find_cut(plan)
    network = learned(plan, window + 1)
    parameters = parameters or Parameters()
    if network is not None and not parameters.weights:
        weights = {name: tensor.numpy() for name, tensor in build(network).state_dict().items()}
        parameters = evolve(parameters, weights=weights)
    peak = matrix_speed()
    signal = (1e-5 * rng.standard_normal((plan.input.size("channel"), int(plan.input.rate_hz)))).astype(np.float32)
    found = [_signal_stage(plan, index, parameters, signal) for index in range(window + 1)]
    windows = rng.standard_normal((MANY, *map(int, plan.steps[window].after.sizes[1:]))).astype(np.float32)  # type: ignore[arg-type]
    calibrated = evolve(parameters, calibration=windows) if parameters.calibration is None else parameters
    for step in plan.steps[window + 1 :]:
        if step.stage.training_only or (step.stage.fits and step.index not in parameters.states):
            continue
        inside = network is not None and network.index <= step.index < network.index + len(network.stages)
        for name in dict.fromkeys([step.backend, *(backends if inside else ())]):
            found.append(_window_stage(plan, step.index, name, calibrated, windows, peak))
        windows = compile_steps(plan, calibrated, step.index, step.index + 1).feed(windows)
    return found


def _signal_stage(plan: Plan, index: int, parameters: Parameters, signal: Array) -> Cost:
    step = plan.steps[index]
    if step.stage.fits and index not in parameters.states:
        return Cost(step.stage.name, step.backend, np.nan, np.nan, np.nan, "s/s", note="not fitted")
    rate = step.before.rate_hz
    samples = max(1, round(CHUNK_S * rate))
    shape = (step.before.size("channel"), samples)
    chunk = np.resize(signal, shape).astype(np.float32)
    chain = compile_steps(plan, parameters, index, index + 1)
    times = _timed(lambda: chain.feed(chunk))
    long = np.resize(signal, (shape[0], int(10 * rate))).astype(np.float32)
    whole = _timed(lambda: compile_steps(plan, parameters, index, index + 1).feed(long))
    p50, p99 = np.percentile(times, [50, 99])
    memory = step.cost.memory_bytes
    return Cost(step.stage.name, step.backend, p50, p99, 10 / float(np.median(whole)), "s/s", memory_bytes=memory)


def _window_stage(plan: Plan, index: int, name: str, parameters: Parameters, windows: Array, peak: float) -> Cost:
    step = plan.steps[index]
    reason = engine_of(name).missing(load_backend(name))
    if reason:
        raise InputError(f"backend '{name}' cannot run on this machine: {reason}")
    moved = evolve(plan, steps=tuple(evolve(s, backend=name) if s.index == index else s for s in plan.steps))
    chain = compile_steps(moved, parameters, index, index + 1)
    one = windows[:1]
    p50, p99 = np.percentile(_timed(lambda: chain.feed(one)), [50, 99])
    many = float(np.median(_timed(lambda: chain.feed(windows))))
    speed = step.cost.macs / p50
    memory = step.cost.memory_bytes
    return Cost(step.stage.name, name, p50, p99, MANY / many, "windows/s", speed, speed / peak, memory)


def _timed(call: Callable[[], object]) -> Array:
    call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < FEWEST or (time.perf_counter() < end and len(times) < 2000):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return np.array(times)


def matrix_speed(size: int = 768) -> float:
    """Multiply-accumulates per second of a float32 matrix product on one core, the best of a second."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.randn(size, size), torch.randn(size, size)
        return size**3 / float(_timed(lambda: a @ b).min())
    finally:
        torch.set_num_threads(threads)
