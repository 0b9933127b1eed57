"""Extend: a recipe's base (`extends:`) and its command-line overrides, merged with every place kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from myoflow import library
from myoflow.errors import InputError, Problem, RecipeError, did_you_mean
from myoflow.language.document import Document, Place, Trail, parse, problem, read


class _Removed(Enum):
    REMOVED = "removed"


# Stands where a later file or an override wrote null over an inherited value.
REMOVED = _Removed.REMOVED

# Names that belong to one file and are never inherited.
OWN = ("extends", "name", "title")

_STEP = re.compile(r"[A-Za-z0-9_-]+")


def inherit(path: Path, _seen: tuple[Path, ...] = ()) -> Document:
    """The document at `path`, laid over the one that it `extends`, and so on down.

    Mappings merge key by key; lists, `pipeline` among them, are replaced; null removes what was inherited.
    Inherited values keep their place in the base's file.

    Raises:
        InputError: a file cannot be read.
        RecipeError: a file is not YAML, or `extends` is wrong.
    """
    document = read(path)
    if not isinstance(document.value, dict):
        what = "the file is empty" if document.value is None else "expected sections (data:, pipeline:, ...) at the top"
        raise RecipeError([problem(f"{what}; `myoflow cp quickstart` gives a recipe to start from", _top(document))])
    if "extends" not in document.value:
        return document
    place = document.value_at(("extends",))
    seen = (*_seen, path.resolve())
    base_path = _base(document.value["extends"], path, place)
    if base_path.resolve() in seen:
        circle = " -> ".join(p.name for p in (*seen, base_path.resolve()))
        raise RecipeError([problem(f"extends goes in a circle: {circle}", place)])
    base = inherit(base_path, seen)
    for key in OWN:
        base.value.pop(key, None)
        base.forget((key,))
    return _merge(base, document)


def _top(document: Document) -> Place:
    return document.values.get((), document.value_at(()))


def _base(name: Any, path: Path, place: Place) -> Path:
    """File that `extends: name` in `path` means: relative to that file, else a recipe's name."""
    if not isinstance(name, str):
        raise RecipeError([problem("extends takes a recipe's name or a path relative to this file", place)])
    beside = path.parent / name
    if beside.suffix in (".yaml", ".yml"):
        if beside.is_file():
            return beside
        raise RecipeError([problem(f"extends: there is no file '{name}' beside this one", place)])
    try:
        found = library.find("recipes", name)
    except InputError as error:
        raise RecipeError([problem(f"extends: {error}", place)]) from None
    shipped = library.root() / "recipes" / f"{name}.yaml"
    # A user's recipe may extend the shipped one that it hides.
    return shipped if shipped.is_file() and found.resolve() == path.resolve() else found


def _merge(base: Document, top: Document) -> Document:
    out = Document(top.file, base.value, base.keys, base.values, [*base.problems, *top.problems])
    out.values[()] = _top(top)
    _lay((), out.value, top.value, out, top)
    return out


def _lay(trail: Trail, below: dict[str, Any], above: Mapping[str, Any], out: Document, top: Document) -> None:
    for key, value in above.items():
        here = (*trail, key)
        inherited = below.get(key)
        if isinstance(value, dict) and isinstance(inherited, dict):
            out.keys[here], out.values[here] = top.keys[here], top.values[here]
            _lay(here, inherited, value, out, top)
            continue
        out.forget(here)
        for places, known in ((out.keys, top.keys), (out.values, top.values)):
            places.update({t: place for t, place in known.items() if t[: len(here)] == here})
        below[key] = REMOVED if value is None and key in below else value


def override(document: Document, text: str) -> None:
    """Apply `section.field=value` to a document, in place; the value is YAML.

    A stage is named by its name, or by its index from 0: `pipeline.bandpass.low=30 Hz`, `pipeline.2.low=30 Hz`;
    `pipeline.notch=null` takes it out.

    Raises:
        RecipeError: it is no override, or names nothing that can be there. The message starts with `text`.
    """
    name, equals, raw = text.partition("=")
    steps = name.strip().split(".")
    if not equals or not all(_STEP.fullmatch(step) for step in steps):
        raise _wrong(text, "an override is section.field=value, such as train.lr=1e-3")
    if not raw.strip():
        raise _wrong(text, "there is no value; write null to take one away")
    _assign(document, _locate(document, steps, text), _value(raw, text), text)


def _wrong(text: str, message: str) -> RecipeError:
    return RecipeError([Problem(f"{text}: {message}")])


def _value(raw: str, text: str) -> Any:
    try:
        parsed = parse(raw, text)
    except RecipeError as error:
        raise _wrong(text, error.problems[0].message) from None
    if parsed.problems:
        raise _wrong(text, parsed.problems[0].message)
    return parsed.value


def _locate(document: Document, steps: Sequence[str], text: str) -> Trail:
    """The trail that an override's steps mean; a stage is two steps, its index and its name."""
    node: Any = document.value
    trail: Trail = ()
    for number, step in enumerate(steps):
        so_far = ".".join(steps[:number])
        if isinstance(node, list):
            if not _holds_stages(trail):
                raise _wrong(text, f"{so_far} is a list; give the whole list")
            index = _stage(node, step, so_far, text)
            name = _name(node[index])
            if not isinstance(node[index], dict):
                node[index] = {name: None}
            trail = (*trail, index, name)
            node = node[index][name]
        elif isinstance(node, dict) or node is None or node is REMOVED:
            trail = (*trail, step)
            node = node.get(step) if isinstance(node, dict) else None
        else:
            raise _wrong(text, f"{so_far} has no fields")
    return trail


def _assign(document: Document, trail: Trail, value: Any, text: str) -> None:
    """Put a value at a trail; sections on the way to it are made where they are missing."""
    if value is None and _holds_stages(trail[:-2]):
        value, trail = REMOVED, trail[:-1]
    node: Any = document.value
    step: Any
    for number, step in enumerate(trail[:-1], 1):
        child = node[step] if isinstance(node, list) else node.get(step)
        if child is None or child is REMOVED:
            child = node[step] = {}
            document.keys.setdefault(trail[:number], text)
            document.values[trail[:number]] = document.keys[trail[:number]]
        node = child
    last: Any = trail[-1]
    node[last] = REMOVED if value is None and last in node else value
    document.forget(trail)
    document.keys[trail] = document.values[trail] = text


def _holds_stages(trail: Trail) -> bool:
    return trail == ("pipeline",) or (len(trail) == 2 and trail[0] == "baselines")


def _name(item: Any) -> str:
    if isinstance(item, dict) and item:
        return str(next(iter(item)))
    return item if isinstance(item, str) else ""


def _stage(items: list[Any], step: str, so_far: str, text: str) -> int:
    """Index of the stage that one step of an override means."""
    names = [_name(item) for item in items]
    if step.isdigit():
        if int(step) < len(items) and names[int(step)]:
            return int(step)
        raise _wrong(text, f"{so_far} has {len(items)} stages, numbered from 0")
    found = [i for i, name in enumerate(names) if name == step]
    if len(found) == 1:
        return found[0]
    if not found:
        known = [name for name in names if name]
        raise _wrong(
            text, f"{so_far} has no stage '{step}'{did_you_mean(step, known) or '.'} Stages: {', '.join(known)}"
        )
    choices = " or ".join(f"{so_far}.{i}" for i in found)
    raise _wrong(text, f"{so_far} has {len(found)} stages '{step}'; write {choices}")
