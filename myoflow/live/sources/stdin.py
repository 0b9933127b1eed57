"""stdin: frames, or lines of numbers, from the standard input."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING, Literal

from myoflow.errors import InputError
from myoflow.live.block import Block, Signal
from myoflow.live.framed import Framed
from myoflow.live.source import SOURCES, Connection, Context, Ended, Source
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from myoflow.dsp.kernel import Array


LONGEST = 1 << 20  # bytes of a line


@SOURCES.add("stdin")
@frozen
class Stdin(Source):
    """What another program writes: `myprogram | myoflow stream RUN --source stdin`.

    `format: frames` are those of docs/live.md; `text` are lines with one number a channel, parted by commas, tabs or
    blanks. The writer waits when the decoder is slow, so that nothing is dropped. Without `rate` and `units` lines of
    text are taken to be at the decoder's rate and in its units.
    """

    address: str = ""
    format: Literal["frames", "text"] = "frames"
    rate: Hz | None = None
    units: str | None = None
    gain: float | None = None
    channels: str | None = None

    @property
    def waits(self) -> bool:
        return True

    def open(self, context: Context) -> Connection:
        number = sys.stdin.fileno()

        def receive(timeout_s: float) -> bytes:
            if not select.select([number], [], [], timeout_s)[0]:
                return b""
            data = os.read(number, 1 << 16)
            if not data:
                raise Ended
            return data

        if self.format == "frames":
            try:
                return Framed(
                    receive,
                    lambda: None,
                    "stdin",
                    rate=self.rate,
                    units=self.units,
                    gain=self.gain,
                    channels=self.channels,
                )
            except Ended:
                raise InputError("stdin ended before there was a whole frame; is it ?format=text?") from None
        spec = context.spec
        if spec is None and self.rate is None:
            raise InputError("stdin: lines of text need a rate, such as ?format=text&rate=1000 Hz")
        if self.channels is not None or self.gain is not None:
            raise InputError("stdin: channels and gain go with frames; write text lines as the decoder takes them")
        return _Text(receive, self, context)


class _Text:
    """Lines of numbers."""

    def __init__(self, receive: Callable[[float], bytes], source: Stdin, context: Context) -> None:
        self._receive, self._kept = receive, b""
        self._line = self._count = self._width = 0
        spec = context.spec
        rate = source.rate or (spec.rate_hz if spec is not None else 0.0)
        units = source.units or (spec.units if spec is not None else "V")
        first = self._read_first()
        names = spec.channels if spec is not None and len(spec.channels) == first.shape[0] else None
        channels = names or tuple(f"ch{i + 1}" for i in range(first.shape[0]))
        self._waiting: Array | None = first
        self.signal = Signal(channels, rate, units, pace=None)

    def read(self, timeout_s: float) -> Block | None:
        if self._waiting is not None:
            values, self._waiting = self._waiting, None
        else:
            found = self._values(timeout_s)
            if found is None:
                return None
            values = found
        first, self._count = self._count, self._count + values.shape[1]
        return Block(values, time.perf_counter(), first=first)

    def close(self) -> None: ...

    def _read_first(self) -> Array:
        while True:
            try:
                values = self._values(0.1)
            except Ended:
                raise InputError("stdin ended before there was a line of numbers") from None
            if values is not None:
                return values

    def _values(self, timeout_s: float) -> Array | None:
        """`(channel, time)` of the lines that are whole now."""
        import numpy as np

        try:
            self._kept += (data := self._receive(timeout_s))
        except Ended:
            if not self._kept.strip():
                raise
            self._kept, data = self._kept + b"\n", b"\n"  # a last line without its end
        if not data or b"\n" not in self._kept:
            if len(self._kept) > LONGEST:
                raise InputError(
                    f"stdin, line {self._line + 1}: {LONGEST:,} bytes without an end are no line of numbers"
                )
            return None
        whole, _, self._kept = self._kept.rpartition(b"\n")
        rows = []
        for line in whole.split(b"\n"):
            self._line += 1
            words = line.replace(b",", b" ").split()
            if not words:
                continue
            try:
                rows.append([float(word) for word in words])
            except ValueError:
                text = line.decode(errors="replace").strip()
                raise InputError(f"stdin, line {self._line}: '{text:.60}' is not a line of numbers") from None
            self._width = self._width or len(words)
            if len(words) != self._width:
                raise InputError(f"stdin, line {self._line}: {len(words)} numbers, but {self._width} before")
        return np.array(rows, np.float32).T if rows else None
