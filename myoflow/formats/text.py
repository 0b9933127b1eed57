"""text: what the text formats share: encodings, separators, tables of numbers with the line of what is wrong."""

from __future__ import annotations

import io
import re

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMBER = re.compile(r"^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*$|^\s*[+-]?(?:nan|inf)\s*$", re.I)
_COMMA_NUMBER = re.compile(r"^\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*$")


def decode(data: bytes, where: str) -> str:
    """Text in UTF-8, UTF-16 with its mark, or, as old Windows programs write, CP1252. Lines end in `\\n`.

    Raises:
        InputError: empty, or not text.
    """
    if not data:
        raise InputError(f"{where}: the file is empty")
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"{where}: byte {error.start}: is not {encoding} text, as its first bytes say") from error
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        at = text.index("\0")
        raise InputError(f"{where}: byte {at}: is not text: it holds a zero byte (binary, or UTF-16 without its mark)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_number(cell: str) -> bool:
    return _NUMBER.match(cell) is not None


def cells(line: str, separator: str) -> list[str]:
    """The fields of a line, without spaces and quotes around them."""
    if separator == " ":
        return line.split()
    if '"' in line:
        import csv

        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    return [cell.strip() for cell in line.split(separator)]


def separator_of(lines: list[str]) -> str:
    """What stands between fields: the one of tab, semicolon, comma, space that gives most lines equally many fields.

    Where no line is parted by any but the comma, it parts them, too: a comma is a decimal one only beside another
    separator, or in quotes.
    """
    shown = [line for line in lines[:50] if line.strip()]
    best, most = ",", (0, 0)
    for rank, separator in enumerate(("\t", ";", ",", " ")):
        counts = [len(cells(line, separator)) for line in shown]
        usual = max(set(counts), key=lambda count: (counts.count(count), count)) if counts else 0
        score = (counts.count(usual) if usual > 1 else 0, 4 - rank)
        if score > most:
            best, most = separator, score
    if not most[0] and any(len(cells(line, ",")) > 1 for line in shown):
        return ","
    return best


def table(text: str, where: str, separator: str, start: int, columns: int) -> npt.NDArray[np.float64]:
    """The lines from number `start` (from 0) on as numbers `(row, column)`; an empty field is NaN.

    Raises:
        InputError: a line with other fields, or one that is no number; names the line, from 1.
    """
    lines = text.split("\n")[start:]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{where}: there are no numbers after line {start}")
    comma = separator != "," and any(_COMMA_NUMBER.match(cell) for cell in cells(lines[0], separator))
    body = "\n".join(lines)
    quick = separator == " " or '"' in body or body.count(separator) == (columns - 1) * len(lines)
    if quick:
        import pandas as pd

        try:
            read = pd.read_csv(
                io.StringIO(body),
                sep=r"\s+" if separator == " " else separator,
                header=None,
                dtype=np.float64,
                decimal="," if comma else ".",
                skipinitialspace=True,
                skip_blank_lines=False,
                na_values=[""],
                float_precision="round_trip",
            )
            if read.shape == (len(lines), columns):
                numbers: npt.NDArray[np.float64] = read.to_numpy(np.float64)
                return numbers
        except (ValueError, pd.errors.ParserError):
            pass  # the slow way finds the line
    return _slowly(lines, where, separator, start, columns, comma)


def _slowly(
    lines: list[str], where: str, separator: str, start: int, columns: int, comma: bool
) -> npt.NDArray[np.float64]:
    out = np.empty((len(lines), columns))
    for i, line in enumerate(lines):
        fields = cells(line, separator)
        number = start + i + 1
        if len(fields) != columns:
            last = " It is the last line; the file is cut off." if i == len(lines) - 1 and len(fields) < columns else ""
            raise InputError(f"{where}:{number}: has {len(fields)} fields, expected {columns}.{last}")
        for k, field in enumerate(fields):
            word = field.replace(",", ".") if comma else field
            if word and not is_number(word):
                raise InputError(f"{where}:{number}: field {k + 1} is '{field[:40]}', not a number")
            out[i, k] = float(word) if word else np.nan
    return out
