"""Price: cycles of a layer from its tiles, and energy from cycles; a model, not a measurement.

A core turns two rows and four outputs in `14 taps / 4 + 172` cycles: eleven loads and products a word with XpulpV2's
SIMD, and the epilogue. The constants were fitted to one encoder block on the open PULP simulator (8 cores, XpulpV2,
tiles of 80 rows) and met another tiling within 2.2 % a layer; memory banks do not collide in that simulator, for which
5 to 10 % may be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.engines.mcu import layers as q

if TYPE_CHECKING:
    from myoflow.backend import Chip

WORD = 14  # cycles for four values of each of two rows and four outputs
EPILOGUE, TABLE, SCORES = 172, 48, 238  # cycles for eight results
ROW_START = 450  # softmax of a pair of rows: its fixed part
NORM = 3792 / 192  # cycles a value
FORK = 100  # cycles to start a tile on all cores and wait for them
BAND = 0.3  # energy is known to this share


@frozen
class Cycles:
    """Of one layer: work of the cores, transfers L1-L2, transfers L3-L2. They run side by side."""

    compute: float
    dma: float
    far: float

    @property
    def total(self) -> float:
        """The slowest of them."""
        return max(self.compute, self.dma, self.far)


@frozen
class Point:
    """An operating point with what a window takes there; power and energy are estimates within BAND."""

    mhz: float
    volt: float
    seconds: float
    milliwatts: float

    @property
    def millijoules(self) -> float:
        """Energy of a window."""
        return self.seconds * self.milliwatts


def points(cycles: float, chip: Chip) -> tuple[Point, Point]:
    """The fast and the slow point: power scales with frequency and the square of the voltage."""
    found = []
    for mhz, volt in ((chip.fast_mhz, chip.fast_volt), (chip.slow_mhz, chip.slow_volt)):
        power = chip.power_mw * (mhz / chip.fast_mhz) * (volt / chip.fast_volt) ** 2
        found.append(Point(mhz, volt, cycles / (mhz * 1e6), power))
    return found[0], found[1]


def linear(layer: q.Linear, tile_rows: int, tile_out: int, chip: Chip, other: bool) -> Cycles:
    """A product in tiles of `tile_rows` by `tile_out`."""
    rows, taps, out = layer.out.rows, layer.weight.shape[1], layer.out.width
    size = q.BYTES[layer.out.dtype]
    each = WORD * taps / 4 + EPILOGUE + (TABLE if layer.table is not None else 0)
    pairs = _split(rows, tile_rows, 2 * chip.cores)
    blocks = _split(out, tile_out, 4)
    downs, acrosses = -(-rows // tile_rows), -(-out // tile_out)
    compute = pairs * blocks * each + downs * acrosses * FORK + (1.5 * rows * out if other else 0)
    moved = acrosses * rows * layer.step + rows * out * (size + (2 if other else 0)) + out * (taps + 8)
    return Cycles(compute, moved / chip.dma_bytes, _far(layer, chip))


def attention(layer: q.Attention, tile_rows: int, tile_keys: int, chip: Chip) -> Cycles:
    """Attention with `tile_rows` queries at a time, keys and values resident or in tiles."""
    rows, keys, heads = layer.out.rows, layer.keys, layer.heads
    size = layer.out.width // heads
    turns = _split(rows, tile_rows, 2 * chip.cores)
    pair = keys / 4 * (WORD * size / 4 + SCORES) + size / 4 * (WORD * keys / 4 + EPILOGUE) + ROW_START
    tiles = -(-keys // tile_keys)
    downs = -(-rows // tile_rows)
    forks = downs * (1 if tiles == 1 else 2 * tiles + 2)
    times = 1 if tiles == 1 else downs
    compute = heads * (turns * pair + forks * FORK)
    return Cycles(compute, heads * (2 * times * keys * size + 2 * rows * size) / chip.dma_bytes, _far(layer, chip))


def rows(layer: q.Layer, source_bytes: int, chip: Chip) -> Cycles:
    """Normalisation and what else goes row by row."""
    values = layer.out.rows * layer.out.width
    each = {"norm": NORM, "table": 14.0, "add": 6.0, "add_rows": 6.0, "mean": 3.0 * getattr(layer, "group", 1)}
    share = -(-layer.out.rows // chip.cores) * chip.cores / layer.out.rows
    cost = each.get(layer.kind, 4.0 * chip.cores)  # moves run on one core
    return Cycles(
        values * cost * share / chip.cores, (source_bytes + layer.out.bytes) / chip.dma_bytes, _far(layer, chip)
    )


def _far(layer: q.Layer, chip: Chip) -> float:
    return sum(table.nbytes for _, table in layer.parameters) / chip.l3_bytes


def _split(whole: int, tile: int, unit: int) -> int:
    """How many units all tiles of a size take, a begun unit being a whole one."""
    full, rest = divmod(whole, tile)
    return full * -(-tile // unit) + -(-rest // unit)


def in_all(found: Sequence[Cycles]) -> float:
    """Cycles of a window: layer i's parameters come while layer i - 1 works, so each takes the longer of the two."""
    far = [*(cycles.far for cycles in found[1:]), 0.0]
    return sum(max(c.compute, c.dma, next_far) for c, next_far in zip(found, far, strict=True)) + found[0].far
