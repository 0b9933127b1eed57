"""Capture: a segment's torch modules, through torch.export, as the IR; anything unknown is an error with its place.

Reshapes, transposes, splits and the like move no data here. Each is run once on the numbers of the elements, so that
every tensor of the graph is known as "which elements of which operation's output"; only where an operation takes it
must it be a matrix. Rotary positions come out as sums of two such tensors with coefficients.
"""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import torch
import torch.nn.functional as F
from attrs import frozen

from myoflow.engines.mcu import ir
from myoflow.errors import InputError, MyoflowError

if TYPE_CHECKING:
    from myoflow.spec import Spec

Tensor = torch.Tensor
CLOSE = 1e-4  # largest difference from torch, relative to the outputs' root mean square

MOVES = {
    "reshape", "view", "unflatten", "flatten", "transpose", "permute", "squeeze", "unsqueeze", "split_with_sizes",
    "split", "chunk", "unbind", "select", "slice", "contiguous", "clone", "alias", "movedim", "detach", "_unsafe_view",
}  # fmt: skip
NOTHING = {"to", "dropout", "dropout_", "_to_copy", "lift_fresh_copy", "detach_"}
POINTWISE: dict[str, Callable[..., Tensor]] = {
    "gelu": F.gelu, "relu": F.relu, "relu_": F.relu, "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "elu": F.elu, "leaky_relu": F.leaky_relu, "hardtanh": F.hardtanh, "softplus": F.softplus,
}  # fmt: skip
OPERATIONS = {
    "linear": "_linear", "conv1d": "_conv1d", "batch_norm": "_batch_norm", "layer_norm": "_layer_norm", "mul": "_mul",
    "sub": "_sub", "add": "_add_", "add_": "_add_", "stack": "_stack", "mean": "_mean",
    "scaled_dot_product_attention": "_scaled_dot_product_attention", "pad": "_pad", "cat": "_cat",
}  # fmt: skip
SUPPORTED = "linear, conv1d, batch_norm behind them, layer_norm, attention, add, mean, reshapes and pointwise functions"


@frozen(eq=False)
class View:
    """Elements of an operation's output: the sum of `coefficient * output.flat[index]` over its terms."""

    base: int
    terms: tuple[tuple[Tensor, Tensor | None], ...]

    @property
    def plain(self) -> Tensor | None:
        """The numbers of the elements, where nothing is computed on the way."""
        return self.terms[0][0] if len(self.terms) == 1 and self.terms[0][1] is None else None


def capture(module: torch.nn.Module, spec: Spec, longest: int | None = None) -> list[ir.Op]:
    """The IR of a trained `module` that takes windows of `spec`, checked against it.

    Of utterances, whose `time` is open, that of the length `longest`; `ir.resized` gives it for shorter ones.

    Raises:
        InputError: it computes something that the target has no operator for; names the layer.
        MyoflowError: torch cannot export it, or the IR does not give what it gives.
    """
    sizes = [longest if size is None else size for size in spec.sizes[1:]]
    if None in sizes:
        raise ValueError(f"needs a longest length for {spec.describe()}")
    shape = [int(size or 0) for size in sizes]
    example = torch.zeros(1, *shape)
    with _quiet(), torch.no_grad():
        try:
            module(example)  # tables that grow with the longest input do so now
            program = torch.export.export(module, (example,))
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MyoflowError(f"torch cannot export {type(module).__name__}: {reason}") from error
    with torch.no_grad():
        graph = _Capture(program, shape).graph()
        if None in spec.sizes[1:]:
            _any_length(graph)
            shape[-1] = max(1, shape[-1] // 2)
        _compare(module, ir.resized(graph, shape[-1]) if None in spec.sizes[1:] else graph, shape)
    return graph


def _any_length(graph: ir.Graph) -> None:
    """Raise InputError unless the graph has a form for utterances of every length."""
    for op in graph:
        if isinstance(op, ir.Mean):
            raise InputError(f"{op.name}: a mean over the frames of an utterance has no integer form here")
        if isinstance(op, ir.AddRows) and not torch.equal(op.constant, op.constant[:1].expand_as(op.constant)):
            raise InputError(f"{op.name}: a constant for each frame of an utterance has no integer form here")
        if any(isinstance(graph[i], ir.Input) for i in op.inputs) and not isinstance(op, ir.Transpose):
            raise InputError(f"{op.name}: looks along an utterance's time, which has no fixed length; use a conv_stem")
        if isinstance(op, ir.Linear):
            width = graph[op.inputs[0]].width
            if op.step % width or op.weight.shape[1] % width:
                raise InputError(f"{op.name}: cuts through frames of an utterance, which has no integer form here")


def _compare(module: torch.nn.Module, graph: ir.Graph, sizes: list[int]) -> None:
    x = torch.from_numpy(_normal((2, *sizes)))
    expected = module(x)
    got = ir.evaluate(graph, x)[-1].reshape(expected.shape)
    scale = float(expected.square().mean().sqrt()) or 1.0
    off = float((got - expected).abs().max()) / scale
    if not off <= CLOSE:
        raise MyoflowError(f"the captured network differs from torch by {off:.1e} of its outputs")


def _normal(shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


class _Capture:
    def __init__(self, program: Any, sizes: list[int]) -> None:
        self.program = program
        rows = 1
        for size in sizes[:-1]:
            rows *= size
        self.ops: list[ir.Op] = [ir.Input("input", (), rows, sizes[-1])]
        self.values: dict[str, Any] = {}
        self.place = ""
        self._begin(sizes)

    def _begin(self, sizes: list[int]) -> None:
        signature, state = self.program.graph_signature, self.program.state_dict
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        lifted = signature.inputs_to_lifted_tensor_constants
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            if node.name in named:
                key = named[node.name]
                self.values[node.name] = (state[key] if key in state else self.program.constants[key]).detach()
            elif node.name in lifted:
                self.values[node.name] = self.program.constants[lifted[node.name]]
            else:
                count = self.ops[0].rows * self.ops[0].width
                self.values[node.name] = View(0, ((torch.arange(count).reshape(1, *sizes), None),))

    def graph(self) -> list[ir.Op]:
        """Every node in turn, then without what nobody uses."""
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                stack = list((node.meta.get("nn_module_stack") or {}).values())
                self.place = stack[-1][0] if stack else node.name
                self.values[node.name] = self._call(node)
            elif node.op == "output":
                last = self._get(node.args[0][0])
                if not isinstance(last, View):
                    raise self._no("a constant as output")
                self._whole(last)
                return _without_unused(self.ops, last.base)
        raise AssertionError("a graph without output")

    def _get(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return self.values[argument.name]
        if isinstance(argument, (list, tuple)):
            return type(argument)(self._get(item) for item in argument)
        return argument

    def _no(self, what: str) -> InputError:
        return InputError(f"{self.place}: {what} has no integer form here; there are {SUPPORTED}")

    def _add(self, op: ir.Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def _natural(self, place: int, *shape: int) -> View:
        return View(place, ((torch.arange(self.ops[place].rows * self.ops[place].width).reshape(shape), None),))

    def _call(self, node: Any) -> Any:
        args = [self._get(argument) for argument in node.args]
        options = {key: self._get(value) for key, value in node.kwargs.items()}
        if node.target is operator.getitem:
            return args[0][args[1]]
        name = str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)
        if name.startswith("_assert"):
            return None
        flat = [x for a in args for x in (a if isinstance(a, (list, tuple)) else (a,))]
        if not any(isinstance(x, View) for x in flat):
            return node.target(*args, **options)
        if name in NOTHING:
            return args[0]
        if name in MOVES:
            return self._move(node.target, args, options)
        method = getattr(self, OPERATIONS.get(name, ""), None)
        if method is not None:
            return method(*args, **options)
        if name in POINTWISE:
            return self._pointwise(name, args, options)
        raise self._no(f"'{name}'")

    def _move(self, target: Any, args: list[Any], options: dict[str, Any]) -> Any:
        view: View = args[0]
        parts = []
        for index, coefficient in view.terms:
            moved = target(index, *args[1:], **options)
            scaled = None if coefficient is None else target(coefficient, *args[1:], **options)
            parts.append((moved, scaled))
        if isinstance(parts[0][0], (list, tuple)):
            count = len(parts[0][0])
            return tuple(
                View(view.base, tuple((i[n], None if c is None else c[n]) for i, c in parts)) for n in range(count)
            )
        return View(view.base, tuple(parts))

    # What a view must be where an operation takes it.

    def _whole(self, view: View, width: int | None = None) -> int:
        """The operation whose whole output this is, in its own order, or turned so that rows have `width`."""
        index, op = view.plain, self.ops[view.base]
        if index is not None and index.numel() == op.rows * op.width:
            if _counts(index):
                return view.base
            if width is not None and op.rows == width and _counts(index.reshape(op.width, width).T):
                turned = (
                    n for n, op in enumerate(self.ops) if isinstance(op, ir.Transpose) and op.inputs == (view.base,)
                )
                there = next(turned, None)
                if there is not None:
                    return there
                return self._add(ir.Transpose(self.place, (view.base,), op.width, op.rows))
        raise self._no("data in another order than it was computed in")

    # Operations, by their names in torch's graph.

    def _linear(self, x: View, weight: Tensor, bias: Tensor | None = None) -> View:
        shape, count = x.terms[0][0].shape, weight.shape[1]
        place = self._whole(x, count)
        bias = torch.zeros(len(weight)) if bias is None else bias
        rows = shape.numel() // count
        made = self._add(ir.Linear(self.place, (place,), rows, len(weight), weight, bias, count))
        return self._natural(made, *shape[:-1], len(weight))

    def _conv1d(
        self, x: View, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> View:  # fmt: skip
        step, edge, apart = (v[0] if isinstance(v, (list, tuple)) else v for v in (stride, padding, dilation))
        if apart != 1 or groups != 1 or isinstance(edge, str):
            raise self._no("a convolution with dilation, groups or padding by name")
        index = x.terms[0][0]
        if index.ndim != 3 or x.plain is None:
            raise self._no("a convolution of this input")
        channels, length = index.shape[1:]
        place = self._whole(View(x.base, ((index[0].T, None),)), channels)
        out, _, taps = weight.shape
        rows = length
        if edge:
            rows += 2 * edge
            place = self._add(ir.Pad(self.place, (place,), rows, channels, edge, edge))
        flat = weight.permute(0, 2, 1).reshape(out, taps * channels)
        bias = torch.zeros(out) if bias is None else bias
        count = (rows - taps) // step + 1
        made = self._add(ir.Linear(self.place, (place,), count, out, flat, bias, step * channels))
        return View(made, ((self._natural(made, count, out).terms[0][0].T[None], None),))

    def _pad(self, x: View, edges: list[int], mode: str = "constant", value: float | None = None) -> View:
        """Zeros before and after a `(1, channel, time)`."""
        index = x.terms[0][0]
        if index.ndim != 3 or x.plain is None or len(edges) != 2 or mode != "constant" or value or min(edges) < 0:
            raise self._no("padding that is not zeros before and after a signal")
        channels, length = index.shape[1:]
        place = self._whole(View(x.base, ((index[0].T, None),)), channels)
        rows = length + sum(edges)
        made = self._add(ir.Pad(self.place, (place,), rows, channels, *edges))
        return View(made, ((self._natural(made, rows, channels).terms[0][0].T[None], None),))

    def _cat(self, views: list[View], dim: int = 0) -> View:
        """Linear layers of one input side by side are one linear layer."""
        ops = [self.ops[view.base] for view in views]
        shape = views[0].terms[0][0].shape
        linears = [op for op in ops if isinstance(op, ir.Linear) and op.rotary is None]
        whole = all(view.plain is not None and _counts(view.plain) for view in views)
        same = len({(op.inputs, op.step, op.rows) for op in linears}) == 1
        if len(linears) != len(ops) or not whole or not same or dim % len(shape) != len(shape) - 1:
            raise self._no("tensors of several layers put together")
        weight, bias = (torch.cat([getattr(op, key) for op in linears]) for key in ("weight", "bias"))
        first = linears[0]
        made = self._add(ir.Linear(self.place, first.inputs, first.rows, len(weight), weight, bias, first.step))
        return self._natural(made, *shape[:-1], len(weight))

    def _batch_norm(
        self, x: View, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, *rest: Any
    ) -> View:
        """Folded into the product before it."""
        op = self.ops[x.base]
        if not isinstance(op, ir.Linear) or x.base != len(self.ops) - 1 or x.terms[0][0].shape[1] != op.width:
            raise self._no("batch normalisation that does not follow a convolution or a linear layer")
        eps = next(value for value in reversed(rest) if isinstance(value, float))
        gain = (variance + eps).rsqrt() * (1.0 if weight is None else weight)
        shift = op.bias * gain - mean * gain + (0.0 if bias is None else bias)
        self.ops[x.base] = attrs.evolve(op, weight=op.weight * gain[:, None], bias=shift)
        return x

    def _layer_norm(
        self, x: View, shape: list[int], weight: Tensor | None = None, bias: Tensor | None = None,
        eps: float = 1e-5, _: bool = False,
    ) -> View:  # fmt: skip
        if len(shape) != 1:
            raise self._no("layer normalisation over several axes")
        width, index = shape[0], x.terms[0][0]
        gamma = torch.ones(width) if weight is None else weight
        beta = torch.zeros(width) if bias is None else bias
        place = self._whole(x, width)
        made = self._add(ir.LayerNorm(self.place, (place,), index.numel() // width, width, gamma, beta, eps))
        return self._natural(made, *index.shape)

    def _pointwise(self, name: str, args: list[Any], options: dict[str, Any]) -> View:
        view, more = args[0], args[1:]
        if view.plain is None:
            raise self._no(f"'{name}' of a sum")
        op = self.ops[view.base]

        def function(x: Tensor) -> Tensor:
            return POINTWISE[name](x, *more, **options)

        made = self._add(ir.Pointwise(self.place, (view.base,), op.rows, op.width, name, function))
        return View(made, view.terms)

    def _mul(self, x: Any, y: Any) -> View:
        view, factor = (x, y) if isinstance(x, View) else (y, x)
        if isinstance(factor, View):
            raise self._no("a product of two activations")
        factor = torch.as_tensor(factor, dtype=torch.float32)
        terms = []
        for index, coefficient in view.terms:
            zero = torch.zeros_like(factor, dtype=index.dtype)
            placed, wide = index + zero, factor + torch.zeros_like(index, dtype=factor.dtype)
            old = 1.0 if coefficient is None else torch.broadcast_to(coefficient, placed.shape)
            terms.append((placed, wide * old))
        return View(view.base, tuple(terms))

    def _sub(self, x: Any, y: Any) -> View:
        return self._add_(x, self._mul(y, -1.0) if isinstance(y, View) else -torch.as_tensor(y))

    def _add_(self, x: Any, y: Any) -> View:
        if isinstance(x, View) and isinstance(y, View):
            if x.base == y.base:
                return View(x.base, (*x.terms, *y.terms))
            one, two = x.plain, y.plain
            a, b = self.ops[x.base], self.ops[y.base]
            if one is None or two is None or not torch.equal(one, two) or (a.rows, a.width) != (b.rows, b.width):
                raise self._no("a sum of tensors in different orders")
            return View(self._add(ir.Add(self.place, (x.base, y.base), a.rows, a.width)), x.terms)
        view, constant = (x, y) if isinstance(x, View) else (y, x)
        op, index = self.ops[view.base], view.plain
        if index is None or index.numel() != op.rows * op.width:
            raise self._no("a constant added to a part")
        table = torch.zeros(op.rows * op.width)
        table[index.flatten()] = torch.as_tensor(constant, dtype=torch.float32).expand(index.shape).flatten()
        made = self._add(ir.AddRows(self.place, (view.base,), op.rows, op.width, table.reshape(op.rows, op.width)))
        return View(made, view.terms)

    def _stack(self, views: list[View], dim: int = 0) -> View:
        if len({view.base for view in views}) != 1 or len({len(view.terms) for view in views}) != 1:
            raise self._no("tensors of several layers put together")
        terms = []
        for parts in zip(*(view.terms for view in views), strict=True):
            coefficients = [torch.ones(i.shape) if c is None else c for i, c in parts]
            joined = torch.stack([i for i, _ in parts], dim)
            plain = all(c is None for _, c in parts)
            terms.append((joined, None if plain else torch.stack(coefficients, dim)))
        return View(views[0].base, tuple(terms))

    def _mean(self, x: View, dims: list[int], keepdim: bool = False, **_: Any) -> View:
        """Every output must be the mean of neighbouring rows, as many for each."""
        if x.plain is None:
            raise self._no("a mean of sums")
        index, op = x.plain, self.ops[x.base]
        over = sorted(dim % index.ndim for dim in dims)
        kept = [dim for dim in range(index.ndim) if dim not in over]
        members = index.permute(*kept, *over).reshape(-1, int(torch.tensor([index.shape[d] for d in over]).prod()))
        group = members.shape[1]
        rows, first = members // op.width, (members // op.width).min(1, keepdim=True).values
        neighbours = rows.sort(1).values == first + torch.arange(group)
        if (
            op.rows % group
            or not neighbours.all()
            or (first % group).any()
            or (members % op.width != members[:, :1] % op.width).any()
        ):
            raise self._no("a mean over other things than neighbouring rows")
        made = self._add(ir.Mean(self.place, (x.base,), op.rows // group, op.width, group))
        at = (first // group * op.width + members[:, :1] % op.width).reshape([index.shape[d] for d in kept])
        for dim in over if keepdim else ():
            at = at.unsqueeze(dim)
        return View(made, ((at, None),))

    def _scaled_dot_product_attention(
        self, q: View, k: View, v: View, mask: Any = None, dropout: float = 0.0, causal: bool = False,
        scale: float | None = None, **options: Any,
    ) -> View:  # fmt: skip
        if mask is not None or causal or options.get("attn_mask") is not None or options.get("enable_gqa"):
            raise self._no("attention with a mask")
        scale = options.get("scale", scale)
        _, heads, rows, size = q.terms[0][0].shape
        keys = k.terms[0][0].shape[2]
        parts = tuple(
            self._part(view, f"{self.place}.{name}") for view, name in ((q, "query"), (k, "key"), (v, "value"))
        )
        scale = size**-0.5 if scale is None else scale
        made = self._add(ir.Attention(self.place, parts, rows, heads * size, heads, scale, keys))
        index = torch.arange(rows * heads * size).reshape(1, rows, heads, size).transpose(1, 2)
        return View(made, ((index, None),))

    def _part(self, view: View, name: str) -> int:
        """Queries, keys or values `(1, head, row, feature)` as a product of their own, turned where they are."""
        op, (index, _) = self.ops[view.base], view.terms[0]
        if not isinstance(op, ir.Linear) or index.shape[0] != 1:
            raise self._no("attention over anything but a linear layer's output")
        _, heads, rows, size = index.shape
        columns = (index[0, :, 0] % op.width).flatten()
        wanted = torch.arange(rows)[:, None] * op.width + columns
        if rows != op.rows or not torch.equal(index[0].transpose(0, 1).reshape(rows, -1), wanted):
            raise self._no("queries, keys or values from several rows")
        rotary = None
        if view.plain is None:
            rotary, columns = self._turned(view, op)
        made = ir.Linear(name, op.inputs, rows, heads * size, op.weight[columns], op.bias[columns], op.step, rotary)
        return self._add(made)

    def _turned(self, view: View, op: ir.Linear) -> tuple[ir.Rotary, Tensor]:
        """Two terms with coefficients as a rotation of neighbouring features, and which columns they are of."""
        failed = self._no(
            "arithmetic between a linear layer and attention that is no rotation of neighbouring features"
        )
        if len(view.terms) != 2:
            raise failed
        columns, weights = [], []
        for index, coefficient in view.terms:
            assert coefficient is not None
            columns.append(index[0].transpose(0, 1).flatten(1) % op.width)
            weights.append(coefficient[0].transpose(0, 1).flatten(1).float())
        (a, b), (ca, cb) = columns, weights
        first, second = a[:, 0::2], b[:, 0::2]
        cos, sin = ca[:, 0::2], ca[:, 1::2]
        one_row = torch.stack((first[0], second[0]), -1).flatten()
        same = (a[:, 1::2] == first).all() and (b[:, 1::2] == second).all() and (first == first[0]).all()
        if not same or not torch.equal(cb[:, 0::2], -sin) or not torch.equal(cb[:, 1::2], cos):
            raise failed
        period = next(p for p in range(1, len(cos) + 1) if len(cos) % p == 0 and _repeats(cos, sin, p))
        return ir.Rotary(cos[:period].contiguous(), sin[:period].contiguous()), one_row


def _counts(index: Tensor) -> bool:
    return torch.equal(index.flatten(), torch.arange(index.numel()))


def _repeats(cos: Tensor, sin: Tensor, period: int) -> bool:
    return all(torch.equal(t, t[:period].repeat(len(t) // period, 1)) for t in (cos, sin))


def _without_unused(ops: list[ir.Op], last: int) -> list[ir.Op]:
    """What leads to the operation `last`, in order, renumbered."""
    used: set[int] = set()
    open_ = [last]
    while open_:
        place = open_.pop()
        if place not in used:
            used.add(place)
            open_ += ops[place].inputs
    order = sorted(used)
    at = {old: new for new, old in enumerate(order)}
    return [attrs.evolve(ops[old], inputs=tuple(at[i] for i in ops[old].inputs)) for old in order]


@contextlib.contextmanager
def _quiet() -> Any:
    """The exporter prints and warns about itself."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
