"""Timeline: blocks of a source put on an even grid without holes; what was lost is found, told and filled."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from attrs import frozen

from myoflow.errors import InputError, did_you_mean
from myoflow.live.block import Block, Signal
from myoflow.live.clock import Drift, Stamps
from myoflow.live.output import Notice

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

Policy = Literal["hold", "zero", "restart"]
PATIENCE_S = 0.05  # a block that is ahead waits so long for the ones before it
LONGEST_S = 1.0  # no gap above this is filled: a second of invented signal is no signal
SANE = 1e12  # no electrode gives more, in whatever unit
RESET_S = 10.0  # a count that falls back this far began anew


@frozen(eq=False)
class Piece:
    """Samples `(channel, time)` on the even grid: `start` is the number of the first, from the stream's beginning.

    `made` says that they fill a gap. `restart` says that samples before it are missing for good, so that whatever
    remembers must begin anew.
    """

    values: Array
    start: int
    arrived_s: float
    made: bool = False
    restart: bool = False


class Timeline:
    """Orders blocks, finds gaps and fills them by `policy`.

    `hold` repeats the last sample, `zero` gives zeros, `restart` fills nothing and begins anew behind the gap; gaps
    above `LONGEST_S` are never filled. What is no number (NaN, or beyond any electrode) would stay in a filter for
    good: its channel's last good one stands in for it, or zero. Whatever happens is told to `notice`.
    """

    def __init__(self, signal: Signal, policy: Policy, notice: Callable[[Notice], None]) -> None:
        """Raises InputError: there is no such policy."""
        if policy not in get_args(Policy):
            close = did_you_mean(policy, get_args(Policy)) or "."
            raise InputError(f"gaps: there is no '{policy}'{close} Policies: {', '.join(get_args(Policy))}")
        self.signal, self.policy, self._notice = signal, policy, notice
        self.next = 0  # number of the next sample
        self.drift = Drift(signal.rate_hz, signal.pace or 1.0)
        self._base: int | None = None  # the source's number of our sample 0
        self._stamps = Stamps(signal.rate_hz)
        self._waiting: list[tuple[int, int, Block]] = []
        self._order = count()
        self._last: Array | None = None
        self._arrived: float | None = None
        self._restart = False
        self._made: deque[tuple[int, int]] = deque(maxlen=64)
        self._check_at = 0
        self._returned = False
        self._bad, self._tell_at = 0, 0

    def feed(self, block: Block) -> list[Piece]:
        """What can be given once this block is here."""
        samples = block.values.shape[1]
        if not samples:
            return []
        index = self._place(block)
        self._arrived = block.arrived_s
        if self.signal.pace is not None:
            self.drift.add(index + samples, block.arrived_s)
        if index <= self.next and not self._waiting:
            return self._take(index, block)
        heapq.heappush(self._waiting, (index, next(self._order), block))
        return self._release(block.arrived_s)

    def poll(self, now_s: float) -> list[Piece]:
        """What can be given because nobody waits any longer for what should come before it."""
        return self._release(now_s) if self._waiting else []

    def flush(self) -> list[Piece]:
        """Everything that still waits; the stream is over."""
        pieces = self._release(float("inf"))
        self._tell_bad(anyway=True)
        return pieces

    def returned(self) -> None:
        """The source was opened again: its numbers and clock may have gone on, or begun anew."""
        self._returned = True

    def _place(self, block: Block) -> int:
        """Our number of the block's first sample."""
        if block.first is not None:
            return self._by_count(block, block.first)
        if block.lost:
            index = self.next + block.lost
            if block.stamp_s is not None:
                self._stamps.jump(index + block.values.shape[1] - 1, block.stamp_s)
            return index
        if block.stamp_s is not None:
            return self._by_stamp(block, block.stamp_s)
        return self.next

    def _by_count(self, block: Block, first: int) -> int:
        if self._base is None:
            self._base = first - self.next
        ahead, missing = first - self._base - self.next, self._elapsed(block)
        far = round(RESET_S * self.signal.rate_hz)
        anew = ahead < -far or (ahead > far and ahead > 2 * missing + far and self.signal.pace is not None)
        if self._returned:
            # A count that went on while the source was away agrees with our clock, roughly: arrivals shake.
            self._returned = False
            anew = ahead < 0 or abs(ahead - missing) > 0.5 * self.signal.rate_hz + 0.2 * missing
        if anew:
            self._say("count", f"the source's count of samples jumped to {first}; by the clock {missing} are missing")
            self._base = first - self.next - missing
            self.drift.forget()
        return int(first - self._base)

    def _by_stamp(self, block: Block, stamp_s: float) -> int:
        samples, rate = block.values.shape[1], self.signal.rate_hz
        expected = self._stamps.expected(self.next + samples - 1)
        missing, returned, self._returned = 0, self._returned, False
        if expected is None or (returned and stamp_s < expected):
            missing = self._elapsed(block) if returned else 0  # a clock that began anew says nothing
            self._stamps.jump(self.next + missing + samples - 1, stamp_s)
        elif stamp_s - expected > self.signal.jitter_s:
            missing = round((stamp_s - expected) * rate)
            self._stamps.jump(self.next + missing + samples - 1, stamp_s)
        elif expected - stamp_s > self.signal.jitter_s:
            self._say("clock", f"the source's clock jumped back by {expected - stamp_s:.3g} s; no sample was left out")
            self._stamps.jump(self.next + samples - 1, stamp_s)
        else:
            self._stamps.learn(self.next + samples - 1, stamp_s)
        return self.next + missing

    def _elapsed(self, block: Block) -> int:
        """Samples that should have come between the last block and this one, by our clock."""
        if self._arrived is None:
            return 0
        time = (block.arrived_s - self._arrived) * (self.signal.pace or 0.0)
        return max(0, round(time * self.signal.rate_hz) - int(block.values.shape[1]))

    def _release(self, now_s: float) -> list[Piece]:
        pieces: list[Piece] = []
        while self._waiting:
            index, _, block = self._waiting[0]
            if index <= self.next:
                heapq.heappop(self._waiting)
                pieces += self._take(index, block)
            elif now_s - block.arrived_s >= PATIENCE_S or block.first is None:
                pieces += self._fill(index - self.next, block)
            else:
                break
        return pieces

    def _take(self, index: int, block: Block) -> list[Piece]:
        """A block whose turn it is, less what is known already."""
        values, known = block.values, self.next - index
        if self._waiting and not known and block.arrived_s > self._waiting[0][2].arrived_s:
            self._say("reordered", f"{values.shape[1]} samples came in the wrong order and were put right")
        if known:
            overlap = min(known, values.shape[1])
            late = sum(max(0, min(index + overlap, stop) - max(index, start)) for start, stop in self._made)
            kind = "late" if late else "duplicate"
            why = "came after their place was filled" if late else "came twice"
            self._say(kind, f"{overlap} samples {why}; the first ones stand", overlap)
            values = values[:, known:]
        if not values.shape[1]:
            return []
        values = self._sane(values)
        piece = Piece(values, self.next, block.arrived_s, restart=self._restart)
        self._restart = False
        self.next += values.shape[1]
        self._last = values[:, -1:]
        self._check_drift()
        return [piece]

    def _sane(self, values: Array) -> Array:
        """The same samples with something else where there is no number."""
        good = np.abs(values) < SANE if values.dtype.kind == "f" else np.True_
        if good.all():
            return values
        self._bad += int(good.size - np.count_nonzero(good))
        self._tell_bad()
        before = np.zeros_like(values[:, :1]) if self._last is None or self.policy == "zero" else self._last
        if self.policy == "zero":
            return np.where(good, values, before)
        known = np.concatenate([before, values], axis=1)
        newest = np.maximum.accumulate(np.where(good, np.arange(1, known.shape[1]), 0), axis=1)
        return np.take_along_axis(known, newest, axis=1)

    def _tell_bad(self, anyway: bool = False) -> None:
        """Once a second: a broken channel gives nothing else."""
        if self._bad and (anyway or self.next >= self._tell_at):
            by = "zero" if self.policy == "zero" else "the last good one"
            told = f"{self._bad} values were no numbers (NaN, or beyond any electrode's); {by} stands in for each"
            self._say("invalid", told, self._bad)
            self._bad, self._tell_at = 0, self.next + int(self.signal.rate_hz)

    def _fill(self, missing: int, block: Block) -> list[Piece]:
        rate, start = self.signal.rate_hz, self.next
        whose = "thrown away here, because the decoder was behind" if block.lost else "lost"
        told = f"{missing} samples ({missing / rate:.3f} s) were {whose}"
        self._made.append((start, start + missing))
        if self.policy == "restart" or missing > LONGEST_S * rate or self._last is None:
            self._say("gap", f"{told}; the pipeline begins anew behind them", missing)
            self.next += missing
            self._restart = True
            return []
        self._say("gap", f"{told}; filled by {self.policy}", missing)
        if self.policy == "hold":
            values = np.repeat(self._last, missing, axis=1)
        else:
            values = np.zeros((len(self._last), missing), self._last.dtype)
        piece = Piece(values, start, block.arrived_s, made=True, restart=self._restart)
        self._restart = False
        self.next += missing
        return [piece]

    def _check_drift(self) -> None:
        """Say once that the source's clock is off, when that is beyond doubt."""
        if self.next < self._check_at:
            return
        self._check_at = self.next + int(5 * self.signal.rate_hz)
        found = self.drift.ppm()
        if found and abs(found[0]) > 50 and abs(found[0]) > 5 * found[1]:
            self._check_at = 1 << 62
            faster = "fast" if found[0] > 0 else "slow"
            self._say(
                "drift",
                f"the source's clock is {abs(found[0]):.0f} ± {found[1]:.0f} ppm {faster} against this machine's; "
                "times are counted in its samples",
            )

    def _say(self, kind: str, text: str, samples: int = 1) -> None:
        self._notice(Notice(kind, self.next / self.signal.rate_hz, text, samples))
