"""Reference: the integer operators in NumPy, as docs/gap9.md specifies them; the C code gives the same bits.

Matrix products of int8 are done in floating point where every partial sum is an exact integer there (below 2^24 in
float32, 2^53 in float64): the same numbers as in int32, in a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.layers import Ints
from myoflow.errors import MyoflowError

INT32 = 2**31 - 1
TABLE = 1024  # entries of the exponential
TURNED = 8  # bits that queries and keys have more than int8 while they are turned


def run(network: q.Network, windows: Ints) -> list[Ints]:
    """Every layer's output `(window, *shape)` for windows of real numbers `(window, ...)`."""
    done: list[Ints] = []
    for layer in network.layers:
        if isinstance(layer, q.Input):
            done.append(quantise(windows.reshape(len(windows), *layer.out.shape), layer.out))
        else:
            done.append(compute(layer, [done[i] for i in layer.inputs]))
    return done


def outputs(network: q.Network, windows: Ints) -> Ints:
    """The last layer's output in real numbers, without keeping the others longer than needed."""
    last, done = network.last_use(), {}
    for number, layer in enumerate(network.layers):
        if isinstance(layer, q.Input):
            done[number] = quantise(windows.reshape(len(windows), *layer.out.shape), layer.out)
        else:
            done[number] = compute(layer, [done[i] for i in layer.inputs])
        for place in [place for place in done if last[place] <= number]:
            del done[place]
    return network.output.real(done[len(network.layers) - 1])


def quantise(x: Ints, value: q.Value) -> Ints:
    """Real numbers to integers: round half to even, clip. What is not finite is refused before."""
    limits = np.iinfo(value.dtype)
    scaled = np.rint(x.astype(np.float64) / value.scale) + value.zero
    out: Ints = np.clip(scaled, limits.min, limits.max).astype(value.dtype)
    return out


def compute(layer: q.Layer, given: list[Ints]) -> Ints:
    """One layer's output `(window, *shape)`."""
    function = OPERATORS[type(layer)]
    out: Ints = function(layer, *given)
    return out


def requantise(acc: Ints, mult: Ints | int, shift: int) -> Ints:
    """`(acc * mult + 2^(shift-1)) >> shift` in 64 bits: round half up."""
    scaled: Ints = acc.astype(np.int64) * mult + (1 << (shift - 1))
    return np.right_shift(scaled, shift)


def product(x: Ints, w: Ints, largest: int = 128 * 127) -> Ints:
    """`x w^T` of small integers over the last axes, exact, as int64; `largest` bounds a single product."""
    exact = np.float32 if largest * x.shape[-1] < 2**24 else np.float64
    out: Ints = np.matmul(x.astype(exact), w.astype(exact).swapaxes(-1, -2)).astype(np.int64)
    return out


def _clip(x: Ints, dtype: str) -> Ints:
    limits = np.iinfo(dtype)
    out: Ints = np.clip(x, limits.min, limits.max).astype(dtype)
    return out


def _linear(layer: q.Linear, x: Ints, other: Ints | None = None) -> Ints:
    rows, taps = layer.out.rows, layer.weight.shape[1]
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    size = flat.itemsize
    shape, strides = (len(x), rows, taps), (flat.strides[0], layer.step * size, size)
    over = np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)
    acc = product(over, layer.weight) + layer.bias
    out = requantise(acc, layer.mult.astype(np.int64), layer.shift)
    if layer.turn is not None:
        out = _turned(out, layer.turn)
    elif layer.out.dtype == "int8":
        out = _clip(out + layer.zero, "int8")
        if layer.table is not None:
            out = layer.table[out.astype(np.int64) + 128]
    elif layer.out.dtype == "int16":
        out = _clip(out if other is None else out + other, "int16")
    else:
        out = _clip(out, "int32")
    return np.ascontiguousarray(out.swapaxes(1, 2)) if layer.out.transposed else out


def _turned(x: Ints, turn: Ints) -> Ints:
    x = np.clip(x, -32768, 32767)
    table = np.tile(turn, (x.shape[1] // len(turn), 1, 1)).astype(np.int64)
    a, b, cos, sin = x[..., 0::2], x[..., 1::2], table[..., 0], table[..., 1]
    half, shift = 1 << (13 + TURNED), 14 + TURNED
    both = np.stack((a * cos - b * sin, a * sin + b * cos), -1)
    return _clip(np.right_shift(both.reshape(x.shape) + half, shift), "int8")


def _norm(layer: q.Norm, x: Ints) -> Ints:
    width = x.shape[-1]
    wide = x.astype(np.int64)
    total = wide.sum(-1, keepdims=True)
    power = width * (wide * wide).sum(-1, keepdims=True) - total * total + layer.floor
    root, lift = roots(np.minimum(power, (1 << 50) - 1), 50)
    away = (width * wide - total) << (lift // 2)
    n = (away * ((1 << 49) // root) + (1 << 36)) >> 37
    return _clip((n * layer.gain.astype(np.int64) + layer.offset) >> layer.shift, layer.out.dtype)


def roots(power: Ints, top: int) -> tuple[Ints, Ints]:
    """`(floor(sqrt(power << lift)), lift)`, lift even and such that the shifted number is in [2^(top-2), 2^top)."""
    bits = np.frexp(power.astype(np.float64))[1].astype(np.int64)
    bits -= (power >> np.maximum(bits - 1, 0)) == 0  # rounding to float64 may have carried
    lift = np.maximum(top - bits, 0) & ~np.int64(1)
    shifted = power << lift
    root = np.sqrt(shifted.astype(np.float64)).astype(np.int64)
    root -= root * root > shifted
    root += (root + 1) * (root + 1) <= shifted
    return root, lift


def _attention(layer: q.Attention, queries: Ints, keys: Ints, values: Ints) -> Ints:
    """Scores in int32, `e = table[((max - score) * sharpness) >> 32]`, and one reciprocal a row behind the product."""
    count, rows, width = queries.shape
    size = width // layer.heads
    top = int(layer.table.max())
    out = np.empty((count, rows, width), np.int8)
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        scores = product(queries[:, :, part], keys[:, :, part])
        steps = ((scores.max(-1, keepdims=True) - scores) * int(layer.sharpness[head])) >> 32
        weights = layer.table[np.minimum(steps, len(layer.table) - 1)]
        over = int(layer.numerator[head]) // weights.sum(-1, keepdims=True, dtype=np.int64)
        acc = product(weights, values[:, part], top * 128)
        out[:, :, part] = _clip((acc * over + (1 << (layer.shift - 1))) >> layer.shift, "int8")
    return out


def _table(layer: q.Table, x: Ints) -> Ints:
    index = _clip(requantise(x.astype(np.int64) - layer.offset, layer.mult, layer.shift) + layer.zero, "int8")
    out: Ints = layer.table[index.astype(np.int64) + 128]
    return out


def _mean(layer: q.Mean, x: Ints) -> Ints:
    total = x.reshape(len(x), layer.out.rows, layer.group, -1).sum(2, dtype=np.int64) - layer.offset
    return _clip(requantise(total, layer.mult, layer.shift), layer.out.dtype)


def _pad(layer: q.Pad, x: Ints) -> Ints:
    return np.pad(x, ((0, 0), (layer.before, layer.after), (0, 0)), constant_values=layer.fill)


def _transpose(layer: q.Transpose, x: Ints) -> Ints:
    return np.ascontiguousarray(x.swapaxes(1, 2))


def _add_rows(layer: q.AddRows, x: Ints) -> Ints:
    constant = np.repeat(layer.constant, layer.out.rows // len(layer.constant), axis=0)
    return _clip(x.astype(np.int64) + constant, "int16")


def _add(layer: q.Add, x: Ints, y: Ints) -> Ints:
    return _clip(x.astype(np.int64) + y, "int16")


OPERATORS: dict[type[q.Layer], Callable[..., Ints]] = {
    q.Linear: _linear, q.Norm: _norm, q.Attention: _attention, q.Table: _table, q.Mean: _mean, q.Pad: _pad,
    q.Transpose: _transpose, q.AddRows: _add_rows, q.Add: _add,
}  # fmt: skip


def check_finite(windows: Ints) -> None:
    """Raise MyoflowError for a window with a number that has no integer."""
    bad = ~np.isfinite(windows).reshape(len(windows), -1).all(1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise MyoflowError(
            f"{int(bad.sum())} of {len(windows)} windows hold numbers that are not finite, window {first} first; "
            "an integer network cannot take them: mend them with a quality stage"
        )
