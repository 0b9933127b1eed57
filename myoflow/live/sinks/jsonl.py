"""jsonl: one line of JSON for everything that happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow.live import outbox
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
            return _Lines(outbox.to_stdout(), given)
        return _Lines(outbox.to_file(Path(self.address), append=True), given)


class _Lines(Quiet):
    def __init__(self, box: outbox.Outbox, given: Spec) -> None:
        self.outbox = box
        self._say({"type": "start", "dims": given.dims, "labels": given.labels, "channels": given.channels})

    def write(self, output: Output) -> None:
        self._say(line_of(output))

    def notice(self, notice: Notice) -> None:
        self._say({"type": "notice", "kind": notice.kind, "time": notice.at_s, "text": notice.text})

    def close(self, summary: Summary | None) -> None:
        if summary is not None:
            self._say({"type": "end", **summary.plain()})
        self.outbox.close()

    def _say(self, value: dict[str, Any]) -> None:
        self.outbox.put(json.dumps(value).encode() + b"\n")
