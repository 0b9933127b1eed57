"""lsl: scores as a stream of the Lab Streaming Layer, and decisions as markers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.live.sources.lsl import load_pylsl
from myoflow.spec import SIGNAL
from myoflow.typed import frozen

if TYPE_CHECKING:
    from types import ModuleType

    from myoflow.live.output import Output
    from myoflow.spec import Spec


@SINKS.add("lsl")
@frozen
class LslOutlet(Sink):
    """Two outlets: `NAME`, one channel a label (or feature, or signal channel), and for decisions `NAME-decisions`, one
    text a window. Time stamps are LSL's clock when the output was ready.
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
        self._signal = signal
        self._outlet = _outlet(pylsl, name, "EMG" if signal else "Scores", width, rate, names, given.units)
        self._markers = None
        if given.dims[-1] == "label":
            info = pylsl.StreamInfo(f"{name}-decisions", "Markers", 1, pylsl.IRREGULAR_RATE, "string", uuid.uuid4().hex)
            self._markers = pylsl.StreamOutlet(info)

    def write(self, output: Output) -> None:
        if self._signal:
            self._outlet.push_chunk(output.values.T.tolist())
        else:
            self._outlet.push_sample(output.values.ravel().tolist())
        if self._markers is not None:
            self._markers.push_sample([output.label])

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
