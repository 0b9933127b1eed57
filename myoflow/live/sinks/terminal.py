"""terminal: traces, the current decision and the latency, for people who watch."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from myoflow.errors import InputError
from myoflow.live.meter import Meter
from myoflow.live.outbox import ready, to_stdout
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.typed import Seconds, frozen

if TYPE_CHECKING:
    from rich.console import RenderableType

    from myoflow.dsp.kernel import Array
    from myoflow.listener import Said
    from myoflow.live.output import Notice, Output
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec

BLOCKS = " ▁▂▃▄▅▆▇█"
COLUMNS = 72  # of a trace
ROWS = 16  # channels shown
SENTENCES = 6  # or moments
REFRESH_S = 0.1
LOW_S, HIGH_S, BINS = 1e-4, 1.0, 24  # of the latency's picture


@SINKS.add("terminal")
@frozen
class Terminal(Sink):
    """A live view: the last `span` of every channel, the current decision with all scores, latency, what happened.

    Of what a task's decoder says, the last moments or sentences and the words so far. Where the standard output is no
    terminal, one line whenever the decision changes.
    """

    span: Seconds = 5.0

    def open(self, taken: Spec, given: Spec) -> Channel:
        if not self.span > 0:
            raise InputError(f"sink terminal: span must be above 0 s, got {self.span:g} s")
        if sys.stdout.isatty():
            return View(self.span, taken, given)
        return Changes()


class Changes(Quiet):
    """A line for every change of decision, and for everything that happens."""

    def __init__(self) -> None:
        self.outbox = to_stdout()
        self._last: str | None = None

    def write(self, output: Output) -> None:
        if output.said is not None:
            if told := told_of(output.said):
                self._say(told)
            return
        if output.label != self._last:
            self._last = output.label
            self._say(f"{output.time_s:10.3f} s  {output.label}")

    def notice(self, notice: Notice) -> None:
        self._say(f"{notice.at_s:10.3f} s  {notice.kind}: {notice.text}")

    def close(self, summary: Summary | None) -> None:
        self.outbox.close()

    def _say(self, text: str) -> None:
        self.outbox.put(f"{text}\n".encode(sys.stdout.encoding or "utf-8", errors="replace"))


def told_of(said: Said) -> str:
    """A line for a moment or for words, `…` behind those that may change; nothing for sound."""
    if said.values is not None:
        return ""
    return f"{said.start_s:10.3f} s  {said.text}{' …' if said.kind == 'partial' else ''}"


class View(Quiet):
    """The picture, drawn anew ten times a second."""

    pictures = True

    def __init__(self, span_s: float, taken: Spec, given: Spec) -> None:
        import numpy as np
        from rich.live import Live

        self._taken, self._given = taken, given
        self._per = max(1, round(span_s * taken.rate_hz / COLUMNS))  # samples of a column
        self._columns: deque[Array] = deque(maxlen=COLUMNS)
        self._peak = np.zeros(len(taken.channels))
        self._seen = 0
        self._top = np.zeros(len(taken.channels))
        self._added = Meter()
        self._output: Output | None = None
        self._notices: deque[Notice] = deque(maxlen=4)
        self._told: deque[str] = deque(maxlen=SENTENCES)
        self._partial = ""
        self._dropped = self._made = 0
        self._drawn = 0.0
        self._live = Live(auto_refresh=False, transient=False)
        self._live.start()

    def write(self, output: Output) -> None:
        self._output = output
        self._added.add(output.latency.added_s)
        self._dropped += output.dropped
        self._made += output.filled
        if output.said is not None and (told := told_of(output.said)):
            self._partial = told if output.said.kind == "partial" else ""
            if not self._partial:
                self._told.append(told)
        self._draw()

    def signal(self, values: Array) -> None:
        import numpy as np

        size = np.abs(values - values.mean(axis=1, keepdims=True))
        at = 0
        while at < size.shape[1]:
            part = size[:, at : at + self._per - self._seen]
            self._peak = np.maximum(self._peak, part.max(axis=1))
            self._seen += part.shape[1]
            at += part.shape[1]
            if self._seen == self._per:
                self._columns.append(self._peak)
                self._top = np.maximum(0.995 * self._top, self._peak)
                self._peak, self._seen = np.zeros(len(size)), 0
        self._draw()

    def notice(self, notice: Notice) -> None:
        self._notices.append(notice)

    def close(self, summary: Summary | None) -> None:
        self._drawn = 0.0
        self._draw()
        self._live.stop()

    def _draw(self) -> None:
        now = time.perf_counter()
        if now - self._drawn >= REFRESH_S and ready(sys.stdout):  # Ctrl-S stops the picture, not the decoder
            self._drawn = now
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """What is shown now."""
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [Text(line, no_wrap=True) for line in self._traces()]
        if self._output is not None:
            parts += [Text(""), *(Text(line, no_wrap=True) for line in self._decision(self._output))]
            parts += [Text(""), Text(self._latency(self._output), no_wrap=True)]
        parts += [Text(f"{notice.at_s:8.2f} s  {notice.text}", style="yellow") for notice in self._notices]
        return Group(*parts)

    def _traces(self) -> list[str]:
        lines = []
        for row, name in enumerate(self._taken.channels[:ROWS]):
            top = self._top[row] or 1.0
            bars = "".join(BLOCKS[min(8, int(9 * column[row] / top))] for column in self._columns)
            lines.append(f"{name:>10.10} {bars:<{COLUMNS}} {self._top[row]:.3g} {self._taken.units}")
        if len(self._taken.channels) > ROWS:
            lines.append(f"{'':10} and {len(self._taken.channels) - ROWS} channels more")
        return lines

    def _decision(self, output: Output) -> list[str]:
        import numpy as np

        if output.said is not None:
            return [*self._told, *([self._partial] if self._partial else [])]
        if output.label is None:
            return [f"{output.time_s:8.2f} s  output {output.values.shape}"]
        values = output.values.astype(np.float64)
        share = np.exp(values - values.max()) if values.min() < 0 or values.sum() > 1.01 else values
        share = share / share.sum()
        lines = [f"{output.time_s:8.2f} s  {output.label}"]
        for name, part in zip(self._given.labels, share, strict=True):
            lines.append(f"{name:>18.18} {'█' * round(40 * part):<40} {100 * part:5.1f} %")
        return lines

    def _latency(self, output: Output) -> str:
        counts = self._added.spread(BINS, LOW_S, HIGH_S)
        most = max(counts) or 1
        bars = "".join(BLOCKS[-(-8 * number // most)] for number in counts)
        p50, p99 = (1e3 * self._added.percentile(q) for q in (50, 99))
        lost = f", {self._dropped} windows dropped" if self._dropped else ""
        return (
            f"latency {1e3 * output.latency.algorithmic_s:.0f} ms by design, added p50 {p50:.2f} p99 {p99:.2f} "
            f"max {1e3 * self._added.largest:.2f} ms  0.1 ms |{bars}| 1 s{lost}"
        )
