"""Plan: tiles for L1, one arena in L2 by the lives of values, parameters from L3 in two slots; or what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu import price
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.backend import Chip

KIB = 1024


@frozen
class Tiles:
    """How a layer is cut: rows, and outputs or keys, of a tile; what it takes of L1; what it costs."""

    rows: int
    across: int
    l1: int
    cycles: price.Cycles


@frozen
class Buffer:
    """A value's place in the arena, and the layers at which it is alive."""

    offset: int
    bytes: int
    first: int
    last: int


@frozen(eq=False)
class MemoryPlan:
    """Where everything is. `l3[i]` is where layer i's parameters begin, `slots` are the sizes of the two in L2."""

    chip: Chip
    tiles: tuple[Tiles, ...]
    buffers: tuple[Buffer, ...]
    arena: int
    slots: tuple[int, int]
    l3: tuple[int, ...]
    l3_bytes: int

    @property
    def l1(self) -> int:
        """The most that a layer takes of L1."""
        return max(tiles.l1 for tiles in self.tiles)

    @property
    def l2(self) -> int:
        """Arena and slots."""
        return self.arena + sum(self.slots)

    @property
    def cycles(self) -> float:
        """Of one window, by the model."""
        return sum(self.by_layer)

    @property
    def by_layer(self) -> list[float]:
        """Cycles of each layer by the model, with what it waits for its parameters."""
        return price.by_layer([tiles.cycles for tiles in self.tiles])


def plan(network: q.Network, chip: Chip) -> MemoryPlan:
    """Tiles and addresses for a network on a chip.

    Raises:
        InputError: it does not fit; says which memory, by how much, at which layer, and what would fit.
    """
    tiles = tuple(_tiles(network, number, chip) for number in range(len(network.layers)))
    buffers = _arena(network)
    arena = _up(max(b.offset + b.bytes for b in buffers), 16)
    sizes = [parameter_bytes(layer) for layer in network.layers]
    slots = (max([8, *sizes[1::2]]), max([8, *sizes[2::2]]))  # layer n uses slot (n - 1) mod 2
    starts, total = [], 0
    for size in sizes:
        starts.append(total)
        total += size
    made = MemoryPlan(chip, tiles, buffers, arena, slots, tuple(starts), total)
    _check(network, made)
    return made


def parameter_bytes(layer: q.Layer) -> int:
    """Bytes of a layer's parameters as they lie in L3, each table from a multiple of 8 on."""
    return sum(_up(table.nbytes, 8) for _, table in layer.parameters)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _check(network: q.Network, made: MemoryPlan) -> None:
    chip = made.chip
    room = (chip.l2_kib - chip.l2_kept_kib) * KIB
    if made.l2 > room:
        tops = [max((b.offset + b.bytes for b in made.buffers if b.first <= i <= b.last), default=0)
                for i in range(len(network.layers))]  # fmt: skip
        worst = network.layers[tops.index(max(tops))]
        rows = max(layer.out.rows for layer in network.layers)
        fit = max(0, (room - sum(made.slots)) * rows // made.arena)
        least = -(-made.l2 // KIB) + chip.l2_kept_kib
        raise InputError(
            f"the network needs {made.l2 / KIB:.0f} KiB of L2 and {room / KIB:.0f} KiB are free: "
            f"{(made.l2 - room) / KIB:.0f} KiB too much, at {worst.name}. About {fit} rows (tokens) instead of {rows} "
            f"would fit, or a chip with l2_kib: {least}"
        )
    if made.l3_bytes > chip.l3_kib * KIB:
        raise InputError(
            f"the parameters take {made.l3_bytes / KIB:.0f} KiB and L3 has {chip.l3_kib} KiB: "
            f"{made.l3_bytes / KIB - chip.l3_kib:.0f} KiB too much; a network with fewer layers or a smaller width fits"
        )


# L1.


def _tiles(network: q.Network, number: int, chip: Chip) -> Tiles:
    layer = network.layers[number]
    room = (chip.l1_kib - chip.l1_kept_kib) * KIB
    found: list[Tiles] = []
    if isinstance(layer, q.Linear):
        found = _linear_tiles(layer, chip)
    elif isinstance(layer, q.Attention):
        found = _attention_tiles(layer, chip)
    elif isinstance(layer, (q.Input, q.Pad, q.Transpose)):
        source = sum(network.layers[i].out.bytes for i in layer.inputs)
        moves = price.rows(layer, source, chip, layer.out.rows) if source else price.Cycles(0, 0, 0)
        return Tiles(layer.out.rows, 0, 0, moves)
    else:
        found = _row_tiles(network, layer, chip)
    fitting = [tiles for tiles in found if tiles.l1 <= room]
    if not fitting:
        least = min(found, key=lambda tiles: tiles.l1)
        raise InputError(
            f"{layer.name} needs {least.l1 / KIB:.1f} KiB of L1 for its smallest tile ({least.rows} rows) and "
            f"{room / KIB:.0f} KiB are free: {(least.l1 - room) / KIB:.1f} KiB too much; a smaller width, "
            f"or a chip with l1_kib: {-(-least.l1 // KIB) + chip.l1_kept_kib}, fits"
        )
    return min(fitting, key=lambda tiles: (tiles.cycles.busy, tiles.l1))


def _row_choices(count: int, unit: int) -> list[int]:
    """Tile heights: multiples of `unit` rows, so that no core idles, up to all rows."""
    return sorted({min(count, n * unit) for n in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 25)})


def _linear_tiles(layer: q.Linear, chip: Chip) -> list[Tiles]:
    taps, out, size = layer.weight.shape[1], layer.out.width, q.BYTES[layer.out.dtype]
    other = len(layer.inputs) > 1
    extra = 256 if layer.table is not None else 0 if layer.turn is None else _up(layer.turn.nbytes, 8)
    widths = sorted({min(out, _up(-(-out // n), 4)) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)})
    found = []
    for rows in _row_choices(layer.out.rows, 2 * chip.cores):
        for width in widths:
            moving = _up((rows - 1) * layer.step + taps, 8) + _up(rows * width * size, 8)
            moving += _up(rows * width * 2, 8) if other else 0
            kept = _up(width * taps, 8) + 2 * _up(4 * width, 8)
            cycles = price.linear(layer, rows, width, chip, other)
            found.append(Tiles(rows, width, extra + 2 * (moving + kept), cycles))
    return found


def _attention_tiles(layer: q.Attention, chip: Chip) -> list[Tiles]:
    size, keys = layer.out.width // layer.heads, layer.keys
    rows = min(2 * chip.cores, layer.out.rows)
    found = []
    for count in sorted({keys, *(_up(-(-keys // n), 4) for n in (2, 3, 4, 6, 8, 12, 16))}):
        l1 = 1024 + 2 * _up(size * count, 8) + 2 * _up(rows * size, 8) + 4 * rows * (keys + size + 1)
        found.append(Tiles(rows, count, l1, price.attention(layer, rows, count, chip)))
    return found


def _row_tiles(network: q.Network, layer: q.Layer, chip: Chip) -> list[Tiles]:
    sources = [network.layers[i].out for i in layer.inputs]
    group = layer.group if isinstance(layer, q.Mean) else 1
    widths = [source.width * q.BYTES[source.dtype] * group for source in sources]
    out = layer.out.width * q.BYTES[layer.out.dtype]
    fixed = parameter_bytes(layer)
    moved = sum(source.bytes for source in sources)
    return [
        Tiles(
            rows, 0, fixed + 2 * (sum(_up(rows * w, 8) for w in widths) + _up(rows * out, 8)),
            price.rows(layer, moved, chip, rows),
        )
        for rows in _row_choices(layer.out.rows, chip.cores if group == 1 else 1)
    ]  # fmt: skip


# L2.


def _arena(network: q.Network) -> tuple[Buffer, ...]:
    """Places by first fit, the largest first, of values whose lives overlap; sums go where what they add to was."""
    last = network.last_use()
    home = list(range(len(network.layers)))
    for number, layer in enumerate(network.layers):
        into = _replaced(layer)
        if into is not None and last[into] == number and network.layers[into].out.bytes == layer.out.bytes:
            home[number] = home[into]
    lives: dict[int, list[int]] = {}
    for number, layer in enumerate(network.layers):
        life = lives.setdefault(home[number], [number, number, layer.out.bytes])
        life[1] = max(life[1], last[number])
    placed: dict[int, tuple[int, list[int]]] = {}
    for key, life in sorted(lives.items(), key=lambda item: (-item[1][2], item[0])):
        offset = 0
        beside = [(at, other[2]) for at, other in placed.values() if other[0] <= life[1] and life[0] <= other[1]]
        for at, size in sorted(beside):
            if offset + life[2] <= at:
                break
            offset = max(offset, _up(at + size, 16))
        placed[key] = (offset, life)
    return tuple(Buffer(placed[home[i]][0], layer.out.bytes, i, last[i]) for i, layer in enumerate(network.layers))


def _replaced(layer: q.Layer) -> int | None:
    """The input whose memory the output may take: each tile of it is read before that tile is written."""
    if isinstance(layer, q.Linear) and len(layer.inputs) > 1:
        return layer.inputs[1]
    return layer.inputs[0] if isinstance(layer, (q.Add, q.AddRows)) else None
