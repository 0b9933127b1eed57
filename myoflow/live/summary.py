"""Summary: what a live stream did, in numbers that do not grow with its length."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from myoflow.live.meter import Meter
from myoflow.live.output import Latency, Notice, Output

SENTENCES = 20  # remembered
KEPT = 200  # notices remembered word for word; of all others only the count


@frozen
class Summary:
    """`seconds` of signal taken, `wall_s` that it lasted; percentiles in s of what the machine added to the latency.

    `rtf`, the real-time factor, is the time that computing took over that of the signal: below 1 it keeps up.
    `events` counts notices by kind, `samples` how many samples (or windows) each kind was about. `sentences` are the
    last ones that a task's decoder has understood.
    """

    seconds: float
    wall_s: float
    taken: int
    outputs: int
    dropped: int
    made: int
    algorithmic_s: float
    p50_s: float
    p99_s: float
    max_s: float
    queue_p99_s: float
    compute_p99_s: float
    rtf: float
    drift_ppm: float | None
    drift_error_ppm: float | None
    events: dict[str, int]
    samples: dict[str, int]
    decisions: dict[str, int]
    sentences: tuple[str, ...]
    reason: str

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        import attrs

        return attrs.asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        ms = 1e3
        out = [
            f"{self.seconds:.1f} s of signal in {self.wall_s:.1f} s ({self.reason}): {self.taken:,} samples taken, "
            f"{self.outputs:,} outputs, {self.dropped:,} windows dropped, {self.made:,} samples filled in",
            f"latency: {ms * self.algorithmic_s:.1f} ms by design, and added p50 {ms * self.p50_s:.2f}, "
            f"p99 {ms * self.p99_s:.2f}, max {ms * self.max_s:.2f} ms "
            f"(p99 of waiting {ms * self.queue_p99_s:.2f}, of computing {ms * self.compute_p99_s:.2f}); "
            f"real-time factor {self.rtf:.3f}",
        ]
        if self.drift_ppm is not None:
            out.append(f"clock: {self.drift_ppm:+.0f} ± {self.drift_error_ppm:.0f} ppm against this machine's")
        if self.decisions:
            most = sorted(self.decisions.items(), key=lambda item: -item[1])
            out.append("decided: " + ", ".join(f"{name} {count:,}" for name, count in most))
        out += [f"understood: {text}" for text in self.sentences]
        if self.events:
            told = (f"{count} {kind} ({self.samples[kind]:,})" for kind, count in sorted(self.events.items()))
            out.append("what happened (with samples or windows concerned): " + ", ".join(told))
        return out


class Tally:
    """Collects a Summary while the stream runs."""

    def __init__(self, rate_hz: float, algorithmic_s: float) -> None:
        self._rate, self._algorithmic = rate_hz, algorithmic_s
        self.added, self.queue, self.compute = Meter(), Meter(), Meter()
        self.taken = self.made = self.outputs = self.dropped = 0
        self.events: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.notices: deque[Notice] = deque(maxlen=KEPT)
        self.sentences: deque[str] = deque(maxlen=SENTENCES)
        self.busy_s = 0.0  # computing

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count the time in here as computing."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.busy_s += time.perf_counter() - begun

    def late(self, latency: Latency) -> None:
        """Count how late one of the pipeline's outputs came."""
        self.added.add(latency.added_s)
        self.queue.add(latency.queue_s)
        self.compute.add(latency.compute_s)

    def output(self, output: Output) -> None:
        """Count one output."""
        self.outputs += 1
        self.dropped += output.dropped
        if output.said is not None and output.said.kind == "text":
            self.sentences.append(output.said.text)
        label = output.label
        if label is not None:
            self.decisions[label] += 1

    def notice(self, notice: Notice) -> None:
        """Count one notice, and remember it if it is among the last."""
        self.events[notice.kind] += 1
        self.samples[notice.kind] += notice.count
        self.notices.append(notice)

    def summary(self, end: int, wall_s: float, drift: tuple[float, float] | None, reason: str) -> Summary:
        """The numbers so far; `end` samples stand on the grid."""
        return Summary(
            seconds=end / self._rate,
            wall_s=wall_s,
            taken=self.taken,
            outputs=self.outputs,
            dropped=self.dropped,
            made=self.made,
            algorithmic_s=self._algorithmic,
            p50_s=self.added.percentile(50),
            p99_s=self.added.percentile(99),
            max_s=self.added.largest,
            queue_p99_s=self.queue.percentile(99),
            compute_p99_s=self.compute.percentile(99),
            rtf=self.busy_s * self._rate / end if end else 0.0,
            drift_ppm=drift[0] if drift else None,
            drift_error_ppm=drift[1] if drift else None,
            events=dict(self.events),
            samples=dict(self.samples),
            decisions=dict(self.decisions),
            sentences=tuple(self.sentences),
            reason=reason,
        )
