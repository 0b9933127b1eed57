"""Masking: which patches of a window are hidden from the encoder, and guesses of them that need no learning."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import frozen

Pattern = Literal["random", "span", "channel"]


@frozen
class Hiding:
    """How patches are hidden: `share` of those on real electrodes, in a pattern.

    - `random`: anywhere;
    - `span`: in runs of `block` neighbouring patches of one channel, the last run cut short;
    - `channel`: whole channels, the last one in part.

    Random masking is the paper's (arXiv 2512.15729), 50 %.
    """

    share: float = 0.5
    pattern: Pattern = "random"
    block: int = 5

    def masks(
        self, present: npt.NDArray[np.bool_], patches: int, draws: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Hidden patches `(window, channel, patch)` of windows whose electrodes are `present` `(window, channel)`.

        Of each window the same share is hidden, to the nearest patch, one at least and never all, and nothing of
        electrodes that are not there. What is hidden depends on the window's own number in `draws` alone, and not on
        its neighbours in a batch.
        """
        windows, channels = present.shape
        real = np.repeat(present, patches, 1)
        # Every patch gets a key; the smallest are hidden. A run shares its key, so it goes together, in order.
        place = np.arange(channels * patches, dtype=np.uint64)
        low = np.uint64(2 ** max(16, (len(place) - 1).bit_length()) - 1)  # bits that tell places apart
        key = np.where(real, self._keys(channels, patches, draws) & ~low | place, np.uint64(2**64 - 1))
        order = np.argsort(key, axis=1)
        there = present.sum(1) * patches
        count = np.round(self.share * there).astype(np.int64).clip(np.minimum(there, 1), np.maximum(there - 1, 1))
        count = np.minimum(count, there)
        hidden = np.zeros(key.shape, bool)
        np.put_along_axis(hidden, order, np.arange(key.shape[1]) < count[:, None], axis=1)
        return hidden.reshape(windows, channels, patches)

    def _keys(self, channels: int, patches: int, draws: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Random numbers `(window, channel * patch)`, the same for patches that are hidden together."""
        if self.pattern == "random":
            return _random(draws, channels * patches)
        if self.pattern == "channel":
            return np.repeat(_random(draws, channels), patches, 1)
        runs = -(-patches // self.block) + 1
        numbers = _random(draws, channels * (runs + 1)).reshape(len(draws), channels, runs + 1)
        shift = numbers[..., :1] % np.uint64(self.block)  # runs do not always begin at the same patch
        run = (np.arange(patches, dtype=np.uint64) + shift) // np.uint64(self.block)
        return np.take_along_axis(numbers[..., 1:], run.astype(np.int64), 2).reshape(len(draws), -1)


def _random(draws: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint64]:
    """`count` random numbers of 64 bits for each draw, `(draw, count)`.

    SplitMix64 (Steele, Lea and Flood 2014) with the draw as its seed: a generator object for every window of a large
    batch would take longer than a GPU's step.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    seed = _mixed(draws.astype(np.uint64) + step)
    return _mixed(seed[:, None] + step * np.arange(1, count + 1, dtype=np.uint64))


def _mixed(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def patch_mean(truth: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """A guess without learning: every hidden patch is the mean of the visible patches of its window."""
    shown = ~mask[..., None]
    total = (truth * shown).sum((1, 2), keepdims=True)
    return np.broadcast_to(total / np.maximum(shown.sum((1, 2), keepdims=True), 1), truth.shape)


def interpolated(truth: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """A guess without learning: straight lines between the visible samples of the same channel; 0 where none is."""
    out = np.zeros_like(truth)
    windows, channels, patches, features = truth.shape
    time = np.arange(patches * features)
    for i in range(windows):
        for c in range(channels):
            shown = np.repeat(~mask[i, c], features)
            if shown.any():
                line = np.interp(time, time[shown], truth[i, c].ravel()[shown])
                out[i, c] = line.reshape(patches, features)
    return out
