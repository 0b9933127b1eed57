"""textgrid: interval tiers of Praat's TextGrid text files, in their long or short form."""

from __future__ import annotations

import re
from collections.abc import Iterator

from myoflow.errors import InputError

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<(\w+)>|(?<![^\s=])([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)')
_MOST = 1_000_000

Interval = tuple[int, float, float, str]  # line, begin, end (s), text


def tiers_of(data: bytes, where: str) -> dict[str, list[Interval]]:
    """Intervals of each tier by its name; points are passed over.

    Both forms hold the same values in the same order; the long one puts names before them, which are skipped.

    Raises:
        InputError: it is no TextGrid, or its intervals do not join on; names the line.
    """
    text = _decoded(data, where)
    tokens = _Tokens(text, where)
    if tokens.word() not in ("ooTextFile", "ooTextFile short") or tokens.word() != "TextGrid":
        raise InputError(f"{where}:1: is no TextGrid")
    tokens.number(), tokens.number()
    if tokens.flag() != "exists":
        return {}
    tiers: dict[str, list[Interval]] = {}
    for _ in range(tokens.count()):
        kind, name = tokens.word(), tokens.word()
        tokens.number(), tokens.number()
        rows: list[Interval] = []
        for _ in range(tokens.count()):
            begin = tokens.number()
            if kind != "IntervalTier":
                tokens.word()
                continue
            line, end, label = tokens.line, tokens.number(), tokens.word()
            if not end > begin or begin < (rows[-1][2] - 1e-6 if rows else 0):
                raise InputError(f"{where}:{line}: tier {name}: {begin:g} to {end:g} s does not follow what is before")
            rows.append((line, begin, end, label.strip()))
        if kind == "IntervalTier":
            tiers[name] = rows
    return tiers


def _decoded(data: bytes, where: str) -> str:
    if not data:
        raise InputError(f"{where}: the file is empty; expected a TextGrid")
    encoding = "utf-16" if data[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: is not plain text (byte 0x{data[error.start]:02x})") from error


class _Tokens:
    """Texts, flags and numbers in their order."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.line = 1
        self._text = text
        self._at = 0
        self._matches: Iterator[re.Match[str]] = _TOKEN.finditer(text)

    def _next(self, group: int, what: str) -> str:
        match = next(self._matches, None)
        at = match.start() if match else len(self._text)
        self.line += self._text.count("\n", self._at, at)
        self._at = at
        if match is None:
            raise InputError(f"{self.where}:{self.line}: ends where {what} is due; the file is cut off")
        if match[group] is None:
            raise InputError(f"{self.where}:{self.line}: expected {what}, found {match[0][:40]}")
        return match[group]

    def word(self) -> str:
        return self._next(1, "a text in quotes").replace('""', '"')

    def flag(self) -> str:
        return self._next(2, "<exists>")

    def number(self) -> float:
        return float(self._next(3, "a number"))

    def count(self) -> int:
        value = self.number()
        if not (0 <= value <= _MOST and value == int(value)):
            raise InputError(f"{self.where}:{self.line}: {value:g} is no number of entries")
        return int(value)
