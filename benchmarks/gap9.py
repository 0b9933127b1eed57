"""The gap9 backend proved on a run: bits, accuracy, what each choice of quantisation is worth, and the model's price.

    python benchmarks/gap9.py RUN [--windows 200] [--rv32 1] [--choices 64] [--double] [--gvsoc]

Bits: every layer's output of host C (and of emulated RV32) against the NumPy reference, on test windows and on
adversarial ones (all -128, all 127, zeros, spikes, random). `--double` stands two windows on top of each other as twice
the channels, with the trained weights repeated: a larger network, not a trained one. `--gvsoc` runs one test window on
PULP-open in GVSoC (minutes) and prints its cycles beside the model's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from myoflow.backend import load_backend
from myoflow.engine import Parameters, Segment
from myoflow.engines.mcu import capture, emit, ir, lanes, plan, quantise, ranges, reference
from myoflow.engines.mcu import layers as q
from myoflow.experiment import Experiment
from myoflow.models import main_name, plan_recipe
from myoflow.network import build, trained
from myoflow.pipeline import calibration_of, compile_steps
from myoflow.progress import Progress
from myoflow.run import load_run
from myoflow.training.fit import learned


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--rv32", type=int, default=1)
    parser.add_argument("--choices", type=int, default=64)
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--gvsoc", action="store_true")
    given = parser.parse_args()
    network, parameters, examples, windows, labels = load(given.run)
    if given.double:
        network, parameters = doubled(network, parameters)
        examples, windows = (np.concatenate((x, np.roll(x, 1, 0)), 1) for x in (examples, windows))
    chip = load_backend("gap9").chip
    graph = capture.capture(trained(network, parameters.weights), network.input)
    seen = ranges.observe(graph, np.asarray(examples))
    made = quantise.quantise(graph, seen)
    planned = plan.plan(made, chip)
    priced(graph, planned)
    for lane, count in (("host", given.windows), ("rv32", given.rv32)):
        if count and lanes.missing(lane) is None:
            bits(lane, made, planned, windows[:count])
    if given.gvsoc:
        simulated(made, planned, windows[0])
    if given.choices:
        compared(graph, seen, windows, labels, given.choices, accuracy=not given.double)


def load(folder: str) -> tuple[Segment, Parameters, Any, Any, Any]:
    """A run's network, weights, calibration and test windows as the network takes them, and their labels."""
    run = load_run(folder)
    name = main_name(run.recipe)
    parameters, header = run.load(name)
    planned = plan_recipe(run.recipe, spec=header.spec())[name]
    cut = planned.cut
    network = learned(planned, cut + 1)
    assert network is not None
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    held = experiment.held_out(name, 1)
    windows = held.take(np.arange(len(held)))
    if planned.segments(cut + 1, network.index):
        windows = compile_steps(planned, parameters, cut + 1, network.index).feed(windows)
    return network, parameters, calibration_of(planned, parameters, network.index), windows, held.label


def doubled(network: Segment, parameters: Parameters) -> tuple[Segment, Parameters]:
    """The same network for twice the channels; weights per channel are repeated."""

    def wider(spec: Any) -> Any:
        if "channel" not in spec.dims:
            return spec
        sizes = tuple(2 * s if d == "channel" else s for d, s in zip(spec.dims, spec.sizes, strict=True))
        return attrs.evolve(spec, sizes=sizes, channels=(*spec.channels, *(f"{c}b" for c in spec.channels)))

    larger = attrs.evolve(network, specs=tuple(wider(s) for s in network.specs), output=wider(network.output))
    weights = {}
    for key, wanted in build(larger).state_dict().items():
        values = np.asarray(parameters.weights[key])
        times = tuple(a // b for a, b in zip(wanted.shape, values.shape, strict=True))
        weights[key] = np.tile(values, times) / (np.prod(times) if "classifier" in key else 1)
    return larger, Parameters(weights=weights)


def priced(graph: ir.Graph, planned: plan.MemoryPlan) -> None:
    macs = sum(op.macs for op in graph)
    print(
        f"{macs / 1e6:.1f} M MAC, {planned.cycles / 1e6:.2f} M cycles by the model, "
        f"{macs / planned.cycles:.1f} MAC/cycle"
    )
    print(f"L1 {planned.l1 / 1024:.1f} KiB, L2 {planned.l2 / 1024:.1f} KiB, L3 {planned.l3_bytes / 1024:.1f} KiB")
    from myoflow.engines.mcu import price

    for point in price.points(planned.cycles, planned.chip):
        print(f"{point.mhz:g} MHz: {point.seconds * 1e3:.1f} ms, {point.millijoules:.2f} mJ (estimate, 30 %)")


def bits(lane: str, network: q.Network, planned: plan.MemoryPlan, windows: Any) -> None:
    """Every layer of every window against the reference."""
    rng = np.random.default_rng(0)
    value = network.input
    spike = np.zeros(value.shape, np.int8)
    spike.flat[rng.integers(spike.size)] = 127
    hard = [np.full(value.shape, v, np.int8) for v in (-128, 127, 0)]
    hard += [spike, rng.integers(-128, 128, value.shape).astype(np.int8)]
    real = reference.quantise(windows.reshape(len(windows), *value.shape), value)
    different, compared_ = 0, 0
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        runner = lanes.build(lane, network, emit.emit(network, planned, "benchmark"), planned.chip, Path(folder))
        for window in [*hard, *real] if lane == "host" else [hard[1], *real]:
            wanted = [window[None]]
            for layer in network.layers[1:]:
                wanted.append(reference.compute(layer, [wanted[i] for i in layer.inputs]))
            found: list[bool] = []

            def watch(place: int, data: bytes, wanted: Any = wanted, found: Any = found) -> None:
                found.append(data == wanted[place][0].tobytes())

            runner.run(window, watch)
            different += found.count(False)
            compared_ += len(found)
        stack = getattr(runner, "stack", None)
    words = f", deepest stack {stack} bytes" if stack else ""
    spent = time.process_time() - start
    print(f"{lane}: {compared_} layer outputs of {len(windows)} test and some adversarial windows, {different} differ"
          f"{words} ({spent:.0f} CPU s with the reference)")  # fmt: skip


def simulated(network: q.Network, planned: plan.MemoryPlan, window: Any) -> None:
    """One window on PULP-open: its output against the host's, and cycles by kind of layer against the model's."""
    sources = emit.emit(network, planned, "benchmark")
    integers = reference.quantise(window.reshape(1, *network.input.shape), network.input)[0]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        wanted = lanes.build("host", network, sources, planned.chip, Path(one)).run(integers)
        runner: Any = lanes.build("gvsoc", network, sources, planned.chip, Path(two))
        same = np.array_equal(runner.run(integers), wanted)
    total, model = int(runner.cycles[0]), planned.cycles
    print(f"gvsoc, PULP-open (GAP9-like): output {'as' if same else 'NOT as'} the host's on every bit, "
          f"{total / 1e6:.1f} M cycles, model {model / 1e6:.1f} ({model / total:.3f})")  # fmt: skip
    ratios = {i: cost / int(runner.cycles[i]) for i, cost in enumerate(planned.by_layer) if i}
    worst = max(ratios, key=lambda i: abs(ratios[i] - 1))
    print(f"  the model by layers: {min(ratios.values()):.3f} to {max(ratios.values()):.3f} times what is simulated, "
          f"farthest off at {network.layers[worst].name}")  # fmt: skip
    for place, ratio in ratios.items():
        layer, spent = network.layers[place], int(runner.cycles[place])
        if "blocks." not in layer.name or "blocks.0." in layer.name:
            print(
                f"  {layer.name or layer.kind:36s} {layer.kind:10s} {spent / 1e3:9.1f} thousand cycles, "
                f"model {planned.by_layer[place] / 1e3:9.1f}, {ratio:.3f}"
            )


def compared(graph: ir.Graph, seen: Any, windows: Any, labels: Any, count: int, accuracy: bool) -> None:
    """Signal-to-noise ratio of the outputs, and accuracy, for each choice."""
    import torch

    step = max(1, len(windows) // count)
    windows, labels = np.array(windows[::step], np.float32), labels[::step]
    with torch.inference_mode():
        parts = [ir.evaluate(graph, torch.from_numpy(w[None]))[-1].numpy() for w in windows]
    floats = np.concatenate(parts).astype(np.float64)
    table = {
        "as it is": quantise.Choices(), "weights per tensor": quantise.Choices(per_channel=False),
        "sums in int8": quantise.Choices(residual="int8"), "exponential in 15 bits": quantise.Choices(softmax_bits=15),
    }  # fmt: skip
    right = np.mean(floats.reshape(len(floats), -1).argmax(1) == labels)
    print(f"| {len(windows)} test windows | SNR of the outputs, dB | accuracy | decided otherwise |\n|---|---|---|---|")
    print(f"| torch in float32 | | {f'{right:.2%}' if accuracy else ''} | |")
    for name, choices in table.items():
        network = quantise.quantise(graph, seen, choices)
        got = np.concatenate([reference.outputs(network, w[None]) for w in windows])
        snr = 10 * np.log10(np.square(floats).sum() / np.square(floats - got).sum())
        decided, before = (x.reshape(len(x), -1).argmax(1) for x in (got, floats))
        share = f"{np.mean(decided == labels):.2%}" if accuracy else ""
        print(f"| {name} | {snr:.1f} | {share} | {int((decided != before).sum())} |", flush=True)


if __name__ == "__main__":
    main()
