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
_MOST_HEAD = 60  # lines of remarks that may stand above the numbers


@FORMATS.add("csv")
class Delimited(Format):
    """A table of numbers, a row per sample; remarks and one line of names may stand above it.

    A column called time, timestamp, t or X[s] is the clock: where it is even it gives the rate. A unit in brackets
    behind a name, `EMG (mV)`, is that channel's. Values are taken as they are; whole numbers stay whole.
    """

    suffixes = (".csv", ".tsv", ".txt", ".dat", ".asc")
    rank = 0
    what = "a table of numbers in text"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        content = text.decode(file.read(), file.where)
        lines = content.split("\n", _MOST_HEAD)[:_MOST_HEAD]
        start = _first_row(lines)
        if start is None:
            raise InputError(f"{file.where}:1: no line of numbers among the first {len(lines)}")
        separator = text.separator_of(lines[start:])
        columns = len(text.cells(lines[start], separator))
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


def _first_row(lines: list[str]) -> int | None:
    """The first line of numbers that has as many fields as most such lines: a remark may be a number, too."""
    numeric = [i for i, line in enumerate(lines) if _numeric(line)]
    if not numeric:
        return None
    separator = text.separator_of([lines[i] for i in numeric])
    counts = [len(text.cells(lines[i], separator)) for i in numeric]
    return numeric[counts.index(max(set(counts), key=counts.count))]


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
