"""Second-order sections: a causal cascade with one SIMD lane per channel, and its zero-phase form.

A recursive filter cannot be vectorised along time, so the lanes of a vector are eight channels. The inner loop is
LLVM code written by hand (`_tiles`): it loads eight channels by eight samples, turns the tile in registers, runs
all sections on each sample with their state in registers, turns the result back and stores it. Nothing but the
input and the output touches memory; scipy's loop walks one channel at a time and waits for each sample's result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from myoflow.dsp.jit import given, jit, made
from myoflow.dsp.kernel import Array, Kernel, Whole
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.dsp.design import Sections, Start

cgutils: Any = _cgutils  # has no types

LANES = 8
MOST = 6  # sections in one pass; beyond, their state no longer fits the registers
SPAN = 4096  # state that has decayed to subnormal numbers is set to 0 whenever this many samples have passed

_DOUBLE = ir.DoubleType()
_DOUBLES = ir.VectorType(_DOUBLE, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_FOUR = ir.VectorType(ir.FloatType(), 4)
# Which elements of two vectors of eight go where; each half keeps to itself, which is a cheap instruction.
_LOW, _HIGH = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]
_FIRST, _SECOND = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]


def _shuffle(builder: Any, a: Any, b: Any, mask: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), mask))


def _turn(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose four vectors of eight as two 4 x 4 tiles, one in each half: its own inverse."""
    a, b, c, d = rows
    pairs = [_shuffle(builder, x, y, mask) for mask in (_LOW, _HIGH) for x, y in ((a, b), (c, d))]
    return [_shuffle(builder, pairs[i], pairs[i + 1], mask) for i in (0, 2) for mask in (_FIRST, _SECOND)]


def _splat(builder: Any, pointer: Any) -> Any:
    """A double from memory in all lanes."""
    single = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), builder.load(pointer), ir.IntType(32)(0))
    return builder.shuffle_vector(
        single, ir.Constant(_DOUBLES, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


def _sample(builder: Any, value: Any, coefficients: list[list[Any]], state: list[Any]) -> Any:
    """One sample through all sections, transposed direct form II (scipy's `sosfilt`)."""
    kind = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f64")
    for s, (b0, b1, b2, a1, a2) in enumerate(coefficients):
        first, second = state[2 * s], state[2 * s + 1]
        out = builder.call(fma, [b0, value, builder.load(first)])
        builder.store(builder.call(fma, [a1, out, builder.call(fma, [b1, value, builder.load(second)])]), first)
        builder.store(builder.call(fma, [a2, out, builder.fmul(b2, value)]), second)
        value = out
    return value


def _load_tile(builder: Any, at: Callable[[int, int, Any], Any]) -> list[Any]:
    """Eight channels by eight samples as eight vectors, each one sample of all channels."""
    columns = []
    for first in (0, 4):
        rows = []
        for row in range(4):
            low, high = (builder.load(at(r, first, _FOUR), align=4) for r in (row, row + 4))
            rows.append(_shuffle(builder, low, high, list(range(8))))
        columns += _turn(builder, rows)
    return columns


def _store_tile(builder: Any, at: Callable[[int, int, Any], Any], columns: list[Any]) -> None:
    for first in (0, 4):
        for row, values in enumerate(_turn(builder, columns[first : first + 4])):
            builder.store(_shuffle(builder, values, values, [0, 1, 2, 3]), at(row, first, _FOUR), align=4)
            builder.store(_shuffle(builder, values, values, [4, 5, 6, 7]), at(row + 4, first, _FOUR), align=4)


def _load_sample(builder: Any, at: Callable[[int, int, Any], Any]) -> list[Any]:
    """The same for a single sample."""
    column = ir.Constant(_FLOATS, ir.Undefined)
    for row in range(LANES):
        column = builder.insert_element(column, builder.load(at(row, 0, ir.FloatType())), ir.IntType(32)(row))
    return [column]


def _store_sample(builder: Any, at: Callable[[int, int, Any], Any], columns: list[Any]) -> None:
    for row in range(LANES):
        builder.store(builder.extract_element(columns[0], ir.IntType(32)(row)), at(row, 0, ir.FloatType()))


def _build(_: Any, x: Any, y: Any, tiles: Any, width: Any, sos: Any, state: Any, sections: Any) -> Any:
    """Eight channels, `tiles` times `width` samples, from `x` to `y`, which may be one array.

    `x`, `y` (8, time) float32 with unit stride in time; `sos` (section, 5): b0 b1 b2 -a1 -a2; `state`
    (section, 2, 8). `width` (8 or 1) and `sections` are constants of the code.
    """
    wide, count = width.literal_value, sections.literal_value
    signature = types.void(x, y, tiles, width, sos, state, sections)
    load, store = (_load_tile, _store_tile) if wide == LANES else (_load_sample, _store_sample)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, target, table, memory = (
            context.make_array(sig.args[i])(context, builder, args[i]) for i in (0, 1, 4, 5)
        )
        word = ir.IntType(64)

        def places(array: Any, sample: Any) -> Callable[[int, int, Any], Any]:
            stride = cgutils.unpack_tuple(builder, array.strides, 2)[0]
            base = builder.bitcast(array.data, ir.IntType(8).as_pointer())

            def at(row: int, ahead: int, kind: Any) -> Any:
                offset = builder.add(
                    builder.mul(stride, word(row)), builder.mul(builder.add(sample, word(ahead)), word(4))
                )
                return builder.bitcast(builder.gep(base, [offset]), kind.as_pointer())

            return at

        coefficients = [
            [_splat(builder, builder.gep(table.data, [word(5 * s + k)])) for k in range(5)] for s in range(count)
        ]
        homes = [
            builder.bitcast(builder.gep(memory.data, [word(LANES * k)]), _DOUBLES.as_pointer())
            for k in range(2 * count)
        ]
        kept = [cgutils.alloca_once(builder, _DOUBLES) for _ in homes]
        for home, register in zip(homes, kept, strict=True):
            builder.store(builder.load(home, align=8), register)
        with cgutils.for_range(builder, args[2]) as loop:
            sample = builder.mul(loop.index, word(wide))
            done = []
            for column in load(builder, places(source, sample)):
                value = _sample(builder, builder.fpext(column, _DOUBLES), coefficients, kept)
                done.append(builder.fptrunc(value, _FLOATS))
            store(builder, places(target, sample), done)
        for home, register in zip(homes, kept, strict=True):
            builder.store(builder.load(register), home, align=8)
        return context.get_dummy_value()

    return signature, generate


_tiles: Any = intrinsic(prefer_literal=True)(_build)


@jit(given("f4", 2, "A"), types.Array(types.float32, 2, "A"), given("f8", 2), made("f8", 3))
def _pass(x: Array, y: Array, sos: Array, state: Array) -> None:
    """Up to MOST sections over eight channels; the arguments are those of `_tiles`."""
    count = sos.shape[0]
    tiles = x.shape[1] // 8
    rest = x.shape[1] - tiles * 8
    xr, yr = x[:, tiles * 8 :], y[:, tiles * 8 :]
    if count == 1:
        _tiles(x, y, tiles, 8, sos, state, 1)
        _tiles(xr, yr, rest, 1, sos, state, 1)
    elif count == 2:
        _tiles(x, y, tiles, 8, sos, state, 2)
        _tiles(xr, yr, rest, 1, sos, state, 2)
    elif count == 3:
        _tiles(x, y, tiles, 8, sos, state, 3)
        _tiles(xr, yr, rest, 1, sos, state, 3)
    elif count == 4:
        _tiles(x, y, tiles, 8, sos, state, 4)
        _tiles(xr, yr, rest, 1, sos, state, 4)
    elif count == 5:
        _tiles(x, y, tiles, 8, sos, state, 5)
        _tiles(xr, yr, rest, 1, sos, state, 5)
    elif count == 6:
        _tiles(x, y, tiles, 8, sos, state, 6)
        _tiles(xr, yr, rest, 1, sos, state, 6)


class Cascade:
    """Causal cascade over `(channel, time)` float32; state and arithmetic are float64.

    Transposed direct form II, as `scipy.signal.sosfilt`. `start` "first" primes every section with its steady state
    for a constant input equal to the first sample (`sosfilt_zi`); "zero" starts at rest.
    """

    def __init__(self, sections: Sections, channels: int, start: Start) -> None:
        """`sections` (section, 6) in scipy's order, each with a0 = 1."""
        self.sections, self.start = sections, start
        settled, head = _settled(sections, start)
        self._begin(sections, channels, settled, head)

    def _begin(self, sections: Sections, channels: int, settled: Array, head: float) -> None:
        """`settled` (section, 2): state before a first sample of 1; `head`: the output for that sample."""
        self._sections, self._channels, self._settled, self._head = sections, channels, settled, head
        self._groups = -(-channels // LANES)
        table = np.ascontiguousarray(sections[:, [0, 1, 2, 4, 5]])
        table[:, 3:] *= -1
        self._tables = [table[i : i + MOST] for i in range(0, len(table), MOST)]
        self._states = [
            [np.zeros((len(part), 2, LANES), np.float64) for part in self._tables] for _ in range(self._groups)
        ]
        self._seen = 0

    def merge(self, after: Kernel) -> Cascade | None:
        """This filter and the next as one, if the next is a cascade, too: one pass over the data, not two.

        The same numbers but for the rounding to float32 in between, which falls away. Only for unused kernels.
        """
        if not isinstance(after, Cascade):
            return None
        both: Cascade = Cascade.__new__(Cascade)
        sections = np.concatenate([self._sections, after._sections])
        settled = np.concatenate([self._settled, self._head * after._settled])
        both._begin(sections, self._channels, settled, self._head * after._head)
        return both

    def feed(self, chunk: Array) -> Array:
        x = np.asarray(chunk, np.float32)
        if x.strides[1] != x.itemsize:
            x = np.ascontiguousarray(x)
        out = np.empty(x.shape, np.float32)
        if x.shape[1] and not self._seen:
            self._prime(x[:, 0])
        done = 0
        while done < x.shape[1]:
            stop = min(x.shape[1], done + SPAN - self._seen % SPAN)
            for group in range(self._groups):
                rows = slice(group * LANES, (group + 1) * LANES)
                self._run(group, x[rows, done:stop], out[rows, done:stop])
            self._seen += stop - done
            done = stop
            if self._seen % SPAN == 0:
                self._drop_subnormal()
        return out

    def flush(self) -> Array:
        return np.empty((self._channels, 0), np.float32)

    def _run(self, group: int, x: Array, out: Array) -> None:
        full = out
        if len(x) < LANES:
            padded = np.zeros((LANES, x.shape[1]), np.float32)
            padded[: len(x)] = x
            x = full = padded
        for table, state in zip(self._tables, self._states[group], strict=True):
            _pass(x, full, table, state)
            x = full
        if full is not out:
            out[:] = full[: len(out)]

    def _prime(self, first: Array) -> None:
        lanes = np.zeros(self._groups * LANES)
        lanes[: self._channels] = first
        for group, values in enumerate(lanes.reshape(self._groups, LANES)):
            row = 0
            for state in self._states[group]:
                state[:] = self._settled[row : row + len(state), :, None] * values
                row += len(state)

    def _drop_subnormal(self) -> None:
        # Digital silence lets state decay into subnormal numbers, on which arithmetic is 100 times slower.
        # At fixed positions of the signal, not of the chunk: the result must not depend on the cut.
        for parts in self._states:
            for state in parts:
                state[np.abs(state) < 1e-200] = 0.0


def _settled(sections: Sections, start: Start) -> tuple[Array, float]:
    """State before a first sample of 1, and the output for it."""
    from scipy import signal

    if start == "zero":
        return np.zeros((len(sections), 2)), float(np.prod(sections[:, 0]))
    return signal.sosfilt_zi(sections), float(np.prod(sections[:, :3].sum(axis=1) / sections[:, 3:].sum(axis=1)))


def filter_kernel(sections: Sections, channels: int, *, start: Start, zero_phase: bool) -> Kernel:
    """The kernel of a filter stage: a Cascade, or forwards and backwards over the whole recording."""
    if not zero_phase:
        return Cascade(sections, channels, start)
    return Whole(lambda x: forward_backward(sections, x), channels, channels)


def forward_backward(sections: Sections, x: Array) -> Array:
    """Zero-phase filter of `(channel, time)`: `scipy.signal.sosfiltfilt`, one channel at a time to save memory.

    Raises:
        InputError: the recording is shorter than scipy's padding at the borders.
    """
    from scipy import signal

    shortest = 6 * len(sections) + 3 + 1  # scipy pads by up to 3 (2 sections + 1) samples
    if x.shape[1] < shortest:
        raise InputError(
            f"a zero-phase filter with {len(sections)} sections needs {shortest} samples or more, "
            f"got a recording of {x.shape[1]}; use zero_phase: false or leave the recording out"
        )
    out = np.empty(x.shape, np.float32)
    for row, channel in zip(out, x, strict=True):
        row[:] = signal.sosfiltfilt(sections, channel.astype(np.float64))
    return out
