"""Chunks: arrays that a program of the user's own brings, as a source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import frozen

from myoflow.errors import InputError
from myoflow.live.block import Block, Signal
from myoflow.live.source import Connection, Context, Ended, Source

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


@frozen(eq=False)
class Chunks(Source):
    """Pieces `(channel, time)` from any iterable, in the units and at the rate that the decoder takes.

    `signal` says what they are where they are something else. The next piece is asked for when there is room for it, so
    that nothing is ever dropped.
    """

    pieces: Iterable[Any]
    signal: Signal | None = None
    name = "chunks"

    @property
    def waits(self) -> bool:
        return True

    def open(self, context: Context) -> Connection:
        signal = self.signal
        if signal is None:
            if context.spec is None:
                raise InputError("say what the pieces are: Chunks(pieces, Signal(channels, rate_hz, units))")
            spec = context.spec
            signal = Signal(spec.channels, spec.rate_hz, spec.units, pace=None, labels=spec.labels)
        return _Pieces(signal, iter(self.pieces))


class _Pieces:
    def __init__(self, signal: Signal, pieces: Iterator[Array]) -> None:
        self.signal, self._pieces = signal, pieces
        self._first = 0

    def read(self, timeout_s: float) -> Block | None:
        import numpy as np

        try:
            values = np.asarray(next(self._pieces))
        except StopIteration:
            raise Ended from None
        count = len(self.signal.channels)
        if values.ndim != 2 or values.shape[0] != count:
            raise InputError(f"expected pieces of shape (channel {count}, time), got {values.shape}")
        if values.dtype.kind not in "iuf":
            raise InputError(f"expected pieces of numbers, got {values.dtype}")
        first, self._first = self._first, self._first + values.shape[1]
        # of its own: whoever gives pieces may fill the same array again while this one waits
        return Block(np.array(values, self.signal.dtype), time.perf_counter(), first=first)

    def close(self) -> None:
        self._pieces = iter(())
