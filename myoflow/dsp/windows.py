"""Framing: a signal cut into windows of equal length on an even grid."""

from __future__ import annotations

import numpy as np

from myoflow.dsp.kernel import Array


class Framing:
    """`(channel, time)` -> `(window, channel, length)`; window k starts at sample `k stride` of the signal."""

    def __init__(self, channels: int, length: int, stride: int) -> None:
        self._channels, self.length, self.stride = channels, length, stride
        self._kept = np.empty((channels, 0), np.float32)
        self._skip = 0  # samples still to pass over before the next window, where stride > length

    def feed(self, chunk: Array) -> Array:
        skipped = min(self._skip, chunk.shape[1])
        self._skip -= skipped
        x = np.concatenate([self._kept, np.asarray(chunk[:, skipped:], np.float32)], axis=1)
        count = max(0, (x.shape[1] - self.length) // self.stride + 1) if not self._skip else 0
        out = np.empty((count, self._channels, self.length), np.float32)
        for i in range(count):
            out[i] = x[:, i * self.stride : i * self.stride + self.length]
        used = count * self.stride
        self._skip += max(0, used - x.shape[1])
        self._kept = x[:, used:].copy()
        return out

    def flush(self) -> Array:
        return np.empty((0, self._channels, self.length), np.float32)


class OneWhole:
    """All of a signal `(channel, time)` as one `(utterance 1, channel, time)`, at its end."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._chunks: list[Array] = []

    def feed(self, chunk: Array) -> Array:
        self._chunks.append(np.array(chunk, np.float32))
        return np.empty((0, self._channels, 0), np.float32)

    def flush(self) -> Array:
        whole = np.concatenate([np.empty((self._channels, 0), np.float32), *self._chunks], axis=1)
        return whole[None] if whole.shape[1] else np.empty((0, self._channels, 0), np.float32)
