"""Layers: a quantised network as integers only; what the NumPy reference computes and the C code is written from.

A value's real number is `scale * (integer - zero)`. The integer arithmetic of each layer is specified in docs/gap9.md.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.engines.mcu.ir import sizes
from myoflow.errors import MyoflowError

Ints = npt.NDArray[Any]
BYTES = {"int8": 1, "int16": 2, "int32": 4}


@frozen(eq=False)
class Value:
    """One matrix `(rows, width)` on the device; `scale` is a number, or one per feature."""

    name: str
    rows: int
    width: int
    dtype: Literal["int8", "int16", "int32"]
    scale: float | npt.NDArray[np.float64]
    zero: int = 0
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """As it lies in memory."""
        return (self.width, self.rows) if self.transposed else (self.rows, self.width)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.rows * self.width * BYTES[self.dtype]

    def real(self, integers: Ints) -> npt.NDArray[np.float64]:
        """The real numbers `(..., rows, width)` of `integers` `(..., *shape)`."""
        turned = integers.swapaxes(-1, -2) if self.transposed else integers
        return (turned.astype(np.float64) - self.zero) * self.scale


@frozen(eq=False)
class Layer:
    """Base: `inputs` are places of values, layer i gives value i; `op` is the captured operation it ends with."""

    kind: ClassVar[str] = ""
    name: str
    inputs: tuple[int, ...]
    out: Value
    op: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of products; nothing else is counted."""
        return 0

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        """Tables that come from L3, in the order in which they lie there."""
        return ()


@frozen(eq=False)
class Input(Layer):
    """`q = clip(round(x / scale))`; on the device it comes so from the stage before."""

    kind = "input"


@frozen(eq=False)
class Transpose(Layer):
    kind = "transpose"


@frozen(eq=False)
class Pad(Layer):
    """Rows of the value that means 0 before and after."""

    kind = "pad"
    before: int
    after: int
    fill: int


@frozen(eq=False)
class Linear(Layer):
    """`acc = bias + W x`, then one of the epilogues:

    - `int8`: requantised, `zero` added, clipped; through `table` where there is one;
    - `rotary`: requantised to 16 bits, turned, shifted to int8;
    - `int16`: requantised, added to the second input where there is one, saturated;
    - `int32`: requantised.
    """

    kind = "linear"
    weight: Ints  # int8 (width, taps)
    bias: Ints  # int32 (width,)
    mult: Ints  # int32 (width,)
    shift: int
    step: int
    zero: int = 0
    table: Ints | None = None  # int8 (256,)
    turn: Ints | None = None  # int16 (period, width / 2, 2): cos, sin in Q14

    @property
    def macs(self) -> int:
        return self.out.rows * self.weight.size

    @property
    def epilogue(self) -> str:
        """Which of the four."""
        return "rotary" if self.turn is not None else self.out.dtype

    @property
    def lead(self) -> int:
        """The least number of bits by which every sum may go up so that the upper word of its product with a
        multiplier is enough, `shift + lead > 32`; -1 where it would leave 32 bits."""
        most = int((np.abs(self.weight.astype(np.int64)).sum(1) * 128 + np.abs(self.bias.astype(np.int64))).max())
        lead = max(0, 33 - self.shift)
        return lead if most << lead < 2**31 else -1

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        found = [("weight", self.weight), ("bias", self.bias), ("mult", self.mult)]
        found += [("table", self.table)] if self.table is not None else []
        return (*found, *((("turn", self.turn),) if self.turn is not None else ()))


@frozen(eq=False)
class AddRows(Layer):
    """int16 plus a constant, saturated."""

    kind = "add_rows"
    constant: Ints  # int16 (period, width): row t adds constant[t // (rows / period)]

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        return (("constant", self.constant),)


@frozen(eq=False)
class Add(Layer):
    """Sum of two int16 matrices, saturated."""

    kind = "add"


@frozen(eq=False)
class Norm(Layer):
    """Layer normalisation of int16 rows, with sums that are exact."""

    kind = "norm"
    gain: Ints  # int32 (width,)
    offset: Ints  # int32 (width,), in 2^-shift of the output's step, with half a step
    shift: int
    floor: int  # eps in the integers' own unit

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        return (("gain", self.gain), ("offset", self.offset))


@frozen(eq=False)
class Table(Layer):
    """Requantised to an index, then looked up: pointwise functions, and int16 made int8."""

    kind = "table"
    mult: int
    shift: int
    offset: int  # the input's zero
    zero: int
    table: Ints  # int8 or int16 (256,)

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        return (("table", self.table),)


@frozen(eq=False)
class Attention(Layer):
    """Inputs: queries, keys (rows, heads * size) and values transposed (heads * size, keys)."""

    kind = "attention"
    heads: int
    keys: int
    sharpness: Ints  # uint32 (heads,): table steps per score, Q32
    numerator: Ints  # uint64 (heads,): value scale / output scale, Q(shift)
    shift: int
    table: Ints  # uint8 (1024,)

    @property
    def macs(self) -> int:
        return 2 * self.out.rows * self.keys * self.out.width

    @property
    def parameters(self) -> tuple[tuple[str, Ints], ...]:
        return (("numerator", self.numerator), ("sharpness", self.sharpness), ("table", self.table))


@frozen(eq=False)
class Mean(Layer):
    """Sum of `group` rows, less `offset`, requantised."""

    kind = "mean"
    group: int
    mult: int
    shift: int
    offset: int


@frozen(eq=False)
class Network:
    """Layers in order; the first is the input, the last the output."""

    layers: tuple[Layer, ...]
    choices: tuple[str, ...] = ()
    open: bool = False  # of utterances: the input's width, their length, may be anything up to what it is here

    def at(self, length: int) -> Network:
        """The same network for utterances of another length."""
        if length == self.input.width:
            return self
        made: list[Layer] = []
        for layer, (rows, width) in zip(self.layers, sizes(self.layers, (self.input.rows, length)), strict=True):
            more: dict[str, Any] = {"out": attrs.evolve(layer.out, rows=rows, width=width)}
            if isinstance(layer, Attention):
                more["keys"] = made[layer.inputs[1]].out.rows
            if isinstance(layer, Linear) and layer.turn is not None:
                more["turn"] = layer.turn[:rows]
            made.append(attrs.evolve(layer, **more))
        return attrs.evolve(self, layers=tuple(made))

    def fitting(self, shape: tuple[int, ...]) -> Network:
        """The network for an input of that shape. Raises MyoflowError: it takes no such input."""
        rows, longest = self.input.shape
        if self.open and len(shape) == 2 and shape[0] == rows and 0 < shape[1] <= longest:
            return self.at(shape[1])
        if shape != self.input.shape:
            wanted = f"({rows}, 1 to {longest})" if self.open else f"{self.input.shape}"
            raise MyoflowError(f"the integer network takes {wanted} numbers, got {shape}")
        return self

    def begin(self, length: int) -> bytes:
        """What stands before an utterance of that length in a file of inputs: its length; nothing before a window."""
        return length.to_bytes(4, "little") if self.open else b""

    @property
    def input(self) -> Value:
        """What goes in."""
        return self.layers[0].out

    @property
    def output(self) -> Value:
        """What comes out."""
        return self.layers[-1].out

    def last_use(self) -> list[int]:
        """For each value the last layer that reads it; the output is read after all."""
        last = list(range(len(self.layers)))
        for number, layer in enumerate(self.layers):
            for place in layer.inputs:
                last[place] = number
        last[-1] = len(self.layers)
        return last
