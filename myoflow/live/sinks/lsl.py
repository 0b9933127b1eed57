"""lsl: scores as a stream of the Lab Streaming Layer, and decisions as markers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.live.sources.lsl import load_pylsl
from myoflow.spec import SAID, SIGNAL
from myoflow.typed import frozen

if TYPE_CHECKING:
    from types import ModuleType

    from myoflow.live.output import Output
    from myoflow.spec import Spec


@SINKS.add("lsl")
@frozen
class LslOutlet(Sink):
    """Two outlets: `NAME`, one channel a label (or feature, or signal channel), and for decisions `NAME-decisions`, one
    text a window. Where a task's own decoder speaks, `NAME` is the sound, if there is some, and `NAME-decisions` has
    moments and the words of whole sentences. Time stamps are LSL's clock when the output was ready.
    """

    address: str = "myoflow"

    def open(self, taken: Spec, given: Spec) -> Channel:
        return _Outlet(load_pylsl(), self.address, given)


class _Outlet(Quiet):
    def __init__(self, pylsl: ModuleType, name: str, given: Spec) -> None:
        import math

        signal = given.dims == SIGNAL
        width = given.size("channel") if signal else math.prod(size for size in given.sizes if size is not None)
        rate = given.rate_hz if signal else 1 / given.step_s if given.step_s else pylsl.IRREGULAR_RATE
        names = given.labels if given.dims[-1] == "label" else given.channels if signal else ()
        self._pylsl, self._name = pylsl, name
        self._outlet = None
        if given.dims != SAID:
            self._outlet = _outlet(pylsl, name, "EMG" if signal else "Scores", width, rate, names, given.units)
        self._markers = self._marked() if given.dims[-1] == "label" or given.dims == SAID else None

    def write(self, output: Output) -> None:
        if output.said is not None and output.said.kind in ("event", "text"):
            self._markers = self._markers or self._marked()  # words beside sound
            self._markers.push_sample([output.said.text])
        if self._outlet is None or (output.said is not None and not output.is_signal):
            return
        if output.is_signal:
            self._outlet.push_chunk(output.values.T.tolist())
        else:
            self._outlet.push_sample(output.values.ravel().tolist())
        if self._markers is not None and output.said is None:
            self._markers.push_sample([output.label])

    def _marked(self) -> Any:
        kind = ("Markers", 1, self._pylsl.IRREGULAR_RATE, "string")
        info = self._pylsl.StreamInfo(f"{self._name}-decisions", *kind, uuid.uuid4().hex)
        return self._pylsl.StreamOutlet(info)

    def close(self, summary: object) -> None:
        del self._outlet, self._markers  # an outlet is closed when nobody holds it


def _outlet(
    pylsl: ModuleType, name: str, kind: str, width: int, rate: float, names: tuple[str, ...], units: str
) -> Any:
    info = pylsl.StreamInfo(name, kind, width, rate, "float32", uuid.uuid4().hex)
    channels = info.desc().append_child("channels")
    for label in names:
        channel = channels.append_child("channel").append_child_value("label", label)
        if kind == "EMG":
            channel.append_child_value("unit", units).append_child_value("type", "EMG")
    return pylsl.StreamOutlet(info)
