"""Resampling: a streaming polyphase FIR filter, straight lines, and picking every n-th sample."""

from __future__ import annotations

import numpy as np

from myoflow.dsp.jit import given, i8, jit, made
from myoflow.dsp.kernel import Array


def anti_alias(up: int, down: int) -> Array:
    """Taps of `scipy.signal.resample_poly`: Kaiser window (beta 5), cut at the lower Nyquist rate, gain `up`."""
    from scipy import signal

    widest = max(up, down)
    taps: Array = signal.firwin(20 * widest + 1, 1.0 / widest, window=("kaiser", 5.0)) * up
    return taps


@jit(given("f4", 2), made("f4", 2), given("f8", 2), i8, i8, i8, i8, fastmath={"reassoc", "contract"})
def _polyphase(x: Array, y: Array, phases: Array, first: int, origin: int, up: int, down: int) -> None:
    """Outputs `first`, `first + 1`, ... into `y`; x[:, 0] is sample `origin` of the signal.

    Output m is sum over k of h[m down + half - k up] x[k]. `phases[p]` holds h[p], h[p + up], ... backwards, so
    that one output is a dot product with consecutive samples. Its length is fixed: the order of additions, and so
    the last bit, does not depend on the chunk.
    """
    taps = phases.shape[1]
    half = 10 * max(up, down)
    for c in range(x.shape[0]):
        for i in range(y.shape[1]):
            centre = (first + i) * down + half
            start = centre // up - taps + 1 - origin
            phase = centre % up
            total = 0.0
            for j in range(taps):
                total += phases[phase, j] * x[c, start + j]
            y[c, i] = total


class Polyphase:
    """Rate times `up / down` for `(channel, time)`; equal to `scipy.signal.resample_poly(x, up, down)`.

    Before the first and after the last sample the signal counts as zero. For n samples there are
    `ceil(n up / down)` outputs.
    """

    def __init__(self, channels: int, up: int, down: int) -> None:
        taps = anti_alias(up, down)
        each = -(-len(taps) // up)
        padded = np.zeros(each * up)
        padded[: len(taps)] = taps
        self._phases = np.ascontiguousarray(padded.reshape(each, up).T[:, ::-1])
        self._channels, self._up, self._down = channels, up, down
        self._half = 10 * max(up, down)
        self._kept = np.zeros((channels, each), np.float32)
        self._origin = -each  # signal index of self._kept[:, 0]
        self._seen = 0
        self._given = 0

    def feed(self, chunk: Array) -> Array:
        self._seen += chunk.shape[1]
        x = np.concatenate([self._kept, np.asarray(chunk, np.float32)], axis=1)
        # Output m needs samples up to (m down + half) // up.
        known = (self._seen * self._up - 1 - self._half) // self._down + 1
        return self._emit(x, max(known, self._given))

    def flush(self) -> Array:
        total = -(-self._seen * self._up // self._down)
        need = ((total - 1) * self._down + self._half) // self._up + 1 - self._seen
        x = np.pad(self._kept, ((0, 0), (0, max(need, 0))))
        return self._emit(x, total)

    def _emit(self, x: Array, until: int) -> Array:
        out = np.empty((self._channels, until - self._given), np.float32)
        x = np.ascontiguousarray(x)
        _polyphase(x, out, self._phases, self._given, self._origin, self._up, self._down)
        self._given = until
        oldest = (until * self._down + self._half) // self._up - self._phases.shape[1] + 1
        drop = min(max(oldest - self._origin, 0), x.shape[1])
        self._kept = x[:, drop:].copy()
        self._origin += drop
        return out


class Lines:
    """Rate times `up / down` for `(channel, time)` by straight lines between samples; equal to `numpy.interp`.

    Output m stands at input sample `m down / up`; the last one lies before the last sample.
    """

    def __init__(self, channels: int, up: int, down: int) -> None:
        self._channels, self._up, self._down = channels, up, down
        self._kept = np.empty((channels, 0), np.float32)
        self._origin = 0  # signal index of self._kept[:, 0]
        self._given = 0

    def feed(self, chunk: Array) -> Array:
        x = np.concatenate([self._kept, np.asarray(chunk, np.float32)], axis=1)
        seen = self._origin + x.shape[1]
        until = max(-(-max(seen - 1, 0) * self._up // self._down), self._given)  # outputs before sample seen - 1
        place = np.arange(self._given, until, dtype=np.int64) * self._down
        left, share = place // self._up - self._origin, ((place % self._up) / self._up).astype(np.float32)
        out: Array = x[:, left] + share * (x[:, left + 1] - x[:, left])
        self._given = until
        drop = min(until * self._down // self._up - self._origin, x.shape[1])
        self._kept = x[:, drop:].copy()
        self._origin += drop
        return out

    def flush(self) -> Array:
        return np.empty((self._channels, 0), np.float32)


class EveryNth:
    """Samples 0, n, 2 n, ... of `(channel, time)`."""

    def __init__(self, channels: int, factor: int) -> None:
        self._channels = channels
        self._factor = factor
        self._skip = 0

    def feed(self, chunk: Array) -> Array:
        out = np.array(chunk[:, self._skip :: self._factor], np.float32)
        self._skip = (self._skip - chunk.shape[1]) % self._factor
        return out

    def flush(self) -> Array:
        return np.empty((self._channels, 0), np.float32)
