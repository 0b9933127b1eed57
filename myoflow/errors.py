"""Errors: what was wrong, where, and what to do; every one knows its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from attrs import frozen


class MyoflowError(Exception):
    """A run that failed for a reason we can name. Exit code 1, printed without a traceback."""

    exit_code = 1


class InputError(MyoflowError):
    """The user's input is wrong: a recipe, a file, a name, an argument. Exit code 2."""

    exit_code = 2


@frozen
class Position:
    """A place in a text file; `line` and `column` count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@frozen
class Problem:
    """One thing wrong with a recipe or a card, and where."""

    message: str
    position: Position | None = None

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" if self.position else self.message


class RecipeError(InputError):
    """Everything wrong with one recipe or card, in file order, one line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PlanError(InputError):
    """A stage cannot take what the stage before it gives. `stage` is its index in the pipeline, or in the named `head`.

    A head that is not there stands for the section `heads`.
    """

    def __init__(
        self, message: str, stage: int | None = None, field: str | None = None, head: str | None = None
    ) -> None:
        self.stage = stage
        self.field = field
        self.head = head
        super().__init__(message)


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`"; did you mean 'high'?"` when an option is close to `word`, else an empty string.

    A word that starts like exactly one option counts as close: people shorten.
    """
    names = sorted(options)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not close and len(word) >= 2:
        close = [name for name in names if name.startswith(word)][:1]
    return f"; did you mean '{close[0]}'?" if close else ""
