"""Price: cycles of a layer from its tiles, and energy from cycles; a model, not a measurement.

A core turns four rows and four outputs in 24 cycles for four values of each, then finishes the sixteen results. What a
block, a tile and a row cost beside that was fitted to the layers of three networks of one encoder block on the open
PULP simulator (8 cores, XpulpV2): widths of 128, 192 and 256 with 120 to 400 tokens. docs/gap9.md says how far it is
off on other networks. Memory banks do not collide in that simulator, for which 5 to 10 % may be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.engines.mcu import layers as q

if TYPE_CHECKING:
    from myoflow.backend import Chip

WORD = 24  # cycles for four values of each of four rows and four outputs
FINISH = {
    "int8": 353.0,
    "transposed": 353.0,
    "table": 377.0,
    "rotary": 620.0,
    "int16": 369.0,
    "sum": 405.0,
    "any": 1150.0,
}
EDGE = 11.1  # a product of a block that is not whole
RAGGED = 76.0  # a block whose taps are no multiple of four
TILE = 465.0  # to send a tile, fetch the next, start all cores and wait for them
LAYER = 2330.0  # what a layer's code takes to come into the caches
SCORE, EXPONENTIAL, EXPONENTIALS, WEIGH = 148.0, 16.06, 50.0, 211.0  # a block, a score, a row of them, a block
ADDED = 640.0  # a block of values that is added to what earlier tiles of keys gave
NORMALISE, DIVIDE = 13.0, 150.0  # a value, a row
PHASE, HEAD = 200.0, 1100.0  # to start all cores on one part of a tile; a head's beginning
ROWS = {"norm": (27.8, 694.0), "table": (19.0, 60.0), "add": (11.0, 0.0), "add_rows": (11.0, 0.0)}  # a value, a row
MEAN, MEANS = 7.0, 20.0  # a value, a result
MOVE, ALIGNED = 33.0, 6.5  # a byte that moves within L2, alone or in words
BAND = 0.3  # energy is known to this share


@frozen
class Cycles:
    """Of one layer: work of the cores, transfers L1-L2, transfers L3-L2 while the layer before works."""

    compute: float
    dma: float
    far: float

    @property
    def busy(self) -> float:
        """Once its parameters are there: the slower of cores and L1 transfers."""
        return max(self.compute, self.dma)


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
    # a word that begins anywhere but at a multiple of four takes two accesses: half of them, or three of four
    word = WORD + 8 * {0: 0.0, 2: 0.5}.get(taps % 4, 0.75)
    whole = word * (taps // 4) + WORD * (taps % 4) + (RAGGED if taps % 4 else 0) + FINISH[_finisher(layer, other)]
    tiles = [(r, o) for o in _pieces(out, tile_out) for r in _pieces(rows, tile_rows)]
    compute = LAYER
    for r, o in tiles:
        edge = max((r * o - (r - r % 4) * (o - o % 4)) / chip.cores, r % 4 * min(4, o), o % 4 * min(4, r))
        share = -(-(-(-r // 4) * -(-o // 4)) // chip.cores)
        parts = r // 4 * (o // 4)
        compute += TILE + (whole * min(share, parts) if parts else 0) + EDGE * taps * edge
    moved = -(-out // tile_out) * rows * layer.step + rows * out * (size + (2 if other else 0)) + out * (taps + 8)
    first, last = tiles[0], tiles[-1]
    alone = first[0] * (layer.step + (2 * first[1] if other else 0)) + first[1] * (taps + 8) + last[0] * last[1] * size
    alone += layer.turn.nbytes if layer.turn is not None else 0
    return Cycles(compute + alone / chip.dma_bytes, moved / chip.dma_bytes, _far(layer, chip))


def _finisher(layer: q.Linear, other: bool) -> str:
    """Which end of a block the kernel takes, as mf_linear.c does."""
    kind = "table" if layer.table is not None else layer.epilogue
    fine = kind == "rotary" or (kind == "int16" and not other)
    if layer.lead < 0 or (layer.lead > 0 and not fine) or kind == "int32":
        return "any"
    return "transposed" if layer.out.transposed else "sum" if kind == "int16" and other else kind


def attention(layer: q.Attention, tile_rows: int, tile_keys: int, chip: Chip) -> Cycles:
    """Attention with `tile_rows` queries at a time, keys and values resident or in tiles."""
    rows, keys, heads = layer.out.rows, layer.keys, layer.heads
    size, cores = layer.out.width // heads, chip.cores
    pieces = _pieces(keys, tile_keys)
    compute = 0.0
    for r in _pieces(rows, tile_rows):
        high, deep = -(-r // 4), -(-r // cores)
        for number, part in enumerate(pieces):
            compute += -(-high * -(-part // 4) // cores) * (WORD * size / 4 + SCORE) + PHASE
            compute += -(-high * -(-size // 4) // cores) * (WORD * part / 4 + (ADDED if number else WEIGH)) + PHASE
        compute += deep * (keys * EXPONENTIAL + EXPONENTIALS) + deep * (size * NORMALISE + DIVIDE) + 2 * PHASE
        compute += (2 * r + (pieces[0] if len(pieces) > 1 else 0)) * size / chip.dma_bytes
    resident = 2 * keys * size / chip.dma_bytes
    times = 1 if len(pieces) == 1 else len(_pieces(rows, tile_rows))
    alone = HEAD + (resident if times == 1 else 0)
    moved = times * resident + 2 * rows * size / chip.dma_bytes
    return Cycles(LAYER + heads * (compute + alone), heads * moved, _far(layer, chip))


def rows(layer: q.Layer, source_bytes: int, chip: Chip, tile_rows: int) -> Cycles:
    """Normalisation and what else goes row by row, in tiles of `tile_rows`."""
    high, width, cores = layer.out.rows, layer.out.width, chip.cores
    moved = (source_bytes + layer.out.bytes) / chip.dma_bytes
    if isinstance(layer, q.Mean):
        compute = high * -(-width // cores) * (MEAN * layer.group + MEANS)
    elif layer.kind in ROWS:
        value, row = ROWS[layer.kind]
        compute = sum(-(-r // cores) for r in _pieces(high, tile_rows)) * (value * width + row)
    else:
        value = ALIGNED if layer.kind == "pad" and width * q.BYTES[layer.out.dtype] % 4 == 0 else MOVE
        return Cycles(LAYER + value * layer.out.bytes / cores, 0.0, _far(layer, chip))
    tiles = -(-high // tile_rows)
    return Cycles(LAYER + compute + tiles * TILE + moved / tiles, moved, _far(layer, chip))


def _pieces(whole: int, tile: int) -> list[int]:
    """The sizes of the tiles that `whole` is cut into."""
    full, rest = divmod(whole, tile)
    return [tile] * full + ([rest] if rest else [])


def _far(layer: q.Layer, chip: Chip) -> float:
    return sum(table.nbytes for _, table in layer.parameters) / chip.l3_bytes


def by_layer(found: Sequence[Cycles]) -> list[float]:
    """Cycles of each layer: layer i's parameters come while layer i - 1 works, and it waits for what is left."""
    before = [0.0, *(cycles.busy for cycles in found[:-1])]
    return [cycles.busy + max(0.0, cycles.far - spent) for cycles, spent in zip(found, before, strict=True)]
