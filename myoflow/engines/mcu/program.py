"""Program: a compiled network fed with windows of real numbers, and everything that is known about it."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import frozen

from myoflow.engines.mcu import emit, fitting, ir, lanes, layers, plan, price, ranges, reference
from myoflow.errors import InputError
from myoflow.lower import programs
from myoflow.network import trained

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters, Segment
    from myoflow.engines.mcu.device import Device
    from myoflow.pipeline import Plan

VERSION = "mcu-4"  # raise it when the same segment becomes other integers


@frozen
class Row:
    """One layer of the table of a compiled network; `snr_db` and `saturated` (a share) are of calibration windows."""

    name: str
    kind: str
    shape: tuple[int, int]
    dtype: str
    low: float
    high: float
    snr_db: float
    saturated: float
    cycles: float
    l1: int
    parameters: int


@frozen(eq=False)
class Build:
    """A segment in integers: the network, its memory plan, its C, and a table with a row per layer."""

    network: layers.Network
    plan: plan.MemoryPlan
    sources: emit.Sources
    rows: tuple[Row, ...]
    macs: int

    @property
    def points(self) -> tuple[price.Point, price.Point]:
        """Latency and energy at the fast and the slow operating point, by the model."""
        return price.points(self.plan.cycles, self.plan.chip)


def compiled(segment: Segment, backend: Backend, parameters: Parameters, calibration: Array) -> Build:
    """The segment through all steps but the C compiler; kept under the cache by a hash of all that decides it.

    Raises:
        InputError: an operation without an integer form, calibration windows that are not finite, a network that
            does not fit the chip, or another precision than int8.
    """

    if backend.precision != "int8":
        raise InputError(f"backend '{backend.name}': the mcu engine computes in int8, not in {backend.precision}")

    def make() -> bytes:
        return pickle.dumps(_lowered(segment, parameters, calibration))

    key = programs.key(segment, backend, parameters, calibration, ("torch", "numpy"))
    network, rows = pickle.loads(programs.kept(f"{key}.{VERSION}", make))
    network, made = fitting.fitted(network, backend.chip)
    names = ", ".join(stage.name for stage in segment.stages)
    sources = emit.emit(network, made, names)
    table = tuple(
        Row(
            **row, shape=(layer.out.rows, layer.out.width), cycles=cycles, l1=tiles.l1,
            parameters=plan.parameter_bytes(layer),
        )
        for row, tiles, cycles, layer in zip(rows, made.tiles, made.by_layer, network.layers, strict=True)
    )  # fmt: skip
    return Build(network, made, sources, table, sum(layer.macs for layer in network.layers))


def _lowered(
    segment: Segment, parameters: Parameters, calibration: Array
) -> tuple[layers.Network, list[dict[str, object]]]:
    from myoflow.engines.mcu.capture import capture
    from myoflow.engines.mcu.quantise import quantise

    spec = segment.input
    utterances, length = None in spec.sizes[1:], calibration.shape[-1]
    longest = max(length, round((spec.longest_s or 0) * spec.rate_hz)) if utterances else None
    graph = capture(trained(segment, parameters.weights), spec, longest)
    seen = ir.resized(graph, length) if utterances else graph
    network = attrs.evolve(quantise(graph, ranges.observe(seen, calibration)), open=utterances)
    return network, _measured(network.at(length), seen, calibration)


def _measured(network: layers.Network, graph: ir.Graph, calibration: Array) -> list[dict[str, object]]:
    """Range, signal-to-noise ratio and saturation of every layer, over at most 32 calibration windows."""
    import torch

    chosen = np.array(calibration[:: max(1, len(calibration) // 32)], np.float32)
    power, noise, clipped = (np.zeros(len(network.layers)) for _ in range(3))
    low, high = np.full(len(power), np.inf), np.full(len(power), -np.inf)
    for window in np.split(chosen, len(chosen)):
        integers = reference.run(network, window)
        with torch.inference_mode():
            floats = ir.evaluate(graph, torch.from_numpy(window))
        for i, (layer, value) in enumerate(zip(network.layers, integers, strict=True)):
            wanted = floats[layer.op].numpy().astype(np.float64)
            power[i] += np.square(wanted).sum()
            noise[i] += np.square(wanted - layer.out.real(value)).sum()
            limits, unit = np.iinfo(value.dtype), np.asarray(layer.out.scale)
            exact = wanted / unit + layer.out.zero
            clipped[i] += np.mean((exact < limits.min - 0.5) | (exact > limits.max + 0.5)) / len(chosen)
            low[i], high[i] = min(low[i], wanted.min()), max(high[i], wanted.max())
    return [
        {
            "name": layer.name, "kind": layer.kind, "dtype": layer.out.dtype,
            "low": float(low[i]), "high": float(high[i]),
            "snr_db": float(10 * np.log10(max(power[i], 1e-300) / max(noise[i], 1e-300))),
            "saturated": float(clipped[i]),
        }
        for i, layer in enumerate(network.layers)
    ]  # fmt: skip


class McuProgram:
    """Windows of real numbers through the C code of one lane; compiled at the first window."""

    def __init__(self, build: Build, segment: Segment, lane: str) -> None:
        self.build = build
        self._lane, self._name = lane, segment.backend
        self._rate_hz = segment.input.rate_hz
        self._shape = tuple(0 if size is None else size for size in segment.output.sizes)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runner: lanes.Runner | None = None
        made, kib = build.plan, 1024
        times = ", ".join(f"{p.seconds:.3f} s and {p.millijoules:.1f} mJ at {p.mhz:g} MHz" for p in build.points)
        self.choices = (
            f"int8 C on the lane '{lane}'",
            *build.network.choices,
            *self._limits(segment.input.longest_s),
            f"L1 {made.l1 / kib:.0f} KiB, L2 {made.l2 / kib:.0f} KiB, L3 {made.l3_bytes / kib:.0f} KiB",
            f"by the model {made.cycles / 1e6:.1f} M cycles: {times}",
        )

    def _limits(self, asked_s: float | None) -> tuple[str, ...]:
        """How long utterances may be, in words."""
        if not self.build.network.open:
            return ()
        most = self.build.network.input.width / self._rate_hz
        short = asked_s is not None and most < asked_s - 0.5 / self._rate_hz
        why = f" ({asked_s:g} s would not fit its memory)" if short else ""
        return (f"utterances of up to {most:.2f} s{why}, each computed alone",)

    @property
    def details(self) -> list[dict[str, Any]]:
        """Sections of a report: prices, memory, a row per layer."""
        from myoflow.engines.mcu import explain

        return explain.sections(self.build, self._name, self._rate_hz)

    @property
    def runner(self) -> lanes.Runner:
        """The C code, built when it is first asked for."""
        if self._runner is None:
            self._folder = tempfile.TemporaryDirectory(prefix="myoflow-mcu-")
            build = self.build
            folder = Path(self._folder.name)
            self._runner = lanes.build(self._lane, build.network, build.sources, build.plan.chip, folder)
        return self._runner

    def front(self, plan: Plan, parameters: Parameters, index: int) -> Device | None:
        """What stands before step `index`, the network's first, in the device's integers; on the lane host alone.

        Raises:
            InputError: a stage without an integer form, by name.
        """
        from myoflow.engines.mcu import front
        from myoflow.engines.mcu.device import Device

        if self._lane != "host" or self.build.network.open or parameters.calibration is None:
            return None
        unit = float(self.build.network.input.scale)
        return Device(front.front(plan, parameters, index, parameters.calibration, unit), unit)

    def feed(self, chunk: Array) -> Array:
        if len(chunk) == 0:
            return self.flush()
        reference.check_finite(chunk)
        whole = self.build.network
        if whole.open and chunk.shape[-1] > whole.input.width:
            long, most = (size / self._rate_hz for size in (chunk.shape[-1], whole.input.width))
            raise InputError(
                f"an utterance of {long:.2f} s is longer than backend '{self._name}' has memory for: up to "
                f"{most:.2f} s; cut it, or give the chip more l2_kib and l1_kib"
            )
        network = whole.at(chunk.shape[-1]) if whole.open else whole
        value, out = network.input, network.output
        integers = reference.quantise(np.asarray(chunk).reshape(len(chunk), *value.shape), value)
        answers = np.stack([self.runner.run(window) for window in integers])
        shape = out.shape if whole.open else self._shape[1:]
        made: Array = out.real(answers).astype(np.float32).reshape(len(chunk), *shape)
        return made

    def flush(self) -> Array:
        return np.empty(self._shape, np.float32)
