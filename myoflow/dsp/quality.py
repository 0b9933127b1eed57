"""Quality: verdicts on channels, span by span, and what is done to bad ones. The rules are stages/quality.py's."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen

from myoflow.dsp.jit import f8, given, i8, jit, made
from myoflow.dsp.kernel import Array
from myoflow.errors import InputError

NOT_FINITE, FLAT, CLIPPED, MAINS = 1, 2, 4, 8
_KINDS = ((NOT_FINITE, "is not finite"), (FLAT, "is flat"), (CLIPPED, "is clipped"), (MAINS, "is mostly mains hum"))
_COUNT, _BROKEN, _LEAST, _GREATEST, _MEAN, _SQUARES, _RAILED, _COS, _SIN = range(9)
FIELDS = 9


@frozen
class Limits:
    """When a channel is bad: `span` in samples, `flat` and `rail` in the signal's unit, `mains` in cycles a sample."""

    span: int
    flat: float
    rail: float | None
    clipped: float
    mains: float | None
    mains_share: float


@jit(given("f4", 2), made("f8", 2), i8, f8, f8)
def _gather(x: Array, gathered: Array, at: int, rail: float, mains: float) -> None:
    """Add samples `at`, `at + 1`, ... of a span to what is known of it, per channel."""
    for t in range(x.shape[1]):
        angle = 2.0 * math.pi * mains * (at + t)
        cosine, sine = math.cos(angle), math.sin(angle)
        for c in range(x.shape[0]):
            known = gathered[c]
            value = float(x[c, t])
            if not math.isfinite(value):
                known[_BROKEN] += 1.0
                continue
            known[_COUNT] += 1.0
            off = value - known[_MEAN]
            known[_MEAN] += off / known[_COUNT]
            known[_SQUARES] += off * (value - known[_MEAN])
            known[_LEAST] = min(known[_LEAST], value)
            known[_GREATEST] = max(known[_GREATEST], value)
            if abs(value) >= rail:
                known[_RAILED] += 1.0
            known[_COS] += value * cosine
            known[_SIN] += value * sine


class Judge:
    """Kernel `(channel, time)` -> the same, with bad channels reported, silenced or filled in."""

    def __init__(self, names: tuple[str, ...], rate_hz: float, limits: Limits, *, policy: str, ring: bool) -> None:
        self._names, self._rate, self._limits = names, rate_hz, limits
        self._policy, self._ring = policy, ring
        self._at = 0  # samples of the span so far
        self._begin = 0  # first sample of the span
        self._bad = np.zeros(len(names), bool)
        self._gathered = np.empty((len(names), FIELDS))
        self._reset()

    def _reset(self) -> None:
        self._gathered[:] = 0.0
        self._gathered[:, _LEAST] = np.inf
        self._gathered[:, _GREATEST] = -np.inf

    def feed(self, chunk: Array) -> Array:
        x = np.ascontiguousarray(chunk, np.float32)
        out = x.copy()
        done = 0
        while done < x.shape[1]:
            stop = min(x.shape[1], done + self._limits.span - self._at)
            piece = np.ascontiguousarray(x[:, done:stop])
            if self._policy == "error":
                self._refuse_broken(piece)
            else:
                self._mend(out[:, done:stop])
            rail = math.inf if self._limits.rail is None else self._limits.rail
            _gather(piece, self._gathered, self._at, rail, self._limits.mains or 0.0)
            self._at += stop - done
            done = stop
            if self._at == self._limits.span:
                self._judge()
        return out

    def flush(self) -> Array:
        if self._policy == "error" and 2 * self._at >= self._limits.span:
            self._judge()
        return np.empty((len(self._names), 0), np.float32)

    def verdicts(self) -> Array:
        """Defects of each channel in the span so far: the sum of NOT_FINITE, FLAT, CLIPPED, MAINS."""
        known, limits = self._gathered, self._limits
        count = np.maximum(known[:, _COUNT], 1.0)
        found = np.where(known[:, _BROKEN] > 0, NOT_FINITE, 0)
        some = known[:, _COUNT] > 1
        found |= np.where(some & (known[:, _GREATEST] - known[:, _LEAST] <= limits.flat), FLAT, 0)
        if limits.rail is not None:
            found |= np.where(known[:, _RAILED] / count > limits.clipped, CLIPPED, 0)
        if limits.mains is not None:
            found |= np.where(self._mains_share(count) > limits.mains_share, MAINS, 0)
        return found

    def _mains_share(self, count: Array) -> Array:
        # The mean leaks into the mains bin unless the span is a whole number of cycles: take its share out.
        assert self._limits.mains is not None
        known = self._gathered
        turns = np.exp(2j * np.pi * self._limits.mains * np.arange(self._at)).sum()
        bins = known[:, _COS] + 1j * known[:, _SIN] - known[:, _MEAN] * turns
        power = 2.0 * np.abs(bins) ** 2 / count
        share: Array = np.divide(power, known[:, _SQUARES], out=np.zeros(len(power)), where=known[:, _SQUARES] > 0)
        return share

    def _judge(self) -> None:
        found = self.verdicts()
        if self._policy == "error" and found.any():
            channel = int(np.argmax(found > 0))
            words = " and ".join(text for bit, text in _KINDS if found[channel] & bit)
            self._stop(channel, self._begin, self._begin + self._at, words)
        self._bad = found > 0
        self._begin += self._at
        self._at = 0
        self._reset()

    def _refuse_broken(self, piece: Array) -> None:
        broken = ~np.isfinite(piece)
        if broken.any():
            when = int(np.argmax(broken.any(axis=0)))
            channel = int(np.argmax(broken[:, when]))
            sample = self._begin + self._at + when
            text = f"is not a number ({piece[channel, when]})"
            self._stop(channel, sample, sample, text)

    def _stop(self, channel: int, first: int, last: int, words: str) -> None:
        start, end = first / self._rate, last / self._rate
        when = f"at {start:.3f} s" if first == last else f"from {start:.3f} s to {end:.3f} s"
        raise InputError(
            f"channel {self._names[channel]} {words} {when}; leave it out with select, "
            "or give quality a policy of drop or interpolate"
        )

    def _mend(self, piece: Array) -> None:
        """Replace bad channels and broken samples of a piece in place."""
        broken = ~np.isfinite(piece)
        lost = broken | self._bad[:, None]
        if not lost.any():
            return
        if self._policy == "drop":
            piece[lost] = 0.0
            return
        # Runs of time with the same channels lost are filled at once; each sample's value depends on it alone.
        edges = np.flatnonzero((lost[:, 1:] != lost[:, :-1]).any(axis=0)) + 1
        for start, stop in zip((0, *edges), (*edges, piece.shape[1]), strict=True):
            fill(piece[:, start:stop], lost[:, start], self._ring)


def fill(piece: Array, lost: Array, ring: bool) -> None:
    """Overwrite the `lost` rows of `(channel, time)` with the mean of the nearest kept row on either side.

    On a ring the last row is beside the first; on a line an end row takes its one neighbour. Zeros if none is kept.
    """
    kept = np.flatnonzero(~lost)
    count = len(lost)
    filled = {}
    for channel in np.flatnonzero(lost):
        below = kept[kept < channel][-1:]
        above = kept[kept > channel][:1]
        if ring and len(kept):
            below = below if len(below) else kept[-1:]
            above = above if len(above) else kept[:1]
        sides = np.concatenate([below, above]) % count
        if len(sides) == 2:
            filled[channel] = (piece[sides[0]] + piece[sides[1]]) * np.float32(0.5)
        else:
            filled[channel] = piece[sides[0]] if len(sides) else np.zeros(piece.shape[1], np.float32)
    for channel, values in filled.items():
        piece[channel] = values
