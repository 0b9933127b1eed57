"""csv: numbers in columns, separated by comma, semicolon, tab or spaces, with or without a line of names."""

from __future__ import annotations

import re

import numpy as np

from myoflow.errors import InputError
from myoflow.formats import clock, text
from myoflow.formats.base import FORMATS, Beside, Format, Signals, compact, plain, unique
from myoflow.readers.source import File

_UNIT = re.compile(r"^(.*?)\s*[\[(]\s*(V|mV|uV|µV|μV|nV|g|Hz|m/s2|deg|s|ms)\s*[\])]\s*$")
_DECIMAL = re.compile(r"^[+-]?\d+,\d+$")
_WHOLE = re.compile(r"^[+-]?\d+$")
_COMMAS = "A comma parts columns unless tab or semicolon does; write decimal points, or name every column"
_MOST_HEAD = 60  # lines of remarks that may stand above the numbers


@FORMATS.add("csv")
class Delimited(Format):
    """A table of numbers, a row per sample; remarks and one line of names may stand above it.

    A column called time, timestamp, t or X[s] is the clock: where it is even it gives the rate. A unit in brackets
    behind a name, `EMG (mV)`, is that channel's. Values are taken as they are; whole numbers stay whole.
    A comma is a decimal one only beside another separator, or in quotes; else it parts columns, and a line of half as
    many names above them is refused.
    """

    suffixes = (".csv", ".tsv", ".txt", ".dat", ".asc")
    rank = 0
    what = "a table of numbers in text"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        content = text.decode(file.read(), file.where)
        lines = content.split("\n", _MOST_HEAD)[:_MOST_HEAD]
        start = _first_row(lines, file.where)
        if start is None:
            raise InputError(f"{file.where}:1: no line of numbers among the first {len(lines)}")
        separator = text.separator_of(lines[start:])
        columns = len(text.cells(lines[start], separator))
        if separator == ",":
            _refuse_doubt(lines, start, columns, file.where)
        names = _names(lines[:start], separator, columns)
        numbers = text.table(content, file.where, separator, start, columns)
        times = next((i for i, name in enumerate(names) if clock.time_factor(name) is not None), None)
        kept = [i for i in range(columns) if i != times]
        if not kept:
            raise InputError(f"{file.where}: its only column is the time")
        found = [_UNIT.match(names[i]) for i in kept]
        channels = [match[1] if match else names[i] for i, match in zip(kept, found, strict=True)]
        units = [match[2].replace("μ", "u").replace("µ", "u") if match else "" for match in found]
        values = compact(numbers[:, kept].T)
        if times is None:
            return plain(channels, None, units, values)
        stamps = clock.seconds(numbers[:, times], clock.time_factor(names[times]) or 1.0)
        rate = clock.even_rate(stamps)
        ones = np.ones(len(kept))
        uneven = stamps if rate is None else None
        return Signals(unique(channels), rate, tuple(units), values, ones, time_s=uneven)


def _first_row(lines: list[str], where: str) -> int | None:
    """The first line of numbers that has as many fields as most such lines: a remark may be a number, too."""
    numeric = [i for i, line in enumerate(lines) if _numeric(line)]
    if not numeric:
        return None
    separator = text.separator_of([lines[i] for i in numeric])
    counts = [len(text.cells(lines[i], separator)) for i in numeric]
    usual = max(dict.fromkeys(counts), key=counts.count)  # of as many the first
    first = counts.index(usual)
    for i, count in zip(numeric[:first], counts[:first], strict=True):
        if count > usual:  # no remark, but a row that is longer than most
            comma = f". {_COMMAS}" if separator == "," else ""
            raise InputError(f"{where}:{i + 1}: has {count} fields, most lines have {usual}{comma}")
    return numeric[first]


def _refuse_doubt(lines: list[str], start: int, columns: int, where: str) -> None:
    """Raise InputError where commas may be decimal ones: whole numbers in pairs below half as many names."""
    rows = [text.cells(line, ",") for line in lines[start:] if line.strip()]
    above = next((line for line in reversed(lines[:start]) if line.strip()), "#").strip()
    if above[0] in "#%" or 2 * len(text.cells(above, ",")) != columns:
        return
    if all(_WHOLE.match(field) for row in rows for field in row):
        raise InputError(
            f"{where}:{start + 1}: '{lines[start].strip()[:40]}' is {columns} whole numbers, or {columns // 2} with "
            f"decimal commas, and the line above it does not name {columns} columns. {_COMMAS}"
        )


def _numeric(line: str) -> bool:
    fields = text.cells(line, text.separator_of([line])) if line.strip() else []
    known = [field for field in fields if field]
    return bool(known) and all(text.is_number(field) or _DECIMAL.match(field) for field in known)


def _names(head: list[str], separator: str, columns: int) -> list[str]:
    """The nearest line above the numbers with as many fields; else `column1`, `column2`, ..."""
    for line in reversed(head):
        fields = text.cells(line.lstrip("#% ").strip(), separator)
        if len(fields) == columns and line.strip():
            return [field.strip("\"' ") for field in fields]
    return [f"column{i + 1}" for i in range(columns)]
