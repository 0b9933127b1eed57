"""Progress: one bar per phase that takes longer than a moment; silent in tests and in Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

Advance = Callable[[int], None]


class Progress:
    """Says what is going on. This base says nothing; `Bars` draws."""

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """A phase of `total` steps; the value given takes the number of steps done since the last call."""
        yield lambda steps: None

    def say(self, text: str) -> None:
        """One line of news."""


class Bars(Progress):
    """Bars on stderr, drawn by rich; a plain line per phase where stderr is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        if not self._console.is_terminal:
            self._console.print(title, highlight=False)
            yield lambda steps: None
            return
        columns = (
            TextColumn("{task.description:<36}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Rich(*columns, console=self._console, refresh_per_second=5) as bars:
            task = bars.add_task(title, total=total)
            yield lambda steps: bars.advance(task, steps)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


class _Logged(Progress):
    """Passes everything on, and writes what is said and which phases run to a log."""

    def __init__(self, inner: Progress, log: TextIO) -> None:
        self._inner = inner
        self._log = log

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        start = time.perf_counter()
        with self._inner.phase(title, total) as advance:
            yield advance
        self._write(f"{title}: {time.perf_counter() - start:.1f} s")

    def say(self, text: str) -> None:
        self._inner.say(text)
        self._write(text)

    def _write(self, text: str) -> None:
        self._log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")
        self._log.flush()


@contextmanager
def logged(progress: Progress, path: Path) -> Iterator[Progress]:
    """The same progress, also written to the end of a log file; an error that ends the block is written, too."""
    with path.open("a", encoding="utf-8") as log:
        told = _Logged(progress, log)
        try:
            yield told
        except BaseException as error:
            told._write(f"stopped: {type(error).__name__}: {error}")
            raise
