"""Quantise: a captured network and what its values are like become layers of integers.

Weights are symmetric int8 with a step per output; activations int8, with a step per head for queries, keys and values;
whatever is added or normalised is int16 with one step for all that are added to one another. A product is requantised
by one integer multiplication and a shift.
"""

from __future__ import annotations

import math
from typing import Literal

import attrs
import numpy as np
from attrs import frozen

from myoflow.engines.mcu import ir, ranges
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.layers import Ints, Value
from myoflow.engines.mcu.ranges import Floats, Sample
from myoflow.engines.mcu.reference import TABLE, TURNED
from myoflow.errors import InputError

RESOLUTION = 128  # entries of the exponential's table per unit of a score
HEADROOM = 2.0  # the int16 values may grow to this many times what calibration saw
WIDEST = 1024  # features of a normalised row: exact sums in 64 bits


@frozen
class Choices:
    """What quantisation is made of; the defaults are what the C code has kernels for, the others are for studies."""

    per_channel: bool = True
    residual: Literal["int16", "int8"] = "int16"
    softmax_bits: Literal[8, 15] = 8


def quantise(graph: ir.Graph, seen: list[Sample], choices: Choices | None = None) -> q.Network:
    """The network in integers. `seen` is what `ranges.observe` gives for `graph`.

    Raises:
        InputError: an operation, or an order of them, that has no integer form; names the layer.
    """
    return _Quantiser(graph, seen, choices or Choices()).network()


def multiplier(ratio: Floats) -> tuple[Ints, int]:
    """Integers and one shift with `ratio = mult / 2^shift`, the largest of them with 31 bits."""
    largest = float(np.max(np.abs(ratio)))
    shift = int(np.clip(30 - math.floor(math.log2(largest)), 1, 62)) if largest > 0 else 31
    while np.rint(largest * 2.0**shift) > 2**31 - 1:
        shift -= 1
    return np.rint(ratio * 2.0**shift).astype(np.int32), shift


class _Quantiser:
    def __init__(self, graph: ir.Graph, seen: list[Sample], choices: Choices) -> None:
        self.graph, self.seen, self.choices = graph, seen, choices
        self.users: list[list[int]] = [[] for _ in graph]
        for number, op in enumerate(graph):
            for place in op.inputs:
                self.users[place].append(number)
        self.wide = [self._is_wide(number) for number in range(len(graph))]
        self.stream = self._streams()
        self.layers: list[q.Layer] = []
        self.at: dict[int, int] = {}  # operation -> layer that gives it
        self.narrow: dict[int, int] = {}  # the same as int8, where it is int16

    def _is_wide(self, number: int) -> bool:
        """Whether a value is int16: it is added, or a sum, or what a normalisation looks at."""
        wants = (ir.Add, ir.AddRows, ir.LayerNorm)
        return isinstance(self.graph[number], (ir.Add, ir.AddRows)) or any(
            isinstance(self.graph[user], wants) for user in self.users[number]
        )

    def _streams(self) -> list[float]:
        """Each operation's step as an int16 value: one for all that are added to one another."""
        home = list(range(len(self.graph)))
        for number, op in enumerate(self.graph):
            if isinstance(op, (ir.Add, ir.AddRows)):
                joined = {home[place] for place in (number, *op.inputs)}
                home = [min(joined) if place in joined else place for place in home]
        largest = [0.0] * len(self.graph)
        for number, place in enumerate(home):
            if self.wide[number]:
                largest[place] = max(largest[place], self.seen[number].largest)
        wide = self.choices.residual == "int16"
        unit = HEADROOM / 32767 if wide else 1 / 127
        return [largest[place] * unit or 1.0 for place in home]

    def network(self) -> q.Network:
        for number, op in enumerate(self.graph):
            if number not in self.at:
                self._lower(number, op)
        told = (
            f"int8 weights {'per channel' if self.choices.per_channel else 'per tensor'}, {self.choices.residual} sums"
        )
        return q.Network(tuple(self.layers), (told,))

    def _push(self, layer: q.Layer, number: int) -> int:
        self.layers.append(layer)
        self.at[number] = len(self.layers) - 1
        return self.at[number]

    def _value(self, number: int, dtype: str = "", **more: object) -> Value:
        op = self.graph[number]
        kind = dtype or ("int16" if self.wide[number] else "int8")
        scale: float = self.stream[number] if kind == "int16" else ranges.step(self.seen[number].rows)
        given = {"scale": scale, "zero": 0, **more}
        return Value(op.name, op.rows, op.width, kind, **given)  # type: ignore[arg-type]

    def _fail(self, op: ir.Op, what: str) -> InputError:
        return InputError(f"{op.name}: {what}")

    # Where an operation's input comes from, and as what.

    def _int8(self, number: int) -> int:
        """The layer that gives operation `number` as int8; an int16 value is narrowed once."""
        if self.layers[self.at[number]].out.dtype == "int8":
            return self.at[number]
        if number not in self.narrow:
            value = Value(self.graph[number].name, self.graph[number].rows, self.graph[number].width, "int8",
                          ranges.step(self.seen[number].rows))  # fmt: skip
            place = self.at[number]
            identity = np.arange(-128, 128).astype(np.int8)
            self.layers.append(self._as_table(number, place, value, float(value.scale), 0, identity))
            self.narrow[number] = len(self.layers) - 1
        return self.narrow[number]

    def _as_table(self, number: int, place: int, value: Value, step: float, zero: int, table: Ints) -> q.Table:
        source = self.layers[place].out
        mult, shift = multiplier(np.array([float(source.scale) / step]))
        return q.Table(self.graph[number].name, (place,), value, number, int(mult[0]), shift, source.zero, zero, table)

    # One method per operation.

    def _lower(self, number: int, op: ir.Op) -> None:
        match op:
            case ir.Input():
                self._push(q.Input("input", (), self._value(number, "int8"), number), number)
            case ir.Transpose() | ir.Pad():
                place = self.at[op.inputs[0]]
                source = self.layers[place].out
                value = attrs.evolve(source, name=op.name, rows=op.rows, width=op.width)
                if isinstance(op, ir.Pad):
                    layer: q.Layer = q.Pad(op.name, (place,), value, number, op.before, op.after, source.zero)
                else:
                    layer = q.Transpose(op.name, (place,), value, number)
                self._push(layer, number)
            case ir.Linear():
                self._linear(number, op)
            case ir.AddRows():
                self._push(q.AddRows(op.name, (self.at[op.inputs[0]],), self._value(number), number,
                                     self._constant(number, op)), number)  # fmt: skip
            case ir.Add():
                places = tuple(self.at[i] for i in op.inputs)
                self._push(q.Add(op.name, places, self._value(number), number), number)
            case ir.LayerNorm():
                self._norm(number, op)
            case ir.Pointwise():
                self._pointwise(number, op)
            case ir.Attention():
                self._attention(number, op)
            case ir.Mean():
                self._mean(number, op)

    def _constant(self, number: int, op: ir.AddRows) -> Ints:
        table = np.clip(np.rint(op.constant.numpy().astype(np.float64) / self.stream[number]), -32768, 32767).astype(
            np.int16
        )
        for count in range(1, op.rows + 1):
            if op.rows % count == 0 and np.array_equal(
                np.repeat(table[:: op.rows // count], op.rows // count, 0), table
            ):
                return np.ascontiguousarray(table[:: op.rows // count])
        return table

    def _linear(self, number: int, op: ir.Linear) -> None:
        """A product with what follows it: a sum, a table, or nothing."""
        users = self.users[number]
        only = self.graph[users[0]] if len(users) == 1 else None
        last = number == len(self.graph) - 1
        if isinstance(only, ir.Pointwise) and not self.wide[number] and not self.wide[users[0]]:
            self._product(op, number, users[0], function=only.function)
        elif isinstance(only, ir.Add) and self._other(only, number) in self.at:
            self._product(op, number, users[0], other=self.at[self._other(only, number)])
        elif last:
            peak = self.seen[number].largest or 1.0
            self._product(op, number, number, value=self._value(number, "int32", scale=peak / 2**20))
        elif only is not None and isinstance(only, ir.Attention):
            turned = only.inputs[2] == number
            value = self._value(number, scale=self._head_steps(number, only.heads), transposed=turned)
            self._product(op, number, number, value=value)
        else:
            self._product(op, number, number)

    def _other(self, add: ir.Add, number: int) -> int:
        return add.inputs[1] if add.inputs[0] == number else add.inputs[0]

    def _head_steps(self, number: int, heads: int) -> Floats:
        rows = self.seen[number].rows
        parts = np.split(rows, heads, axis=1)
        return np.repeat([ranges.step(part) for part in parts], rows.shape[1] // heads)

    def _product(
        self, op: ir.Linear, number: int, end: int, *, other: int | None = None, function: object = None,
        value: Value | None = None,
    ) -> None:  # fmt: skip
        place = self._int8(op.inputs[0])
        source = self.layers[place].out
        zero, table, turn = 0, None, None
        if function is not None:
            size, middle = ranges.span(self.seen[end].rows)
            value = self._value(end, "int8", scale=size, zero=middle)
            step, zero = ranges.index_span(self.seen[number].rows, function, (size, middle))
            target: float | Floats = step
            table = self._tabled(function, step, zero, value)
        else:
            value = value or self._value(end)
            target = value.scale
        if op.rotary is not None:
            pairs = np.stack((op.rotary.cos.numpy(), op.rotary.sin.numpy()), -1)
            turn = np.rint(pairs.astype(np.float64) * 2**14).astype(np.int16)
            target = target / 2**TURNED
        weight, bias, steps = self._weights(op, source)
        ratio = np.broadcast_to(float(source.scale) * steps / target, (op.width,))
        most = (op.weight.shape[1] * 128 * 127 + np.abs(bias.astype(np.int64)).max()) * float(np.max(ratio))
        if most >= 2**31 and value.dtype == "int32":  # any input must give a number of 32 bits
            coarser = 2.0 ** math.ceil(math.log2(most / 2**30.9))
            value, ratio = attrs.evolve(value, scale=float(value.scale) * coarser), ratio / coarser
        elif most >= 2**31 - 2**16:  # and what is added
            raise self._fail(op, "outputs too small against its inputs for 32 bits; is the layer trained?")
        mult, shift = multiplier(ratio)
        inputs = (place,) if other is None else (place, other)
        made = q.Linear(op.name, inputs, value, end, weight, bias, mult, shift, op.step, zero, table, turn)
        self._push(made, end)

    def _weights(self, op: ir.Linear, source: Value) -> tuple[Ints, Ints, Floats]:
        """int8 weights, int32 biases that make up for the input's zero, and the weights' steps."""
        weight, bias = op.weight.numpy().astype(np.float64), op.bias.numpy().astype(np.float64)
        peaks = np.abs(weight).max(1)
        if not self.choices.per_channel:
            peaks = np.full_like(peaks, peaks.max())
        scale = np.broadcast_to(np.asarray(source.scale, np.float64), (1,))[0]
        steps = np.maximum(np.where(peaks > 0, peaks, 1.0) / 127, np.abs(bias) / (scale * 2**29))
        integers = np.clip(np.rint(weight / steps[:, None]), -127, 127).astype(np.int8)
        whole = np.rint(bias / (scale * steps)) - source.zero * integers.astype(np.int64).sum(1)
        if op.weight.shape[1] * 128 * 127 + np.abs(whole).max() >= 2**31:
            raise self._fail(op, f"{op.weight.shape[1]} products could overflow 32 bits")
        return integers, whole.astype(np.int32), steps

    def _tabled(self, function: object, step: float, zero: int, value: Value) -> Ints:
        import torch

        assert callable(function)
        at = (np.arange(-128, 128) - zero) * step
        y = function(torch.from_numpy(at)).numpy()
        limits = np.iinfo(value.dtype)
        scaled = np.rint(y / value.scale) + value.zero
        table: Ints = np.clip(scaled, limits.min, limits.max).astype(value.dtype)
        return table

    def _pointwise(self, number: int, op: ir.Pointwise) -> None:
        place, rows = self.at[op.inputs[0]], self.seen[op.inputs[0]].rows
        size, middle = (self.stream[number], 0) if self.wide[number] else ranges.span(self.seen[number].rows)
        value = self._value(number, scale=size, zero=middle)
        step, zero = ranges.index_span(rows, op.function, ranges.span(self.seen[number].rows))
        table = self._tabled(op.function, step, zero, value)
        self._push(self._as_table(number, place, value, step, zero, table), number)

    def _norm(self, number: int, op: ir.LayerNorm) -> None:
        if op.width > WIDEST:
            raise self._fail(op, f"normalises rows of {op.width}, up to {WIDEST} have exact sums")
        value = self._value(number)
        gain, offset = (t.numpy().astype(np.float64) / value.scale for t in (op.gamma, op.beta))
        largest = math.ceil(2**12 * math.sqrt(op.width) * (1 + 2**-20)) + 1  # a row's normalised values are below it
        reach = float((largest * (np.abs(gain) / 2**12 + 2**-30) + np.abs(offset)).max()) + 0.6
        shift = min(30, math.floor(math.log2((2**31 - 2**17) / reach)))
        if shift < 1:
            raise self._fail(op, "outputs too small against its inputs for 32 bits; is the layer trained?")
        floor = max(1, round(op.eps * op.width**2 / self.stream[op.inputs[0]] ** 2))
        made = q.Norm(
            op.name, (self.at[op.inputs[0]],), value, number,
            np.rint(gain * 2.0 ** (shift - 12)).astype(np.int32),
            (np.rint(offset * 2.0**shift) + 2 ** (shift - 1)).astype(np.int32),
            shift, min(floor, 1 << 50),
        )  # fmt: skip
        self._push(made, number)

    def _attention(self, number: int, op: ir.Attention) -> None:
        queries, keys, values = (self.at[i] for i in op.inputs)
        size = op.width // op.heads
        steps = [np.asarray(self.layers[i].out.scale).reshape(op.heads, size)[:, 0] for i in (queries, keys, values)]
        value = self._value(number)
        sharpness = np.rint(steps[0] * steps[1] * op.scale * RESOLUTION * 2.0**32)
        if sharpness.max() >= 2**32:
            raise self._fail(op, "scores are too coarse for the exponential's table")
        top = 2**self.choices.softmax_bits - 1
        share = steps[2] / float(value.scale)
        shift = math.floor(30.9 + math.log2(top / share.max()))
        entries = TABLE if top == 255 else 2 * TABLE
        table = np.rint(top * np.exp(-(np.arange(entries) + 0.5) / RESOLUTION))
        table[0], table[-1] = top, 0
        made = q.Attention(
            op.name, (queries, keys, values), value, number, op.heads, op.keys, sharpness.astype(np.uint32),
            np.rint(share * 2.0**shift).astype(np.uint64), shift, table.astype(np.uint8 if top == 255 else np.int32),
        )  # fmt: skip
        self._push(made, number)

    def _mean(self, number: int, op: ir.Mean) -> None:
        place = self.at[op.inputs[0]]
        source, value = self.layers[place].out, self._value(number)
        mult, shift = multiplier(np.array([float(source.scale) / (float(value.scale) * op.group)]))
        made = q.Mean(op.name, (place,), value, number, op.group, int(mult[0]), shift, source.zero * op.group)
        self._push(made, number)
