"""file: a table of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from myoflow.live import outbox
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.spec import SAID, SIGNAL
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.live.output import Output
    from myoflow.spec import Spec


@SINKS.add("file")
@frozen
class Table(Sink):
    """Comma-separated values, a row an output: time, end, latency, filled, dropped, label, and one column a number.

    Of a signal a row a sample: time and one column a channel; of what a task's decoder says time, latency, kind, start,
    end and text. The file begins anew.
    """

    address: str

    def open(self, taken: Spec, given: Spec) -> Channel:
        return _Rows(outbox.to_file(Path(self.address)), given)


class _Rows(Quiet):
    def __init__(self, box: outbox.Outbox, given: Spec) -> None:
        import math

        self.outbox, self._signal, self._rate = box, given.dims == SIGNAL, given.rate_hz
        if self._signal:
            self._say("time", *given.channels)
            return
        if given.dims == SAID:
            self._say("time", "latency", "kind", "start", "end", "text")
            return
        width = math.prod(size for size in given.sizes if size is not None)
        names = given.labels if given.dims[-1] == "label" else tuple(f"v{i + 1}" for i in range(width))
        self._decides = given.dims[-1] == "label"
        self._say("time", "end", "latency", "filled", "dropped", *(["label"] if self._decides else []), *names)

    def write(self, output: Output) -> None:
        said = output.said
        if self._signal and not output.is_signal:
            return  # the words of the same voice
        if said is not None and not self._signal:
            times = (output.time_s, output.latency.total_s, said.start_s, said.end_s)
            time_s, latency_s, start_s, end_s = (f"{value:.6f}" for value in times)
            self._say(time_s, latency_s, said.kind, start_s, end_s, said.text)
            return
        if self._signal:
            count = output.values.shape[1]
            for i, sample in enumerate(output.values.T):
                self._say(f"{output.end_s - (count - i) / self._rate:.6f}", *(f"{value:.9g}" for value in sample))
            return
        head = [f"{output.time_s:.6f}", f"{output.end_s:.6f}", f"{output.latency.total_s:.6f}"]
        head += [str(output.filled), str(output.dropped), *([str(output.label)] if self._decides else [])]
        self._say(*head, *(f"{value:.9g}" for value in output.values.ravel()))

    def close(self, summary: object) -> None:
        self.outbox.close()

    def _say(self, *cells: str) -> None:
        line = ",".join(f'"{c}"' if "," in c else c for c in cells) + "\n"
        self.outbox.put(line.encode())
