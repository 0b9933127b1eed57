"""JSON Schema of the recipe language: what it accepts is what the loader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from myoflow import library
from myoflow.language.document import parse
from myoflow.language.schema import note, recipe_schema, summary
from myoflow.recipe import Train, load
from myoflow.stage import STAGES
from myoflow.typed import hints_of
from tests.test_recipe_errors import BROKEN, GOOD


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return recipe_schema()


@pytest.fixture(scope="module")
def check(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema)


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("name", library.names("recipes"))
def test_shipped_recipes_are_valid_bare_and_filled(name: str, check: jsonschema.Draft202012Validator) -> None:
    check.validate(parse(library.find("recipes", name).read_text(), name).value)
    check.validate(parse(load(name).dump(), name).value)


def test_every_stage_and_field_is_there_and_explained(schema: dict[str, Any]) -> None:
    for name in STAGES:
        definition = schema["$defs"][f"stage.{name}"]
        assert set(definition["properties"]) == {*hints_of(STAGES[name]), "backend"}
        assert definition["additionalProperties"] is False
        assert len(definition["description"]) > 20


# What a schema cannot know: relations between values, other files, duplicates that parsing has removed.
BEYOND = {
    "overlapping split", "overlap with another spelling", "unit twice", "folds with test", "too few folds",
    "nothing held out", "backward range", "bad range", "limits between fields", "above the limit", "unknown dataset",
    "dataset file that is not there", "unknown label", "duplicate key", "duplicate section", "tag", "anchor",
    "list as a key", "bad extends", "extends a missing file", "extends itself", "negative length", "half a sample",
    "not a finite number",
}  # fmt: skip
NOT_YAML = {
    "unclosed bracket", "unclosed brace", "unclosed quote", "wrong indent", "missing colon", "tab", "second document",
    "control character",
}  # fmt: skip


@pytest.mark.parametrize("case", [name for name in BROKEN if name not in BEYOND | NOT_YAML])
def test_broken_recipes_are_invalid(case: str, check: jsonschema.Draft202012Validator) -> None:
    old, new, _ = BROKEN[case]
    assert check.is_valid(parse(GOOD, "x").value)
    assert not check.is_valid(parse(GOOD.replace(old, new), "x").value)


def test_a_variant_need_not_be_complete(check: jsonschema.Draft202012Validator) -> None:
    assert check.is_valid({"extends": "quickstart", "train": None, "baselines": {"lda": None}})
    assert check.is_valid({"extends": "quickstart", "data": {"splice": True}})
    assert not check.is_valid({"extends": "quickstart", "data": {"splice": 1}})
    assert not check.is_valid({"train": {}})


def test_descriptions_come_from_docstrings() -> None:
    assert summary(Train).startswith("How the learned stages are trained")
    assert note(Train, "warmup") == "`warmup` is a share of all steps."
    assert note(Train, "lr") == ""
    assert "Raises" not in summary(type(load("quickstart").data.split))


def test_the_cli_writes_it(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from myoflow.cli import app

    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "myoflow recipe"
