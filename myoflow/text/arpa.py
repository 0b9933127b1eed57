"""ARPA: the text file in which n-gram models are exchanged.

Toolkits differ in it: some write comments first, `<UNK>` for `<unk>`, `-inf` for a chance of nothing, or no back-off
weight where it is 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.text.ngram import BEGIN, END, NEVER, UNKNOWN, Gram, NGram

HEAD = "\\data\\"
_MARKS = {"<UNK>": UNKNOWN, "<S>": BEGIN, "</S>": END}
_BLANK = " \t\r\v\f"  # what parts words; other blanks, such as those that do not break a line, stand in words
_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)")
_SECTION = re.compile(r"\\(\d+)-grams:")


def write(model: NGram, path: Path) -> None:
    """Write a model, whole or not at all; `read` gives it back to 7 digits."""
    with beside(path) as part, part.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n")
        for n, table in enumerate(model.probability, 1):
            file.write(f"ngram {n}={len(table)}\n")
        for n, (table, weights) in enumerate(zip(model.probability, model.backoff, strict=True), 1):
            file.write(f"\n\\{n}-grams:\n")
            for gram in sorted(table):
                weight = weights.get(gram)
                last = f"\t{weight:.7f}" if weight is not None else ""
                file.write(f"{table[gram]:.7f}\t{' '.join(gram)}{last}\n")
        file.write("\n\\end\\\n")


def read(path: Path) -> NGram:
    """A model from an ARPA file.

    Raises:
        InputError: the file is no ARPA file, or its contents are not what its head announces; with file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not an ARPA file: byte {error.start} is no UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a language model as an ARPA file") from None
    return _Reader(path, lines).model()


def is_arpa(path: Path) -> bool:
    """Whether a file, whatever its name, is an ARPA model: its first lines have \\data\\."""
    try:
        with path.open(encoding="utf-8") as file:
            return any(line.strip(_BLANK + "\n") == HEAD for _, line in zip(range(100), file, strict=False))
    except (OSError, UnicodeDecodeError):
        return False


class _Reader:
    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path = path
        self.numbered: Iterator[tuple[int, str]] = (
            (number, bare) for number, line in enumerate(lines, 1) if (bare := line.strip(_BLANK))
        )
        self.last = max(1, len(lines) - (lines[-1] == ""))

    def fail(self, number: int, message: str) -> InputError:
        return InputError(f"{self.path}:{number}: {message}")

    def next(self, wanted: str) -> tuple[int, str]:
        found = next(self.numbered, None)
        if found is None:
            raise self.fail(self.last, f"the file ends where {wanted} should stand; is it cut short?")
        return found

    def model(self) -> NGram:
        began, line = self.next(HEAD)
        first = line
        while line != HEAD:  # comments
            behind = next(self.numbered, None)
            if behind is None:
                raise self.fail(began, f"not an ARPA file: it begins with {first[:40]!r}, and no line is {HEAD}")
            line = behind[1]
        announced, number, line = self.head()
        probability: list[dict[Gram, float]] = []
        backoff: list[dict[Gram, float]] = []
        for order, count in enumerate(announced, 1):
            match = _SECTION.fullmatch(line)
            if match is None or int(match[1]) != order:
                raise self.fail(number, f"expected \\{order}-grams:, found {line[:40]!r}")
            began, table, weights = number, {}, {}
            while not (line := (found := self.next("\\end\\"))[1]).startswith("\\"):
                gram, chance, weight = self.entry(found[0], line, order)
                if gram in table:
                    raise self.fail(found[0], f"'{' '.join(gram)}' stands twice")
                table[gram] = chance
                if weight is not None:
                    weights[gram] = weight
            number = found[0]
            if len(table) != count:
                raise self.fail(began, f"{len(table)} {order}-grams, but the head announces {count}")
            probability.append(table)
            backoff.append(weights)
        if line != "\\end\\":
            raise self.fail(number, f"expected \\end\\, found {line[:40]!r}")
        for weights, longer in zip(backoff, probability[1:], strict=False):
            for gram in longer:  # what is gone on from is a context, whether or not it weighs anything
                weights.setdefault(gram[:-1], 0.0)
        return NGram(tuple(probability), tuple(backoff))

    def head(self) -> tuple[list[int], int, str]:
        """How many n-grams of each order are announced, and the first line behind."""
        announced: list[int] = []
        number, line = self.next("ngram 1=")
        while match := _COUNT.fullmatch(line):
            if int(match[1]) != len(announced) + 1:
                raise self.fail(number, f"expected 'ngram {len(announced) + 1}=', found {line[:40]!r}")
            announced.append(int(match[2]))
            number, line = self.next("\\1-grams:")
        if not announced:
            raise self.fail(number, f"expected 'ngram 1=COUNT', found {line[:40]!r}")
        return announced, number, line

    def entry(self, number: int, line: str, order: int) -> tuple[Gram, float, float | None]:
        parts = [part for part in re.split(f"[{_BLANK}]", line) if part]
        if len(parts) not in (order + 1, order + 2):
            raise self.fail(number, f"expected a number, {order} words and perhaps a back-off weight: {line[:60]!r}")
        try:
            chance = float(parts[0])
            weight = float(parts[-1]) if len(parts) == order + 2 else None
        except ValueError:
            raise self.fail(number, f"{line[:60]!r} does not begin and end with numbers") from None
        if math.isnan(chance) or (weight is not None and math.isnan(weight)):
            raise self.fail(number, f"{line[:60]!r} does not begin and end with numbers")
        chance = max(chance, NEVER)
        weight = weight if weight is None else max(weight, NEVER)
        gram = tuple(_MARKS.get(part, part) for part in parts[1 : order + 1])
        if chance > 0 and gram != (BEGIN,):
            raise self.fail(number, f"a log probability above 0 ({chance:g}) for '{' '.join(gram)}'")
        return gram, chance, weight
