"""Build: a segment made into integers, a memory plan and C, and what is known of each layer."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen

from myoflow.engines.mcu import emit, fitting, ir, layers, plan, price, ranges, reference
from myoflow.errors import InputError
from myoflow.lower import programs
from myoflow.network import trained

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters, Segment

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
