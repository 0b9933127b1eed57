"""lsl: a stream of the Lab Streaming Layer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from attrs import evolve

from myoflow.errors import InputError
from myoflow.live.block import Block, Signal, choose, stamped
from myoflow.live.source import SOURCES, Connection, Context, Ended, Lost, Source
from myoflow.typed import Seconds, frozen

if TYPE_CHECKING:
    from types import ModuleType

BUFFER_S = 30
MOST = 4096  # samples taken at once
_DTYPES = {1: "float32", 2: "float64", 4: "int32", 5: "int16"}  # LSL's numbers for formats


@SOURCES.add("lsl")
@frozen
class Lsl(Source):
    """A stream by its name (or, with `by=type`, by its type, such as EMG) on this machine or the local network.

    Time stamps are brought to this machine's clock by LSL. They show a gap when they lie more than `jitter` from where
    they should be; smaller losses go unseen, since LSL does not number samples. An outlet that dies is waited for.
    `units` for streams that do not describe theirs; `channels` chooses, as in `1..8` or names.
    """

    address: str
    by: str = "name"
    timeout: Seconds = 5.0
    jitter: Seconds = 0.1
    units: str | None = None
    channels: str | None = None

    def open(self, context: Context) -> Connection:
        pylsl = load_pylsl()
        if self.by not in ("name", "type", "source_id"):
            raise InputError(f"source lsl: by={self.by} is not name, type or source_id")
        found = pylsl.resolve_byprop(self.by, self.address, 1, self.timeout)
        if not found:
            there = ", ".join(sorted({info.name() for info in pylsl.resolve_streams(0.5)})) or "none"
            raise Lost(f"no LSL stream has the {self.by} '{self.address}' (there: {there})")
        if len(found) > 1:
            hosts = ", ".join(info.hostname() for info in found)
            raise InputError(f"several LSL streams have the {self.by} '{self.address}' (on {hosts}); use by=source_id")
        return _Inlet(pylsl, self, found[0])


def load_pylsl() -> ModuleType:
    """pylsl, with its library. Raises InputError when one of them is missing."""
    try:
        import pylsl
    except ImportError:
        raise InputError("LSL needs pylsl: pip install 'myoflow[live]'") from None
    except RuntimeError as error:
        raise InputError(f"pylsl is here, but its library liblsl is not: {str(error).splitlines()[0]}") from None
    return pylsl  # type: ignore[no-any-return]


class _Inlet:
    def __init__(self, pylsl: ModuleType, source: Lsl, info: Any) -> None:
        import numpy as np

        self._pylsl = pylsl
        self._inlet = pylsl.StreamInlet(
            info, max_buflen=BUFFER_S, processing_flags=pylsl.proc_clocksync, recover=bool(info.source_id())
        )
        try:
            self._inlet.open_stream(timeout=source.timeout)
            full = self._inlet.info(timeout=source.timeout)
        except (pylsl.TimeoutError, pylsl.LostError):
            self.close()
            raise Lost(f"the LSL stream '{source.address}' was found, but does not answer") from None
        if info.channel_format() not in _DTYPES or not info.nominal_srate() > 0:
            self.close()
            raise InputError(f"the LSL stream '{source.address}' is no signal of numbers at a fixed rate")
        self.signal = _describe(full, source)
        self._rows: list[int] | None = None
        self._buffer = np.empty((MOST, len(self.signal.channels)), _DTYPES[info.channel_format()])
        if source.channels is not None:
            rows = choose(self.signal, source.channels)
            self._rows = list(rows)
            names = tuple(self.signal.channels[row] for row in rows)
            self.signal = evolve(self.signal, channels=names, gain=(1.0,) * len(rows))
        self._name = source.address
        self._waiting: list[Block] = []

    def read(self, timeout_s: float) -> Block | None:
        import numpy as np

        if self._waiting:
            return self._waiting.pop(0)
        inlet = self._inlet
        if inlet is None:
            raise Ended
        try:
            sample, stamp = inlet.pull_sample(timeout=timeout_s)  # waits for one; then takes what else is there
            if sample is None:
                return None
            _, stamps = inlet.pull_chunk(timeout=0.0, max_samples=MOST - 1, dest_obj=self._buffer[1:])
        except self._pylsl.LostError:
            raise Lost(f"the LSL stream '{self._name}' is gone") from None
        arrived = time.perf_counter()
        self._buffer[0] = sample
        values = np.array(self._buffer[: 1 + len(stamps)].T, order="C")  # a copy, also of a single sample
        if self._rows is not None:
            values = values[self._rows]
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        self._waiting = stamped(values, np.array([stamp, *stamps]), arrived, self.signal)
        return self._waiting.pop(0)

    def close(self) -> None:
        # Let go of altogether: an inlet that is only closed goes on looking for its stream, with new sockets.
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()


def _describe(info: Any, source: Lsl) -> Signal:
    """Names and units from the stream's description, where it has one."""
    names, units = [], set()
    channel = info.desc().child("channels").child("channel")
    while not channel.empty():
        names.append(channel.child_value("label"))
        units.add(channel.child_value("unit"))
        channel = channel.next_sibling()
    count = info.channel_count()
    if len(names) != count or not all(names) or len(set(names)) != count:
        names = [f"ch{i + 1}" for i in range(count)]
    told = units.pop() if len(units) == 1 else ""
    dtype = _DTYPES[info.channel_format()]
    return Signal(
        tuple(names),
        float(info.nominal_srate()),
        source.units or told,
        dtype="float32" if dtype == "float64" else dtype,
        clock="stamp",
        jitter_s=source.jitter,
    )
