"""Progress: one bar per phase that takes longer than a moment; silent in tests and in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic, perf_counter
from typing import TextIO

Advance = Callable[[int], None]

_LINE_EVERY_S = 30.0  # in a file, where each stays


class Progress:
    """Says what is going on. This base says nothing; `Bars` draws."""

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """A phase of `total` steps; the value given takes the number of steps done since the last call."""
        yield lambda steps: None

    def say(self, text: str) -> None:
        """One line of news."""


class Bars(Progress):
    """Bars on stderr, drawn by rich; where stderr is not a terminal, plain lines, of a long phase every half minute."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        if not self._console.is_terminal:
            self.say(title)
            yield _Lines(title, total, self.say)
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


class _Lines:
    """An `Advance` that says now and then how far a phase is, and how long it may still take."""

    def __init__(self, title: str, total: int | None, say: Callable[[str], None]) -> None:
        self._title, self._total, self._say = title, total, say
        self._done = self._before = 0
        self._start = self._last = monotonic()

    def __call__(self, steps: int) -> None:
        self._done += steps
        now = monotonic()
        if now - self._start < 1.0:
            self._before = self._done  # what is told at once was done by an earlier run: it says nothing of the pace
        if now - self._last < _LINE_EVERY_S or self._done in (self._before, self._total):
            return
        self._last, gone = now, now - self._start
        if self._total is None:
            self._say(f"{self._title}: {self._done}, {_minutes(gone)}")
        else:
            left = gone * (self._total - self._done) / (self._done - self._before)
            self._say(f"{self._title}: {self._done}/{self._total}, {_minutes(gone)}, about {_minutes(left)} left")


def _minutes(seconds: float) -> str:
    """`7 s`, `12 min`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class _Logged(Progress):
    """Passes everything on, and writes what is said and which phases run to a log."""

    def __init__(self, inner: Progress, log: TextIO) -> None:
        self._inner = inner
        self._log = log

    @contextmanager
    def phase(self, title: str, total: int | None = None) -> Iterator[Advance]:
        start = perf_counter()
        with self._inner.phase(title, total) as advance:
            yield advance
        self._write(f"{title}: {perf_counter() - start:.1f} s")

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
