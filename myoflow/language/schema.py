"""Schema: the recipe language as JSON Schema, for completion and hints in editors (`myoflow schema`)."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args, get_origin

import attrs

from myoflow import library
from myoflow.card import load_card
from myoflow.recipe import DEFAULT_TASK, Also, Calibrate, Data, Recipe, Train
from myoflow.split import Split
from myoflow.stage import STAGES, Stage
from myoflow.task import TASKS
from myoflow.typed import hints_of, json_schema, plain

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]

# What decides a file's top level: the sections that must stand in it unless it extends another.
NEEDED = ("data", "pipeline")


def recipe_schema() -> Json:
    """JSON Schema (draft 2020-12) of a recipe file, with every stage that is registered here.

    It describes form: names, types, units, fixed choices. What depends on several values (a window that no patch
    divides) is for `myoflow check`.
    """
    own = hints_of(Recipe)
    properties: Json = {
        "extends": {"type": "string", "description": "A recipe's name, or a path relative to this file."},
        "name": {"type": "string", "description": "What runs and reports call it; default the file's name."},
        "title": {"type": "string", "description": "One line for the report."},
        "protocol": {**json_schema(own["protocol"]), "default": "strict"},
        "data": {"$ref": "#/$defs/data"},
        "pipeline": {"$ref": "#/$defs/stages", "description": "Stages in the order of the signal."},
        "baselines": {
            "type": "object",
            "description": "Other chains behind the same windows, by name.",
            "additionalProperties": {"anyOf": [{"$ref": "#/$defs/stages"}, {"type": "null"}]},
        },
        "heads": {
            "type": "object",
            "description": "Chains of learned stages behind the pipeline's last one, by name, trained together.",
            "additionalProperties": {"anyOf": [{"$ref": "#/$defs/stages"}, {"type": "null"}]},
        },
        "train": {"anyOf": [{"$ref": "#/$defs/train"}, {"type": "null"}]},
        "evaluate": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": _metrics()}},
        "calibrate": {"anyOf": [_section(Calibrate), {"type": "null"}]},
        "backend": {"anyOf": [_backend(), {"type": "null"}], "description": "Where all stages run that can."},
    }
    complete = {"required": list(NEEDED), "properties": {"data": {"required": _required(Data)}}}
    return {
        "$schema": DIALECT,
        "title": "myoflow recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": {"required": ["extends"]},
        "else": complete,
        "$defs": {"data": _data(), "train": _train(), "stages": _stages(), **_stage_definitions()},
    }


def stage_schema(cls: type[Stage]) -> Json:
    """JSON Schema of one stage's fields."""
    schema = _section(cls)
    schema["properties"]["backend"] = {**_backend(), "description": "Where this stage runs."}
    return {**schema, "required": _required(cls)} if _required(cls) else schema


def _section(cls: type) -> Json:
    """An attrs class: fields, defaults, and what its docstring says of it and of each field."""
    hints = hints_of(cls)
    properties = {}
    for field in attrs.fields(cls):
        if field.metadata.get("internal"):
            continue
        schema = _limits(field, json_schema(hints[field.name]))
        if field.default is not attrs.NOTHING and not hasattr(field.default, "factory"):
            schema["default"] = plain(field.default, hints[field.name])
        said = note(cls, field.name)
        properties[field.name] = {**schema, "description": said} if said else schema
    return {
        "type": "object",
        "description": summary(cls),
        "properties": properties,
        "additionalProperties": False,
    }


def summary(cls: type) -> str:
    """A class's docstring without its indents and its list of errors, one line a paragraph."""
    text = inspect.cleandoc(cls.__doc__ or "").split("\nRaises:")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def note(cls: type, field: str) -> str:
    """What a class's docstring says of one field: the sentences that name it as `field`."""
    sentences = re.split(r"(?<=[.;])\s+(?=[A-Z`(-])|\n\n", summary(cls))
    return " ".join(sentence for sentence in sentences if f"`{field}`" in sentence or f"`{field}:" in sentence)


def _required(cls: type) -> list[str]:
    return [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]


def _limits(field: Any, schema: Json) -> Json:
    """A schema with the bounds of attrs' own number validators."""
    keys = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
    queue = [field.validator] if field.validator is not None else []
    while queue:
        validator = queue.pop()
        queue += getattr(validator, "_validators", ())
        inner = getattr(validator, "validator", None)
        queue += [inner] if inner is not None else []
        bound, operator = getattr(validator, "bound", None), getattr(validator, "compare_op", None)
        if bound is not None and operator in keys:
            targets = [s for s in schema.get("anyOf", [schema]) if s.get("type") in ("number", "integer")]
            for target in targets:
                target[keys[operator]] = bound
    return schema


def _data() -> Json:
    schema = _section(Data)
    names = library.names("datasets")
    schema["properties"]["dataset"] = {"anyOf": [{"enum": names}, {"type": "string"}]}
    split = _section(Split)
    for name in ("train", "valid", "test"):
        items = [option for option in get_args(hints_of(Split)[name]) if get_origin(option) is tuple]
        unit = {**json_schema(items[0]), "minItems": 1, "examples": [["25..30"]]}
        others = [{"enum": ["none"]}] if name == "valid" else []
        split["properties"][name] = {"anyOf": [unit, *others, {"type": "null"}]}
    splits = sorted({split for name in names for split in load_card(name).splits})
    schema["properties"]["split"] = {
        "anyOf": [split, {"enum": splits, "description": "A split of the dataset's card."}]
    }
    also = _section(Also)
    also["properties"]["split"] = {"anyOf": [split, {"type": "null"}]}
    schema["properties"]["also"]["additionalProperties"] = also
    return schema


def _train() -> Json:
    """Fields of every training, and those of each task, which another task may not have."""
    schema = _section(Train)
    schema["properties"]["task"] = {"enum": list(TASKS), "default": DEFAULT_TASK, "description": "What is learned."}
    own = {name: _section(TASKS[name])["properties"] for name in TASKS}
    every = {field: found for fields in own.values() for field, found in fields.items()}
    schema["properties"] |= {field: {} for field in every}
    schema["allOf"] = []
    for name, fields in own.items():
        properties = {field: fields.get(field, False) for field in every}
        chosen: Json = {"properties": {"task": {"const": name}}}
        if name != DEFAULT_TASK:
            chosen["required"] = ["task"]
        schema["allOf"].append({"if": chosen, "then": {"properties": properties}})
    return schema


def _metrics() -> list[str]:
    return list(dict.fromkeys(metric for name in TASKS for metric in TASKS[name].measures))


def _backend() -> Json:
    return {"anyOf": [{"enum": library.names("backends")}, {"type": "string", "pattern": r"\.ya?ml$"}]}


def _stages() -> Json:
    """A list of stages: a bare name where no field is required, or a mapping of one name to its fields."""
    bare = [name for name in STAGES if not _required(STAGES[name])]
    properties = {}
    for name in STAGES:
        reference: Json = {"$ref": f"#/$defs/stage.{name}"}
        properties[name] = {"anyOf": [reference, {"type": "null"}]} if name in bare else reference
    item = {
        "anyOf": [
            {"enum": bare},
            {
                "type": "object",
                "properties": properties,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    return {"type": "array", "minItems": 1, "items": item}


def _stage_definitions() -> Json:
    return {f"stage.{name}": stage_schema(STAGES[name]) for name in STAGES}
