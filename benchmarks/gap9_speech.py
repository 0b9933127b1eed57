"""The gap9 backend proved on a run of speech: every layer's bits, utterance by utterance, and what one costs.

    python benchmarks/gap9_speech.py RUN [--utterances 40] [--rv32 1]

Test utterances, each at its own length, and hard ones (one sample, the longest that fits, random numbers, all -128):
C on this machine, and on emulated RV32, against the NumPy reference. What int8 does to the error rates is
`myoflow verify RUN --backend gap9`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from myoflow.backend import load_backend
from myoflow.engines.mcu import lanes, plan, price, reference
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.build import Build, compiled
from myoflow.experiment import Experiment
from myoflow.models import main_name, plan_recipe
from myoflow.pipeline import calibration_of
from myoflow.progress import Progress
from myoflow.run import load_run
from myoflow.training.fit import learned


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--rv32", type=int, default=1)
    given = parser.parse_args()
    build, rate, signals = load(given.run)
    longest = build.network.input.width
    print(f"utterances of up to {longest / rate:.1f} s fit: L1 {build.plan.l1 / 1024:.0f} KiB, "
          f"L2 {build.plan.l2 / 1024:.0f} KiB, L3 {build.plan.l3_bytes / 1024:.0f} KiB")  # fmt: skip
    lengths = sorted(signal.shape[1] for signal in signals)
    for length in (lengths[len(lengths) // 2], longest):
        network = build.network.at(length)
        cycles = plan.plan(network, build.plan.chip).cycles
        fast, slow = price.points(cycles, build.plan.chip)
        macs = sum(layer.macs for layer in network.layers) / 1e6
        print(f"{length / rate:.2f} s: {macs:.1f} M MAC, {cycles / 1e6:.1f} M cycles by the model, "
              f"{fast.seconds * 1e3:.1f} ms and {fast.millijoules:.2f} mJ at {fast.mhz:g} MHz, "
              f"{slow.seconds * 1e3:.1f} ms and {slow.millijoules:.2f} mJ at {slow.mhz:g} MHz")  # fmt: skip
    rng = np.random.default_rng(0)
    channels = build.network.input.rows
    hard = [rng.integers(-128, 128, (channels, n)).astype(np.int8) for n in (1, longest)]
    hard.append(np.full((channels, lengths[0]), -128, np.int8))
    real = [reference.quantise(signal, build.network.input) for signal in signals]
    bits("host", build, [*hard, *real[: given.utterances]])
    if given.rv32 and lanes.missing("rv32") is None:
        bits("rv32", build, real[: given.rv32])


def load(folder: str) -> tuple[Build, float, list[Any]]:
    """A run's network in integers, the rate of its input, and test utterances `(channel, time)`."""
    run = load_run(folder)
    name = main_name(run.recipe)
    parameters, header = run.load(name)
    planned = plan_recipe(run.recipe, spec=header.spec())[name]
    network = learned(planned, planned.cut + 1)
    assert network is not None
    examples = calibration_of(planned, parameters, network.index)
    build = compiled(network, load_backend("gap9"), parameters, examples)
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    held = experiment.held_out(name, 1)
    return build, network.input.rate_hz, [np.asarray(signal) for signal in held.signals]


def bits(lane: str, build: Build, utterances: list[Any]) -> None:
    """Every layer of every utterance against the reference."""
    different, compared, stack = 0, 0, 0
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        runner = lanes.build(lane, build.network, build.sources, build.plan.chip, Path(folder))
        for utterance in utterances:
            found: list[bool] = []
            wanted = outputs(build.network.at(utterance.shape[1]), utterance)

            def watch(place: int, data: bytes, wanted: Any = wanted, found: Any = found) -> None:
                found.append(data == wanted[place].tobytes())

            runner.run(utterance, watch)
            different += found.count(False)
            compared += len(found)
        stack = getattr(runner, "stack", 0)
    words = f", deepest stack {stack} bytes" if stack else ""
    lengths = len({utterance.shape[1] for utterance in utterances})
    spent = time.process_time() - start
    print(f"{lane}: {compared} layer outputs of {len(utterances)} utterances of {lengths} lengths, "
          f"{different} differ{words} ({spent:.0f} CPU s with the reference)")  # fmt: skip


def outputs(network: q.Network, utterance: Any) -> list[Any]:
    """Every layer's integers by the reference."""
    found = [utterance[None]]
    for layer in network.layers[1:]:
        found.append(reference.compute(layer, [found[i] for i in layer.inputs]))
    return [value[0] for value in found]


if __name__ == "__main__":
    main()
