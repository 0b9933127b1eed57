"""YAML to values and places, and values to YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from myoflow.errors import InputError, Position, RecipeError
from myoflow.language.document import MAX_DEPTH, emit, flow, parse, read, resolve, scalar, shown

TEXT = """\
# a comment
data: {dataset: uci, split: {test: [1, 25..30]}}
pipeline:
  - bandpass:
      low: 20 Hz
  - rectify
  - notch:
"""


def test_values_and_places() -> None:
    document = parse(TEXT, "x.yaml")
    assert document.value == {
        "data": {"dataset": "uci", "split": {"test": [1, "25..30"]}},
        "pipeline": [{"bandpass": {"low": "20 Hz"}}, "rectify", {"notch": None}],
    }
    assert document.key_at(("data",)) == Position("x.yaml", 2, 1)
    assert document.value_at(("data",)) == Position("x.yaml", 2, 7)
    assert document.key_at(("data", "split", "test")) == Position("x.yaml", 2, 30)
    assert document.value_at(("data", "split", "test", 1)) == Position("x.yaml", 2, 40)
    assert document.key_at(("pipeline", 0, "bandpass", "low")) == Position("x.yaml", 5, 7)
    assert document.value_at(("pipeline", 0, "bandpass", "low")) == Position("x.yaml", 5, 12)
    assert document.key_at(("pipeline", 1)) == Position("x.yaml", 6, 5)
    assert document.value_at(("pipeline", 2, "notch")) == Position("x.yaml", 7, 5)  # nothing there: the key


def test_what_has_no_place_takes_that_of_what_is_around_it() -> None:
    document = parse(TEXT, "x.yaml")
    assert document.value_at(("pipeline", 2, "notch", "freq")) == Position("x.yaml", 7, 5)
    assert document.value_at(("nothing",)) == Position("x.yaml", 2, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    # YAML 1.2.2, section 10.3.2, and what 1.1 would have made of some
    [
        ("null", None), ("~", None), ("", None), ("true", True), ("FALSE", False), ("yes", "yes"), ("off", "off"),
        ("12", 12), ("-3", -3), ("012", 12), ("0o14", 12), ("0xC", 12), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("1.", 1.0), (".5", 0.5), ("1e-3", 0.001), ("5E4", 50000.0), ("-.inf", float("-inf")),
        ("2020-01-01", "2020-01-01"),
        ("25..30", "25..30"), ("20 Hz", "20 Hz"), ("0b1", "0b1"), ("1e", "1e"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: Any) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_quotes_make_text() -> None:
    assert parse("""{a: "12", b: 'true', c: "null"}""", "x").value == {"a": "12", "b": "true", "c": "null"}


def test_duplicate_keys_keep_the_first_and_its_place() -> None:
    document = parse("a: {b: 1}\nc: 2\na:\n  b: 3\n", "x")
    assert document.value == {"a": {"b": 1}, "c": 2}
    assert document.value_at(("a", "b")) == Position("x", 1, 8)
    assert [str(p) for p in document.problems] == ["x:3:1: duplicate key 'a'; it stands on line 1 already"]


def test_an_alias_bomb_stays_small() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))]
    document = parse("\n".join(lines), "x")
    assert len(document.problems) > 50
    assert all("anchors and aliases" in p.message for p in document.problems)


def test_nesting_is_bounded() -> None:
    with pytest.raises(RecipeError, match=rf"^x:1:{MAX_DEPTH + 2}: nested deeper than 40 levels$"):
        parse("[" * 5000, "x")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_in_one_line(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except RecipeError as error:
        assert len(str(error).splitlines()) == 1
        assert error.problems[0].position is not None


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain_values, max_size=4))
def test_what_is_emitted_reads_back_equal(value: dict[str, Any]) -> None:
    assert parse(emit(value), "x").value == value
    assert parse(flow(value), "x").value == value


@pytest.mark.parametrize(
    "text", ["yes", "1e3", "012", "null", "a: b", "- x", "#", "µV", "x\u2028y", "\U0001f600", " x "]
)
def test_another_yaml_library_reads_the_same_text(text: str) -> None:
    assert YAML(typ="safe", pure=True).load(f"key: {scalar(text)}\n") == {"key": text}


def test_emit_is_made_for_reading() -> None:
    value = {
        "train": {"lr": 1e-3, "seeds": [0, 1]},
        "pipeline": ["rectify", {"notch": {"freq": "50 Hz"}}],
        "backend": None,
    }
    assert emit(value) == (
        "train:\n  lr: 0.001\n  seeds: [0, 1]\npipeline:\n  - rectify\n  - notch: {freq: 50 Hz}\nbackend: null\n"
    )


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")  # a byte-order mark and Windows line ends
    document = read(tmp_path / "x.yaml")
    assert document.value == {"a": 1, "b": 2}
    assert document.key_at(("b",)) == Position("x.yaml", 2, 1)
    assert shown(Path("/elsewhere/x.yaml")) == "/elsewhere/x.yaml"
    with pytest.raises(InputError, match=r"^cannot read missing\.yaml: No such file"):
        read(tmp_path / "missing.yaml")
