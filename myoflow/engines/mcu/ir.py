"""IR: a network as a row of a dozen operations on matrices `(row, feature)`, with float weights.

Every operation gives one matrix. Tokens, patches or samples are rows; channels of a convolution are features, so that
neighbours in time stand side by side and a convolution is a product over overlapping rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs import frozen

if TYPE_CHECKING:
    import torch

    Tensor = torch.Tensor


@frozen(eq=False)
class Op:
    """Base: `name` is the layer's path in torch, `inputs` are places in the graph, the output is `(rows, width)`."""

    kind: ClassVar[str] = ""
    name: str
    inputs: tuple[int, ...]
    rows: int
    width: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of products; nothing else is counted."""
        return 0


@frozen(eq=False)
class Input(Op):
    """What goes into the segment, one window."""

    kind = "input"


@frozen(eq=False)
class Transpose(Op):
    """Rows become features."""

    kind = "transpose"


@frozen(eq=False)
class Pad(Op):
    """`before` and `after` rows of zeros."""

    kind = "pad"
    before: int
    after: int


@frozen(eq=False)
class Rotary:
    """Turns neighbouring features of row t by the angle of row t mod period; `cos`, `sin` (period, width / 2)."""

    cos: Tensor
    sin: Tensor


@frozen(eq=False)
class Linear(Op):
    """`y = x W^T + b`; row r reads `weight.shape[1]` values from `r * step` on, so that a convolution is one, too."""

    kind = "linear"
    weight: Tensor
    bias: Tensor
    step: int
    rotary: Rotary | None = None

    @property
    def macs(self) -> int:
        return self.rows * int(self.weight.numel())


@frozen(eq=False)
class AddRows(Op):
    """Adds a constant `(rows, width)`."""

    kind = "add_rows"
    constant: Tensor


@frozen(eq=False)
class Add(Op):
    """Sum of two matrices."""

    kind = "add"


@frozen(eq=False)
class LayerNorm(Op):
    """Mean 0 and variance 1 of every row, then `gamma` and `beta`."""

    kind = "layernorm"
    gamma: Tensor
    beta: Tensor
    eps: float


@frozen(eq=False)
class Pointwise(Op):
    """A function of each value, `function` on torch tensors."""

    kind = "pointwise"
    title: str
    function: Any


@frozen(eq=False)
class Attention(Op):
    """`softmax(scale q k^T) v` in each head; inputs q, k, v `(rows, heads * feature)`."""

    kind = "attention"
    heads: int
    scale: float
    keys: int

    @property
    def macs(self) -> int:
        return 2 * self.rows * self.keys * self.width


@frozen(eq=False)
class Mean(Op):
    """Mean of every `group` neighbouring rows."""

    kind = "mean"
    group: int


Graph = Sequence[Op]


def sizes(items: Sequence[Any], begin: tuple[int, int]) -> list[tuple[int, int]]:
    """`(rows, width)` of every output, for an input of the size `begin`: of operations, and of integer layers alike."""
    found: list[tuple[int, int]] = []
    for item in items:
        rows, width = found[item.inputs[0]] if item.inputs else begin
        if item.kind == "transpose":
            rows, width = width, rows
        elif item.kind == "pad":
            rows += item.before + item.after
        elif item.kind == "linear":
            rows, width = (rows * width - item.weight.shape[1]) // item.step + 1, item.weight.shape[0]
        elif item.kind == "mean":
            rows //= item.group
        found.append((rows, width))
    return found


def resized(graph: Graph, length: int) -> list[Op]:
    """The same operations for utterances of another length: the input's width."""
    made: list[Op] = []
    for op, (rows, width) in zip(graph, sizes(graph, (graph[0].rows, length)), strict=True):
        more: dict[str, Any] = {}
        if isinstance(op, Attention):
            more["keys"] = made[op.inputs[1]].rows
        if isinstance(op, Linear) and op.rotary is not None and len(op.rotary.cos) > rows:
            more["rotary"] = Rotary(op.rotary.cos[:rows], op.rotary.sin[:rows])
        if isinstance(op, AddRows):
            more["constant"] = op.constant[:1].expand(rows, width)  # all rows are the same: capture sees to it
        made.append(attrs.evolve(op, rows=rows, width=width, **more))
    return made


def evaluate(graph: Graph, windows: Tensor) -> list[Tensor]:
    """Every operation's output in float32, `(window, row, feature)`, for windows `(window, ...)`."""
    done: list[Tensor] = []
    for op in graph:
        given = [done[i] for i in op.inputs]
        done.append(_apply(op, given, windows))
    return done


def _apply(op: Op, given: list[Tensor], windows: Tensor) -> Tensor:
    import torch
    import torch.nn.functional as F

    match op:
        case Input():
            return windows.reshape(len(windows), op.rows, op.width)
        case Transpose():
            return given[0].transpose(1, 2).contiguous()
        case Pad():
            return F.pad(given[0], (0, 0, op.before, op.after))
        case Linear():
            flat = given[0].flatten(1)
            count = op.weight.shape[1]
            rows = flat.as_strided((len(flat), op.rows, count), (flat.shape[1], op.step, 1))
            out = F.linear(rows, op.weight, op.bias)
            return out if op.rotary is None else rotated(out, op.rotary)
        case AddRows():
            return given[0] + op.constant
        case Add():
            return given[0] + given[1]
        case LayerNorm():
            return F.layer_norm(given[0], (op.width,), op.gamma, op.beta, op.eps)
        case Pointwise():
            out = op.function(given[0])
            assert isinstance(out, torch.Tensor)
            return out
        case Attention():
            parts = [x.reshape(*x.shape[:2], op.heads, -1).transpose(1, 2) for x in given]
            out = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], scale=op.scale)
            return torch.flatten(out.transpose(1, 2), 2)
        case Mean():
            return given[0].reshape(len(given[0]), op.rows, op.group, op.width).mean(2)
    raise AssertionError(f"{op.kind} has no float form")


def rotated(x: Tensor, rotary: Rotary) -> Tensor:
    """`x` `(window, row, feature)` with neighbouring features turned by their row's angle."""
    import torch

    times = x.shape[1] // rotary.cos.shape[0]
    cos, sin = rotary.cos.repeat(times, 1), rotary.sin.repeat(times, 1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
