"""Moving statistics along time: averages over the last n samples, and an exponentially weighted z-score."""

from __future__ import annotations

import math

import numpy as np

from myoflow.dsp.jit import f8, given, i8, jit, made
from myoflow.dsp.kernel import Array


@jit(given("f4", 2), made("f4", 2), made("f8", 2), made("f8", 2), made("f8", 1), i8, i8)
def _moving(x: Array, y: Array, block: Array, tails: Array, head: Array, seen: int, squared: int) -> None:
    """Mean of the last n values of x^2 (then its root) or of |x|; of all so far where there are fewer.

    Time is cut into blocks of n. A window is the tail of the block before and the head of this one, whose sums
    are kept separately: nothing is ever subtracted, so no error builds up and a NaN leaves with its sample.
    """
    n = block.shape[1]
    for c in range(x.shape[0]):
        at = seen % n
        total = head[c]
        for t in range(x.shape[1]):
            value = float(x[c, t])
            value = value * value if squared else abs(value)
            block[c, at] = value
            total += value
            mean = (total + tails[c, at + 1]) / min(seen + t + 1, n)
            y[c, t] = math.sqrt(mean) if squared else mean
            at += 1
            if at == n:
                at = 0
                total = 0.0
                tails[c, n] = 0.0
                for i in range(n - 1, -1, -1):
                    tails[c, i] = tails[c, i + 1] + block[c, i]
        head[c] = total


class MovingAverage:
    """Root mean square or mean absolute value of the last `length` samples, `(channel, time)`."""

    def __init__(self, channels: int, length: int, *, squared: bool) -> None:
        self._block = np.zeros((channels, length))
        self._tails = np.zeros((channels, length + 1))
        self._head = np.zeros(channels)
        self._squared = int(squared)
        self._seen = 0

    def feed(self, chunk: Array) -> Array:
        x = np.ascontiguousarray(chunk, np.float32)
        out = np.empty(x.shape, np.float32)
        _moving(x, out, self._block, self._tails, self._head, self._seen, self._squared)
        self._seen += x.shape[1]
        return out

    def flush(self) -> Array:
        return np.empty((len(self._head), 0), np.float32)


@jit(given("f4", 2), made("f4", 2), made("f8", 2), f8)
def _running(x: Array, y: Array, state: Array, slowest: float) -> None:
    """Per channel; `state` (channel, 3): mean, variance, count of finite samples."""
    for c in range(x.shape[0]):
        mean, variance, count = state[c, 0], state[c, 1], state[c, 2]
        for t in range(x.shape[1]):
            value = float(x[c, t])
            if math.isfinite(value):
                count += 1.0
                share = max(slowest, 1.0 / count)
                off = value - mean
                mean += share * off
                variance = (1.0 - share) * (variance + share * off * off)
            y[c, t] = (value - mean) / (math.sqrt(variance) if variance > 0.0 else 1.0)
        state[c, 0], state[c, 1], state[c, 2] = mean, variance, count


@jit(given("f4", 2), made("f4", 2), made("f8", 2), f8)
def _running_pooled(x: Array, y: Array, state: Array, slowest: float) -> None:
    """One mean and variance for all channels: each sample's channels enter together. `state` (1, 3)."""
    mean, variance, count = state[0, 0], state[0, 1], state[0, 2]
    channels = x.shape[0]
    for t in range(x.shape[1]):
        total = 0.0
        finite = 0
        for c in range(channels):
            value = float(x[c, t])
            if math.isfinite(value):
                if count == 0.0 and finite == 0:
                    mean = value  # where to begin; a constant signal then has exactly no variance
                total += value - mean
                finite += 1
        if finite > 0:
            count += 1.0
            share = max(slowest, 1.0 / count)
            step = total / finite
            spread = 0.0
            for c in range(channels):
                value = float(x[c, t])
                if math.isfinite(value):
                    off = value - mean
                    spread += off * off
            # Mean of (x - m)^2 over the channels, less what the new mean explains.
            variance = (1.0 - share) * variance + share * (spread / finite) - (share * step) * (share * step)
            variance = max(variance, 0.0)
            mean += share * step
        scale = math.sqrt(variance) if variance > 0.0 else 1.0
        for c in range(channels):
            y[c, t] = (float(x[c, t]) - mean) / scale
    state[0, 0], state[0, 1], state[0, 2] = mean, variance, count


class RunningZscore:
    """`(x - mean) / std`, exponentially weighted over the past of `(channel, time)`.

    West 1979 (doi 10.1145/359146.359153); the weight of a new sample is `1 - exp(-1 / span)`, or `1 / n` for the
    first ones. `span` is the time constant in samples.
    """

    def __init__(self, channels: int, span: float, *, pooled: bool) -> None:
        self._channels = channels
        self._pooled = pooled
        self._slowest = -math.expm1(-1.0 / span)
        self._state = np.zeros((1 if pooled else channels, 3))

    def feed(self, chunk: Array) -> Array:
        x = np.ascontiguousarray(chunk, np.float32)
        out = np.empty(x.shape, np.float32)
        (_running_pooled if self._pooled else _running)(x, out, self._state, self._slowest)
        return out

    def flush(self) -> Array:
        return np.empty((self._channels, 0), np.float32)
