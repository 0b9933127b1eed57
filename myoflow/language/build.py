"""Build: from a document to attrs objects by their type hints; every problem is collected with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs

from myoflow import library
from myoflow.errors import InputError, Position, Problem, RecipeError, did_you_mean
from myoflow.language.document import Document, Place, Trail, parse, problem, read
from myoflow.language.extend import REMOVED
from myoflow.stage import STAGES, Stage
from myoflow.typed import Duration, Mismatch, coerce, describe, hints_of, show

T = TypeVar("T")

# What `field` gives for a value that is wrong; the problem is on the list already.
BAD: Any = object()


@attrs.frozen
class Placed:
    """A stage as it stands in a file: where, and on which backend it was asked for."""

    stage: Stage
    backend: str | None
    trail: Trail


class Builder:
    """Reads values out of one document and collects what is wrong with them."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)
        self.meant: set[Trail] = set()  # fields that a misspelt key probably meant: not reported as missing, too

    def fail(self, message: str, place: Place) -> None:
        """Note a problem."""
        self.problems.append(problem(message, place))

    def check(self) -> None:
        """Raise RecipeError with all problems so far, this file's first, in the order of its lines."""
        if self.problems:
            found = list(dict.fromkeys(self.problems))
            raise RecipeError(sorted(found, key=lambda p: _order(p.position, self.document.file)))

    def mapping(self, value: Any, trail: Trail, label: str, known: Collection[str]) -> dict[str, Any] | None:
        """The known keys of a mapping, without removed ones. Anything else is noted, and None given for no mapping."""
        if not isinstance(value, Mapping):
            self.fail(f"{label} takes fields ({', '.join(known)}), got {show(value)}", self.document.value_at(trail))
            return None
        out = {}
        for key, item in value.items():
            if key in known:
                out[key] = item
                continue
            close = did_you_mean(key, known) or "."
            self.meant.update((*trail, name) for name in known if f"'{name}'" in close)
            fields = f"Fields: {', '.join(known)}" if known else "It has none"
            self.fail(f"{label} has no field '{key}'{close} {fields}", self.document.key_at((*trail, key)))
        return out

    def field(self, value: Any, hint: Any, trail: Trail, label: str) -> Any:
        """A value as its hint demands, or BAD."""
        try:
            return coerce(value, hint, text=True)
        except Mismatch as error:
            self.fail(f"{label}: {error}", self.document.value_at((*trail, *error.path)))
            return BAD

    def fields(
        self, value: Mapping[str, Any], hints: Mapping[str, Any], trail: Trail, prefix: str
    ) -> tuple[dict[str, Any], bool]:
        """Coerced fields of a mapping that `mapping` has cleared, and whether all were right."""
        out: dict[str, Any] = {}
        good = True
        for key, item in value.items():
            hint, here, label = hints[key], (*trail, key), f"{prefix}{key}"
            if item is REMOVED:
                if _takes_null(hint):
                    out[key] = None
            elif (cls := _section_of(hint)) is not None and (item is not None or cls is hint):
                out[key] = self.section(cls, item, here, label)
                good = good and out[key] is not None
            elif get_origin(hint) is dict and _is_section(get_args(hint)[1]):
                out[key] = self._sections(get_args(hint)[1], item, here, label)
                good = good and out[key] is not None
            else:
                out[key] = self.field(item, hint, here, label)
                good = good and out[key] is not BAD
        return out, good

    def section(self, cls: type[T], value: Any, trail: Trail, label: str) -> T | None:
        """An object of an attrs class from a mapping of its fields; None when something in it is wrong."""
        hints = {name: hint for name, hint in hints_of(cls).items() if _is_key(cls, name)}
        value = {} if value is None else value
        mine = self.mapping(value, trail, label, tuple(hints))
        if mine is None:
            return None
        values, good = self.fields(mine, hints, trail, f"{label}.")
        for name in _required(cls):
            if mine.get(name, REMOVED) is REMOVED and name not in values:
                good = False
                if (*trail, name) not in self.meant:
                    what = "a section" if _is_section(hints[name]) else describe(hints[name])
                    self.fail(f"{label} needs '{name}' ({what})", self.document.key_at(trail))
        return self._construct(cls, values, trail, label, complete=good and len(mine) == len(value))

    def _sections(self, cls: type[T], value: Any, trail: Trail, label: str) -> dict[str, T] | None:
        """Named sections of one kind."""
        named = self.field(value, dict[str, Any], trail, label)
        if named is BAD:
            return None
        found = {name: self.section(cls, item, (*trail, name), f"{label}.{name}") for name, item in named.items()}
        return {name: item for name, item in found.items() if item is not None}

    def _construct(self, cls: type[T], values: dict[str, Any], trail: Trail, label: str, *, complete: bool) -> T | None:
        """The object; when something is wrong already, only what each field's validator says of its own value."""
        failures = _each_failure(cls, values)
        if complete and not failures:
            try:
                return cls(**values)
            except (ValueError, TypeError) as error:
                failures = [error]
        for failure in failures:
            names = _blamed(cls, failure)
            where = f"{label}.{names[0]}" if names else label
            self.fail(f"{where}: {_worded(failure, names)}", self.document.value_at((*trail, *names)))
        return None

    def stages(self, value: Any, trail: Trail, label: str) -> list[Placed] | None:
        """The stages of a list; None when the list or one of them is wrong."""
        if not isinstance(value, list) or not value:
            what = "an empty list" if value == [] else show(value)
            self.fail(f"{label} takes a list of stages ('- rectify'), got {what}", self.document.value_at(trail))
            return None
        found = [self._stage(item, (*trail, i), label) for i, item in enumerate(value) if item is not REMOVED]
        good = [placed for placed in found if placed is not None]
        return good if len(good) == len(found) else None

    def _stage(self, item: Any, trail: Trail, label: str) -> Placed | None:
        if isinstance(item, str):
            item = {item: None}
        place = self.document.key_at(trail)
        if not isinstance(item, dict) or not item:
            what = "nothing" if not item else show(item)
            self.fail(f"{label}: expected a stage, such as '- rectify', got {what}", place)
            return None
        names = list(item)
        name, here = names[0], (*trail, names[0])
        if len(names) > 1:
            second = self.document.key_at((*trail, names[1]))
            if names[1] == "backend" or names[1] in _field_names(name):
                self.fail(f"'{names[1]}' belongs inside {name}: write '- {name}: {{{names[1]}: ...}}'", second)
            else:
                self.fail(f"a stage has one name, this one has {len(names)}: {', '.join(names)}", second)
            return None
        if name not in STAGES:
            close = did_you_mean(name, STAGES) or ";"
            self.fail(f"there is no stage '{name}'{close} `myoflow list stages` shows them", self.document.key_at(here))
            return None
        fields = item[name]
        backend = None
        if isinstance(fields, Mapping) and "backend" in fields:
            backend = self.named("backends", fields["backend"], (*here, "backend"), f"{name}.backend")
            fields = {key: field for key, field in fields.items() if key != "backend"}
        built = self.section(STAGES[name], fields, here, name)
        return Placed(built, None if backend is BAD else backend, here) if built is not None else None

    def named(self, shelf: library.Shelf, value: Any, trail: Trail, label: str) -> Any:
        """A name that must be on a shelf of the library, or null; BAD when it is not there."""
        name = self.field(None if value is REMOVED else value, str | None, trail, label)
        if name is None or name is BAD:
            return name
        try:
            library.find(shelf, name)
        except InputError as error:
            self.fail(f"{label}: {error}", self.document.value_at(trail))
            return BAD
        return name


def load_one(cls: type[T], path: Path, kind: str) -> tuple[T, Builder]:
    """The object that a whole file describes (a card), and the builder for checks of its values against others.

    `name` is the file's name unless it says otherwise.

    Raises:
        InputError: the file cannot be read.
        RecipeError: it is wrong, every problem with line and column.
    """
    document = read(path)
    builder = Builder(document)
    if isinstance(document.value, dict):
        document.value.setdefault("name", path.stem)
        built = builder.section(cls, document.value, (), f"{kind} {path.stem}")
    else:
        what = "the file is empty" if document.value is None else f"expected fields, got {show(document.value)}"
        builder.fail(f"{what}; see `myoflow list {kind}s` for examples", document.value_at(()))
        built = None
    builder.check()
    assert built is not None, "a builder that gives nothing has said why"
    return built, builder


def parse_stages(text: str) -> tuple[tuple[Stage, ...], tuple[str | None, ...]]:
    """Stages from YAML text, a list as under `pipeline:` (with or without that key), and each one's backend.

    Raises:
        RecipeError: with line and column in the text.
    """
    document = parse(text, "pipeline")
    builder = Builder(document)
    value, trail = document.value, ()  # type: tuple[Any, Trail]
    if isinstance(value, dict):
        builder.mapping(value, (), "the text", ("pipeline",))
        value, trail = value.get("pipeline"), ("pipeline",)
    placed = builder.stages(value, trail, "pipeline")
    builder.check()
    assert placed is not None, "a builder that gives nothing has said why"
    return tuple(p.stage for p in placed), tuple(p.backend for p in placed)


def _order(place: Position | None, first: str) -> tuple[bool, bool, str, int, int]:
    """Overrides last; the file itself before its bases."""
    if place is None:
        return (True, True, "", 0, 0)
    return (False, place.file != first, place.file, place.line, place.column)


def _is_key(cls: type, name: str) -> bool:
    field = getattr(attrs.fields(cls), name)
    return bool(field.init) and not field.metadata.get("internal", False)


def _required(cls: type) -> list[str]:
    return [f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING and _is_key(cls, f.name)]


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and attrs.has(hint) and hint is not Duration


def _section_of(hint: Any) -> Any:
    """The class of a hint that is a section, or a section or nothing; else None."""
    options = [option for option in get_args(hint) if option is not type(None)] if _is_union(hint) else [hint]
    return options[0] if len(options) == 1 and _is_section(options[0]) else None


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _takes_null(hint: Any) -> bool:
    try:
        coerce(None, hint, text=True)
    except Mismatch:
        return False
    return True


def _field_names(name: str) -> Iterable[str]:
    return hints_of(STAGES[name]) if name in STAGES else []


def _each_failure(cls: type, values: Mapping[str, Any]) -> list[Exception]:
    """What each field's own validator says of its value, since a constructor stops at the first."""
    fields = [f for f in attrs.fields(cls) if f.name in values and values[f.name] is not BAD]
    stand_in = SimpleNamespace(**{f.name: values[f.name] for f in fields})
    failures: list[Exception] = []
    for field in fields:
        if field.validator is not None:
            try:
                field.validator(stand_in, field, values[field.name])
            except AttributeError:
                continue  # it looks at a field that is not written here: the constructor will ask it
            except (ValueError, TypeError) as error:
                failures.append(error)
    return failures


def _blamed(cls: type, error: Exception) -> Trail:
    """The field (and the item in it) that an error is about, as far as it says."""
    if isinstance(error, Mismatch):
        return error.path
    for argument in error.args:
        if isinstance(argument, attrs.Attribute):
            return (argument.name,)
    names = {f.name for f in attrs.fields(cls)}
    words = re.findall(r"[A-Za-z_][A-Za-z0-9_]*", str(error.args[0]) if error.args else "")
    return next(((word,) for word in words if word in names), ())


def _worded(error: Exception, names: Trail) -> str:
    """An error's message in one line, without the field's name where it stands before it already."""
    message = " ".join(str(error.args[0] if error.args else error).split())
    found = re.fullmatch(r"'(\w+)' (must be .*?): (.*)", message)
    if found:
        return f"{found[2]}, got {found[3]}"
    if names and message.startswith(f"{names[0]} "):
        return message[len(str(names[0])) + 1 :]
    return message
