"""Typed values: what a field's type hint says, checked in one place for YAML, command line and Python.

`@frozen` makes an attrs class whose fields are coerced by their hints. The same hints give the error texts
(`describe`), the editor's JSON Schema (`json_schema`) and the filled recipe (`plain`).
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

import attrs

from myoflow.errors import did_you_mean

T = TypeVar("T")

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*([^\d\s].*?)?\s*$")


class Mismatch(ValueError):
    """A value that is not what its hint says; `path` leads to it from the value that was coerced."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        self.path = path
        super().__init__(message)


@attrs.frozen
class Quantity:
    """Marks a float field that carries a unit in YAML and is an SI float inside."""

    kind: str
    units: Mapping[str, float] = attrs.field(hash=False)
    example: str

    def parse(self, text: str) -> float:
        """`"20 Hz"` -> 20.0. Raises Mismatch."""
        found = _QUANTITY.match(text)
        if not found:
            raise Mismatch(f"'{text}' is not {self.article}, such as '{self.example}'")
        number, unit = found.group(1), found.group(2)
        if unit is None:
            raise Mismatch(f"'{text}' has no unit; write {self.article} such as '{self.example}'")
        if unit not in self.units:
            known = ", ".join(self.units)
            close = did_you_mean(unit, self.units) or "."
            raise Mismatch(f"'{unit}' is not a unit of {self.kind}{close} Units: {known}")
        return _finite(float(number) * self.units[unit], text)

    @property
    def article(self) -> str:
        return f"a {self.kind}"

    def format(self, value: float) -> str:
        """The shortest text that parses back to `value`: 1e-05 V is `10 uV`."""
        texts = []
        for unit, scale in self.units.items():
            number = value / scale
            for candidate in (float(f"{number:.12g}"), number):
                if math.isfinite(candidate) and candidate * scale == value:
                    texts.append(f"{_number(candidate)} {unit}")
        return min(texts or [f"{value!r} {next(iter(self.units))}"], key=len)


def _finite(value: float, text: object) -> float:
    if not math.isfinite(value):
        raise Mismatch(f"{show(text)} is not a finite number")
    return value


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)


Hz = Annotated[float, Quantity("frequency", {"Hz": 1.0, "kHz": 1e3, "mHz": 1e-3}, "20 Hz")]
Seconds = Annotated[float, Quantity("time", {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}, "200 ms")]
Volts = Annotated[float, Quantity("voltage", {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6}, "50 uV")]


@attrs.frozen
class Duration:
    """A length in time: seconds, or samples of whatever rate it meets."""

    value: float
    unit: Literal["s", "samples"] = "s"

    _UNITS: typing.ClassVar = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`"200 ms"` or `"20 samples"`. Raises Mismatch."""
        found = _QUANTITY.match(text)
        unit = found.group(2) if found else None
        if not found or unit is None:
            raise Mismatch(f"'{text}' has no unit; write a length such as '200 ms' or '20 samples'")
        number = float(found.group(1))
        if not 0 < number < math.inf:
            raise Mismatch(f"a length must be above zero, got '{text}'")
        if unit in ("sample", "samples"):
            if number != int(number):
                raise Mismatch(f"'{text}' is not a whole number of samples")
            return cls(number, "samples")
        if unit not in cls._UNITS:
            known = ", ".join((*cls._UNITS, "samples"))
            close = did_you_mean(unit, (*cls._UNITS, "samples")) or "."
            raise Mismatch(f"'{unit}' is not a unit of length{close} Units: {known}")
        return cls(number * cls._UNITS[unit], "s")

    def __attrs_post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise Mismatch(f"a length must be above zero, got {self}")

    def samples(self, rate_hz: float) -> int:
        """Whole samples at `rate_hz`, to the nearest; at least one is for the caller to check."""
        return int(self.value) if self.unit == "samples" else round(self.value * rate_hz)

    def seconds(self, rate_hz: float) -> float:
        """Seconds at `rate_hz`."""
        return self.value / rate_hz if self.unit == "samples" else self.value

    def __str__(self) -> str:
        if self.unit == "samples":
            return f"{_number(self.value)} samples"
        milliseconds = round(self.value * 1e3, 9)
        # In ms where that reads back to the very same number: text is how a recipe is kept.
        if self.value < 1 and milliseconds * self._UNITS["ms"] == self.value:
            return f"{_number(milliseconds)} ms"
        return f"{_number(self.value)} s"


def coerce(value: Any, hint: Any, *, text: bool = False) -> Any:
    """`value` as `hint` demands, or Mismatch.

    With `text` (YAML, command line) a quantity must be written with its unit; without it (Python) a bare
    number is taken as SI. Booleans never pass for numbers, floats never for integers.
    """
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return _annotated(value, get_args(hint), text)
    if origin is Literal:
        options = get_args(hint)
        if value in options and type(value) in {type(o) for o in options}:
            return value
        close = did_you_mean(str(value), [str(o) for o in options])
        raise Mismatch(f"'{value}' is not one of: {', '.join(str(o) for o in options)}{close}")
    if origin in (Union, types.UnionType):
        return _union(value, get_args(hint), text)
    if origin in (tuple, list, Sequence):
        return _sequence(value, hint, text)
    if origin in (dict, Mapping):
        return _mapping(value, hint, text)
    return _plain_type(value, hint, text)


def _annotated(value: Any, args: tuple[Any, ...], text: bool) -> Any:
    quantity = next((a for a in args[1:] if isinstance(a, Quantity)), None)
    if quantity is None:
        return coerce(value, args[0], text=text)
    if isinstance(value, str):
        return quantity.parse(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if text:
            unit = next(iter(quantity.units))
            raise Mismatch(f"{value} has no unit; write '{value} {unit}'")
        return _finite(float(value), value)
    raise Mismatch(f"expected {quantity.article} such as '{quantity.example}', got {show(value)}")


def _union(value: Any, options: tuple[Any, ...], text: bool) -> Any:
    if value is None and type(None) in options:
        return None
    failures = []
    for option in options:
        if option is type(None):
            continue
        try:
            return coerce(value, option, text=text)
        except Mismatch as error:
            failures.append(error)
    inside = [error for error in failures if error.path]  # of the right shape, wrong within: that says more
    if len(failures) == 1 or len(inside) == 1:
        raise (inside or failures)[0]
    wanted = " or ".join(describe(o) for o in options if o is not type(None))
    raise Mismatch(f"expected {wanted}, got {show(value)}")


def _sequence(value: Any, hint: Any, text: bool) -> Any:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise Mismatch(f"expected {describe(hint)}, got {show(value)}")
    args = get_args(hint)
    if get_origin(hint) is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        if len(value) != len(args):
            raise Mismatch(f"expected {len(args)} values, got {len(value)}")
        hints = list(args)
    else:
        hints = [args[0]] * len(value)
    out = []
    for i, (item, item_hint) in enumerate(zip(value, hints, strict=True)):
        out.append(_within(i, item, item_hint, text))
    return tuple(out)


def _mapping(value: Any, hint: Any, text: bool) -> Any:
    if not isinstance(value, Mapping):
        raise Mismatch(f"expected {describe(hint)}, got {show(value)}")
    key_hint, value_hint = get_args(hint)
    return {coerce(k, key_hint, text=text): _within(k, v, value_hint, text) for k, v in value.items()}


def _within(key: str | int, value: Any, hint: Any, text: bool) -> Any:
    try:
        return coerce(value, hint, text=text)
    except Mismatch as error:
        raise Mismatch(str(error), (key, *error.path)) from None


def _plain_type(value: Any, hint: Any, text: bool) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(float(value), value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is Duration and isinstance(value, str):
        return Duration.parse(value)
    if hint is Duration and isinstance(value, (int, float)) and not isinstance(value, bool):
        if text:
            raise Mismatch(f"{value} has no unit; write '{value} s', '{value} ms' or '{value} samples'")
        return Duration(float(value))
    if hint in (str, bool) and type(value) is hint:
        return value
    if isinstance(hint, type) and hint not in (int, float, str, bool) and isinstance(value, hint):
        return value
    raise Mismatch(f"expected {describe(hint)}, got {show(value)}")


def describe(hint: Any) -> str:
    """A hint in words, for errors and `myoflow show`."""
    origin = get_origin(hint)
    if origin is Annotated:
        quantity = next((a for a in get_args(hint)[1:] if isinstance(a, Quantity)), None)
        return f"{quantity.article} such as '{quantity.example}'" if quantity else describe(get_args(hint)[0])
    if origin is Literal:
        return "one of " + ", ".join(str(o) for o in get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join("null" if o is type(None) else describe(o) for o in get_args(hint))
    if origin in (tuple, list, Sequence):
        return f"a list, each {describe(get_args(hint)[0])}"
    if origin in (dict, Mapping):
        return "a mapping"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if hint is Duration:
        return "a length such as '200 ms' or '20 samples'"
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else str(value)


def plain(value: Any, hint: Any = Any) -> Any:
    """The YAML form of a coerced value: quantities with their unit, tuples as lists."""
    origin = get_origin(hint)
    if value is None or isinstance(value, bool):
        return value
    if origin is Annotated:
        quantity = next((a for a in get_args(hint)[1:] if isinstance(a, Quantity)), None)
        return quantity.format(value) if quantity else plain(value, get_args(hint)[0])
    if origin in (Union, types.UnionType):
        for option in get_args(hint):
            try:
                coerce(value, option)
            except Mismatch:
                continue
            return plain(value, option)
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Mapping):
        item = get_args(hint)[1] if origin in (dict, Mapping) else Any
        return {k: plain(v, item) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        args = get_args(hint)
        fixed = origin is tuple and not (len(args) == 2 and args[1] is Ellipsis)
        hints = list(args) if fixed else [args[0] if args else Any] * len(value)
        return [plain(v, h) for v, h in zip(value, hints, strict=True)]
    return value


def json_schema(hint: Any) -> dict[str, Any]:
    """JSON Schema of a hint, for editors."""
    origin = get_origin(hint)
    if origin is Annotated:
        quantity = next((a for a in get_args(hint)[1:] if isinstance(a, Quantity)), None)
        if quantity is None:
            return json_schema(get_args(hint)[0])
        units = "|".join(re.escape(u) for u in quantity.units)
        return {
            "type": "string",
            "pattern": rf"^\s*{_NUMBER}\s*({units})\s*$",
            "examples": [quantity.example],
        }
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin in (Union, types.UnionType):
        return {"anyOf": [json_schema(o) for o in get_args(hint)]}
    if origin in (tuple, list, Sequence):
        args = get_args(hint)
        if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
            count = len(args)
            items = [json_schema(a) for a in args]
            return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}
        return {"type": "array", "items": json_schema(args[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": json_schema(get_args(hint)[1])}
    if hint is Duration:
        return {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*(s|ms|us|min|samples?)\s*$"}
    names = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
    return {"type": names[hint]} if hint in names else {}


def hints_of(cls: type) -> dict[str, Any]:
    """Type hints of an attrs class's own fields, Annotated kept."""
    known = typing.get_type_hints(cls, include_extras=True)
    return {f.name: known[f.name] for f in attrs.fields(cls)}


def _with_converters(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    known: dict[str, Any] = {}

    def converter(name: str) -> Callable[[Any], Any]:
        def convert(value: Any) -> Any:
            # Hints are resolved at the first use: forward references need the finished module.
            if not known:
                known.update(typing.get_type_hints(cls, include_extras=True))
            try:
                return coerce(value, known[name])
            except Mismatch as error:
                raise Mismatch(str(error), (name, *error.path)) from None

        return convert

    return [f if f.converter else f.evolve(converter=converter(f.name)) for f in fields]


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def frozen(cls: type[T]) -> type[T]:
    """`attrs.frozen` whose fields are coerced by their hints, so Python, too, may write `low="20 Hz"`."""
    return attrs.frozen(cls, field_transformer=_with_converters)
