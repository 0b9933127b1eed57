"""Framed: a source that reads frames (`frames.py`) from something that gives bytes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

from attrs import evolve

from myoflow.errors import InputError
from myoflow.live import frames
from myoflow.live.block import Block, Signal, choose
from myoflow.live.source import Ended, Lost
from myoflow.units import spelt

if TYPE_CHECKING:
    from myoflow.live.frames import Frame

HELLO_S = 5.0  # a description must come within this
TYPE_S = 0.5


class Framed:
    """A connection over `receive(timeout_s)`, which gives bytes, empty after the timeout, and raises Ended or Lost.

    `rate`, `units` and `gain` of the user stand in for a description that a small device does not send; `channels`
    chooses.

    Raises:
        Lost: no description came, nor samples to count the channels of.
        InputError: the description is none, or channels that are not there.
    """

    def __init__(
        self,
        receive: Callable[[float], bytes],
        close: Callable[[], None],
        place: str,
        *,
        rate: float | None = None,
        units: str | None = None,
        gain: float | None = None,
        channels: str | None = None,
    ) -> None:
        self._receive, self._close, self._place = receive, close, place
        self._unpacker = frames.Unpacker()
        self._frames: deque[tuple[Frame, float]] = deque()
        self._rows: list[int] | None = None
        try:
            self.signal = self._hello(rate, units, gain)
            if channels is not None:
                rows = choose(self.signal, channels)
                self._rows = list(rows)
                names = tuple(self.signal.channels[row] for row in rows)
                self.signal = evolve(self.signal, channels=names, gain=tuple(self.signal.gain[row] for row in rows))
        except BaseException:
            close()
            raise

    @property
    def damaged(self) -> int:
        """Bytes that were no part of a whole frame."""
        return self._unpacker.damaged

    def read(self, timeout_s: float) -> Block | None:
        while True:
            while self._frames:
                frame, arrived = self._frames.popleft()
                if frame.kind == frames.END:
                    raise Ended
                if frame.values is not None:
                    return self._block(frame, arrived)
            data = self._receive(timeout_s)
            if not data:
                return None
            now = time.perf_counter()
            self._frames.extend((frame, now) for frame in self._unpacker.feed(data))

    def close(self) -> None:
        self._close()

    def _block(self, frame: Frame, arrived_s: float) -> Block | None:
        values = frame.values
        assert values is not None, "only frames of samples become blocks"
        if len(values) != self._count:
            raise InputError(
                f"{self._place} sent a frame of {len(values)} channels after it had said that it has {self._count}"
            )
        if self.signal.dtype.startswith("int") and values.dtype.name != self.signal.dtype:
            raise InputError(f"{self._place} sent {values.dtype.name} after {self.signal.dtype}; keep to one kind")
        if self._rows is not None:
            values = values[self._rows]
        return Block(values, arrived_s, first=frame.first, stamp_s=frame.stamp_s)

    def _hello(self, rate: float | None, units: str | None, gain: float | None) -> Signal:
        """Wait for a description, or with a rate given for the first samples."""
        until = time.perf_counter() + HELLO_S
        told: dict[str, Any] = {}
        while time.perf_counter() < until:
            data = self._receive(0.1)
            now = time.perf_counter()
            for frame in self._unpacker.feed(data) if data else []:
                if frame.told is not None:
                    told = frame.told
                else:
                    self._frames.append((frame, now))
            waiting = next((frame for frame, _ in self._frames if frame.values is not None), None)
            if waiting is not None and waiting.values is not None and not told and rate is not None:
                told = {"channels": [f"ch{i + 1}" for i in range(len(waiting.values))]}
            # The first samples tell what the numbers are stored as; a sender that has none yet is not waited for long.
            if told and (waiting or "dtype" in told or time.perf_counter() > until - HELLO_S + TYPE_S):
                dtype = str(waiting.values.dtype.newbyteorder("=")) if waiting and waiting.values is not None else ""
                return self._signal(told, rate, units, gain, dtype)
        raise Lost(
            f"{self._place} sent no description within {HELLO_S:g} s; let the sender begin with one "
            "(docs/live.md), or say ?rate=1000 Hz&units=uV"
        )

    def _signal(
        self, told: dict[str, Any], rate: float | None, units: str | None, gain: float | None, dtype: str
    ) -> Signal:
        try:
            if not isinstance(told["channels"], list):
                raise ValueError("channels must be a list of names")
            channels = tuple(str(name) for name in told["channels"])
            if len(set(channels)) != len(channels):
                raise ValueError("two channels have one name")
            given = told.get("gain", 1.0) if gain is None else gain
            gains = tuple(float(g) for g in given) if isinstance(given, list) else (float(given),) * len(channels)
            rate_hz = float(told["rate"] if rate is None else rate)
            fair = all(isfinite(g) and g != 0 for g in gains)
            if not channels or len(gains) != len(channels) or not fair or not 0 < rate_hz < float("inf"):
                raise ValueError("channels, gain and rate do not go together")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self._place}: its description {told} is not one: {error}; see docs/live.md") from None
        self._count = len(channels)
        units = units or str(told.get("units", ""))  # not told is not volts
        dtype = dtype or str(told.get("dtype", "float32"))
        if dtype.startswith("int") and spelt(units) in ("V", "mV") and gain is None and "gain" not in told:
            raise InputError(
                f"{self._place} sends whole numbers in {units} and no gain, which is what one count is: say it, as in "
                "?gain=2e-7, or ?units=counts for a pipeline that takes those"
            )
        return Signal(channels, rate_hz, units, gains, dtype=dtype, clock="count")
