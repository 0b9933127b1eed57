"""Document: a YAML 1.2 file as plain Python values, with the place in the file of every key and value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from myoflow.errors import InputError, Position, Problem, RecipeError

Step = str | int
Trail = tuple[Step, ...]
# Where a value comes from: a place in a file, or the text of the command-line override that set it.
Place = Position | str

MAX_DEPTH = 40

# The core schema of YAML 1.2.2, section 10.3.2. A date is text there, `yes` is text, and 1e-3 is a number.
_NULL = re.compile(r"(?:~|null|Null|NULL)?")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BARE = re.compile(r"[A-Za-z0-9_.µ][A-Za-z0-9_.µ+/ -]*(?<! )")
# What a YAML stream may not hold raw, or would fold: C0 and C1 controls, other line breaks, surrogates, BOM.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


@attrs.define
class Document:
    """A parsed file: `value` in plain types, and the place of each key and value by its trail from the top.

    `problems` are those that did not stop the parser (duplicate keys, tags); whoever reads the document
    reports them with its own.
    """

    file: str
    value: Any
    keys: dict[Trail, Place] = attrs.Factory(dict)
    values: dict[Trail, Place] = attrs.Factory(dict)
    problems: list[Problem] = attrs.Factory(list)

    def value_at(self, trail: Trail) -> Place:
        """Place of a value, or of the nearest thing around it that has one."""
        while trail and trail not in self.values:
            trail = trail[:-1]
        return self.values.get(trail, Position(self.file, 1, 1))

    def key_at(self, trail: Trail) -> Place:
        """Place of a key (of an item, in a list), or of the nearest thing around it that has one."""
        while trail and trail not in self.keys:
            trail = trail[:-1]
        return self.keys.get(trail) or self.value_at(trail)

    def forget(self, trail: Trail) -> None:
        """Drop the places of `trail` and of everything below it."""
        for places in (self.keys, self.values):
            for known in [t for t in places if t[: len(trail)] == trail]:
                del places[known]


def problem(message: str, place: Place) -> Problem:
    """A Problem at a place in a file, or after the text of an override."""
    return Problem(message, place) if isinstance(place, Position) else Problem(f"{place}: {message}")


def resolve(text: str) -> Any:
    """The value of an unquoted scalar: None, bool, int, float or the text itself."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text) and len(text) < 1000:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def read(path: Path) -> Document:
    """Parse a YAML file.

    Raises:
        InputError: the file cannot be opened.
        RecipeError: it is not YAML, with line and column.
    """
    file = shown(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise RecipeError([Problem("not UTF-8 text; save the file as UTF-8", _end_of(before, file))]) from None
    return parse(text, file)


def shown(path: Path) -> str:
    """A path as messages print it: relative to the working folder where it is below it."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)


def _end_of(text: str, file: str) -> Position:
    return Position(file, text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


def parse(text: str, file: str) -> Document:
    """Parse YAML text; `file` is what messages call it. Any top-level value is accepted.

    Raises:
        RecipeError: one problem, at the place where the parser stopped.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    composer = _Composer(file)
    try:
        composer.run(YAML(typ="safe", pure=True).parse(text))
    except ReaderError as error:
        place = _end_of(text[: error.position], file)
        raise RecipeError([Problem("a character that YAML does not allow; remove it", place)]) from None
    except MarkedYAMLError as error:
        raise RecipeError([_syntax(error, text, file)]) from None
    except YAMLError as error:
        raise RecipeError([Problem(f"not valid YAML: {' '.join(str(error).split())}", Position(file, 1, 1))]) from None
    return composer.document


_UNCLOSED = {
    "while parsing a flow sequence": "'[' is never closed, or a comma is missing",
    "while parsing a flow mapping": "'{' is never closed, or a comma is missing",
    "while scanning a quoted scalar": "the quote is never closed",
    "while scanning a simple key": "a key without its ':'",
}
_INDENT = ("expected <block end>", "expected '<document start>'", "mapping values are not allowed")


def _syntax(error: Any, text: str, file: str) -> Problem:
    """The parser's complaint in one line, placed where the mistake is rather than where the parser noticed."""
    mark, start = error.problem_mark, error.context_mark
    mark = mark or start
    what = " ".join((error.problem or "the file ends too early").split())
    closed_otherwise = what.endswith(("got '}'", "got ']'", "got '<stream end>'"))
    if (
        start
        and error.context in _UNCLOSED
        and (closed_otherwise or start.line < mark.line or "scanning" in error.context)
    ):
        mark, what = start, _UNCLOSED[error.context]
    elif what.startswith(_INDENT):
        what = "this does not fit what stands before it; check the indent, or quote the text"
    if mark is None:
        return Problem(f"not valid YAML: {what}", Position(file, 1, 1))
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent + line[mark.column : mark.column + 1]:
        what, column = "a tab; YAML is indented with spaces only", line.index("\t")
        return Problem(what, Position(file, mark.line + 1, column + 1))
    return Problem(f"not valid YAML: {what}", Position(file, mark.line + 1, mark.column + 1))


class _Composer:
    """Parser events to values. Recursion is bounded; aliases are refused, so nothing can grow beyond the text."""

    def __init__(self, file: str) -> None:
        self.document = Document(file, None)

    def run(self, events: Iterator[Any]) -> None:
        self._events = events
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise RecipeError([Problem("a second document ('---'); one file holds one", self._place(event))])
            elif kind in ("ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"):
                self.document.values[()] = self._place(event)
                self.document.value = self._node(event, (), True)

    def _place(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self.document.file, mark.line + 1, mark.column + 1)

    def _complain(self, message: str, event: Any) -> None:
        self.document.problems.append(Problem(message, self._place(event)))

    def _node(self, event: Any, trail: Trail, keep: bool) -> Any:
        """The value that starts at `event`; `keep` false reads a value that is thrown away."""
        if len(trail) > MAX_DEPTH:
            raise RecipeError([Problem(f"nested deeper than {MAX_DEPTH} levels", self._place(event))])
        kind = type(event).__name__
        if kind == "AliasEvent" or event.anchor is not None:
            self._complain("anchors and aliases (& and *) are not part of this language; use extends", event)
            if kind == "AliasEvent":
                return None
        if event.tag is not None and event.tag != "!":
            self._complain(f"the tag '{event.tag}' is not part of this language; remove it", event)
        if kind == "MappingStartEvent":
            return self._mapping(trail, keep)
        if kind == "SequenceStartEvent":
            return self._sequence(trail, keep)
        return resolve(event.value) if event.style is None else event.value

    def _mapping(self, trail: Trail, keep: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while type(key := next(self._events)).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                self._complain("a key must be one word", key)
                self._node(key, (*trail, ""), False)
                self._node(next(self._events), (*trail, ""), False)
                continue
            name, here = key.value, (*trail, key.value)
            fresh = keep and name not in out
            if name in out:
                self._complain(f"duplicate key '{name}'; it stands on line {lines[name]} already", key)
            else:
                lines[name] = self._place(key).line
            value = next(self._events)
            if fresh:
                # The parser places a value that is not there at the next word, wherever that is.
                absent = type(value).__name__ == "ScalarEvent" and value.start_mark.index == value.end_mark.index
                self.document.keys[here] = self._place(key)
                self.document.values[here] = self._place(key if absent else value)
            item = self._node(value, here, fresh)
            out.setdefault(name, item)
        return out

    def _sequence(self, trail: Trail, keep: bool) -> list[Any]:
        out: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            here = (*trail, len(out))
            if keep:
                self.document.keys[here] = self.document.values[here] = self._place(event)
            out.append(self._node(event, here, keep))
        return out


def scalar(value: Any) -> str:
    """YAML text of one plain value; reads back equal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
    if not isinstance(value, str):
        return str(value)
    if _BARE.fullmatch(value) and resolve(value) == value:
        return value
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def flow(value: Any) -> str:
    """YAML text of a value on one line: `{low: 20 Hz, high: 90 Hz}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def emit(value: Mapping[str, Any]) -> str:
    """YAML text of a mapping: sections and lists of mappings as blocks, what is inside them on one line each."""
    return "\n".join(_block(value, depth=2) or ["{}"]) + "\n"


def _block(value: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item and depth > 1:
            lines.append(f"{scalar(key)}:")
            lines += [f"  {line}" for line in _block(item, depth - 1)]
        elif isinstance(item, (list, tuple)) and any(isinstance(i, Mapping) for i in item):
            lines.append(f"{scalar(key)}:")
            lines += [f"  - {_item(i)}" for i in item]
        else:
            lines.append(f"{scalar(key)}: {flow(item)}")
    return lines


def _item(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        [(key, item)] = value.items()
        return f"{scalar(key)}: {flow(item)}"
    return flow(value)
