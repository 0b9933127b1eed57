"""jsonl: one line of JSON for everything that happens."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from myoflow.errors import InputError
from myoflow.live.lines import line_of
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.live.output import Notice, Output
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec


@SINKS.add("jsonl")
@frozen
class JsonLines(Sink):
    """JSON lines into a file, at its end; `jsonl:-` (or nothing) is the standard output.

    `{"type": "decision", "time": 1.25, "label": "fist", "scores": {...}, "latency": {...}}`; the types are start,
    decision, trajectory, features, signal, notice and end, and where a task has its own decoder event, partial (words
    so far), text (a sentence that is over) and sound. Each line is written out at once.
    """

    address: str = "-"

    def open(self, taken: Spec, given: Spec) -> Channel:
        if self.address in ("", "-"):
            return _Lines(sys.stdout, given, keep=True)
        path = Path(self.address)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _Lines(path.open("a", encoding="utf-8"), given, keep=False)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None


class _Lines(Quiet):
    def __init__(self, file: IO[str], given: Spec, keep: bool) -> None:
        self._file, self._keep = file, keep
        self._say({"type": "start", "dims": given.dims, "labels": given.labels, "channels": given.channels})

    def write(self, output: Output) -> None:
        self._say(line_of(output))

    def notice(self, notice: Notice) -> None:
        self._say({"type": "notice", "kind": notice.kind, "time": notice.at_s, "text": notice.text})

    def close(self, summary: Summary | None) -> None:
        if summary is not None:
            self._say({"type": "end", **summary.plain()})
        if not self._keep:
            self._file.close()

    def _say(self, value: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()
        except BrokenPipeError:
            if self._keep:  # Python would try once more at its end, and complain
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            raise
