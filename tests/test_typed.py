"""Typed values: quantities, lengths, coercion, and their text."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoflow.typed import Duration, Hz, Mismatch, Quantity, Seconds, Volts, coerce, describe, frozen, json_schema, plain

QUANTITIES = {"Hz": Hz, "Seconds": Seconds, "Volts": Volts}

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-9, max_value=1e9)


def unit_of(hint: Any) -> Quantity:
    return next(a for a in hint.__metadata__ if isinstance(a, Quantity))


@pytest.mark.parametrize("name", QUANTITIES)
@given(value=finite)
def test_a_quantity_reads_back_exactly(name: str, value: float) -> None:
    quantity = unit_of(QUANTITIES[name])
    assert quantity.parse(quantity.format(value)) == value
    assert coerce(plain(value, QUANTITIES[name]), QUANTITIES[name], text=True) == value


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("20 Hz", Hz, 20.0), ("2kHz", Hz, 2000.0), (" 1.5e2 Hz ", Hz, 150.0), (".5 Hz", Hz, 0.5), ("-3 Hz", Hz, -3.0),
        ("200 ms", Seconds, 0.2), ("2 min", Seconds, 120.0), ("50 us", Seconds, 50e-6),
        ("50 uV", Volts, 50e-6), ("50 µV", Volts, 50e-6), ("1 mV", Volts, 1e-3),
    ],
)  # fmt: skip
def test_units(text: str, hint: Any, value: float) -> None:
    assert coerce(text, hint, text=True) == pytest.approx(value, rel=1e-15)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzµHVs%/", min_size=1, max_size=4), st.sampled_from(list(QUANTITIES)))
def test_wrong_units_are_refused(unit: str, name: str) -> None:
    quantity = unit_of(QUANTITIES[name])
    if unit in quantity.units:
        assert quantity.parse(f"1 {unit}") == quantity.units[unit]
    else:
        with pytest.raises(Mismatch, match="is not a unit of"):
            quantity.parse(f"1 {unit}")


@pytest.mark.parametrize("value", [20, 20.0, True, None, [20], "20", "Hz", "", "1e999 Hz", "nan Hz", "1,5 Hz"])
def test_what_is_no_frequency_in_yaml(value: Any) -> None:
    with pytest.raises(Mismatch):
        coerce(value, Hz, text=True)


def test_bare_numbers_are_si_in_python() -> None:
    assert coerce(20, Hz) == 20.0
    with pytest.raises(Mismatch, match="not a finite number"):
        coerce(math.nan, Hz)


@given(positive)
def test_a_length_in_seconds_reads_back_exactly(value: float) -> None:
    assert Duration.parse(str(Duration(value))) == Duration(value)


@given(st.integers(1, 10**9))
def test_a_length_in_samples_reads_back_exactly(count: int) -> None:
    assert Duration.parse(str(Duration(count, "samples"))) == Duration(count, "samples")


@given(st.integers(1, 10**6), st.integers(1, 10**5))
def test_samples_and_seconds_agree(count: int, rate: int) -> None:
    seconds = Duration(count, "samples").seconds(rate)
    assert Duration(seconds).samples(rate) == count
    assert Duration(count, "samples").samples(rate) == count


@pytest.mark.parametrize(
    "text", ["0 s", "-1 ms", "0 samples", "1.5 samples", "1", "s", "", "1 sec", "1e999 s", "1 s s"]
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(Mismatch):
        Duration.parse(text)


def test_no_length_is_zero_or_endless_in_python_either() -> None:
    for value in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(Mismatch, match="above zero"):
            Duration(value)


@pytest.mark.parametrize(
    ("value", "hint", "coerced"),
    [
        (3, int, 3), (3, float, 3.0), ("x", str, "x"), (False, bool, False), (None, int | None, None),
        ([1, 2], tuple[int, ...], (1, 2)), ([1, 2.5], tuple[int, float], (1, 2.5)),
        ({"a": [1]}, dict[str, list[int]], {"a": (1,)}),
        ("b", Literal["a", "b"], "b"), (2, Literal[1, 2], 2), ("1", int | str, "1"), (1, int | str, 1),
        ("5 samples", int | Duration, Duration(5, "samples")),
        ("20 Hz", Annotated[str, "note"], "20 Hz"), ({}, Any, {}),
    ],
)  # fmt: skip
def test_coerce(value: Any, hint: Any, coerced: Any) -> None:
    result = coerce(value, hint, text=True)
    assert result == coerced
    assert type(result) is type(coerced)


@pytest.mark.parametrize(
    ("value", "hint", "message", "path"),
    [
        (True, int, "expected a whole number, got true", ()),
        (1.0, int, "expected a whole number, got 1.0", ()),
        (True, float, "expected a number, got true", ()),
        ("1", float, "expected a number, got '1'", ()),
        (1, bool, "expected true or false, got 1", ()),
        (1, str, "expected text, got 1", ()),
        (True, Literal[1], "'True' is not one of: 1", ()),
        ("ab", tuple[str, ...], "expected a list, each text, got 'ab'", ()),
        ([1, "x"], tuple[int, ...], "expected a whole number, got 'x'", (1,)),
        ([1], tuple[int, int], "expected 2 values, got 1", ()),
        ({"a": [1, None]}, dict[str, tuple[int, ...]], "expected a whole number, got nothing", ("a", 1)),
        ([1], dict[str, int], "expected a mapping, got a list", ()),
        ({}, int | str, "expected a whole number or text, got a mapping", ()),
        (["x"], tuple[int, ...] | Literal["none"], "expected a whole number, got 'x'", (0,)),
    ],
)
def test_mismatch(value: Any, hint: Any, message: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(Mismatch) as caught:
        coerce(value, hint, text=True)
    assert str(caught.value) == message
    assert caught.value.path == path


@frozen
class Thing:
    low: Hz
    size: Duration = Duration(0.2)
    names: tuple[str, ...] = ()
    limit: Volts | None = None


def test_frozen_classes_coerce_in_python() -> None:
    thing = Thing(low="20 Hz", size=1.5, names=["a"], limit="2 mV")  # type: ignore[arg-type]
    assert thing == Thing(20.0, Duration(1.5), ("a",), 0.002)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        thing.low = 3.0  # type: ignore[misc]
    with pytest.raises(Mismatch) as caught:
        Thing(low=1, names=["a", 2])  # type: ignore[list-item]
    assert caught.value.path == ("names", 1)


hints: list[Any] = [
    Hz, Seconds, Volts, Duration, int, float, str, bool, Hz | None, Literal["a", "b"], tuple[int, ...],
    tuple[float, float], dict[str, int], int | Duration, tuple[int | str, ...] | Literal["none"] | None,
]  # fmt: skip
samples = st.sampled_from(
    [
        None,
        True,
        0,
        3,
        -2,
        0.5,
        "a",
        "none",
        "20 Hz",
        "3 mV",
        "200 ms",
        "5 samples",
        "x y",
        [],
        [1],
        [1, 2.5],
        ["a", 1],
        {},
        {"a": 1},
    ]
)


@pytest.mark.parametrize("hint", hints, ids=describe)
@given(value=samples)
def test_schema_and_coerce_agree(hint: Any, value: Any) -> None:
    """What an editor accepts is what the loader accepts, over samples of every kind."""
    try:
        coerce(value, hint, text=True)
        accepted = True
    except Mismatch:
        accepted = False
    assert jsonschema.Draft202012Validator(json_schema(hint)).is_valid(value) == accepted


@pytest.mark.parametrize("hint", hints, ids=describe)
@given(value=samples)
def test_plain_reads_back(hint: Any, value: Any) -> None:
    try:
        coerced = coerce(value, hint, text=True)
    except Mismatch:
        return
    assert coerce(plain(coerced, hint), hint, text=True) == coerced
