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

        Of each window the same share is hidden, to the nearest patch, never of electrodes that are not there. What is
        hidden depends on the window's own number in `draws` alone, and not on its neighbours in a batch.
        """
        windows, channels = present.shape
        # Every patch gets a key; the smallest are hidden. A run shares its key, so it goes together.
        key = np.empty((windows, channels, patches))
        for row, number in enumerate(draws):
            key[row] = self._keys(channels, patches, np.random.default_rng([17, int(number)]))
        flat = np.where(present[:, :, None], key, np.inf).reshape(windows, -1)
        order = np.argsort(flat, axis=1, kind="stable")
        count = np.round(self.share * present.sum(1) * patches).astype(np.int64)
        hidden = np.zeros(flat.shape, bool)
        np.put_along_axis(hidden, order, np.arange(flat.shape[1]) < count[:, None], axis=1)
        return hidden.reshape(windows, channels, patches)

    def _keys(self, channels: int, patches: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        if self.pattern == "random":
            return rng.random((channels, patches))
        if self.pattern == "channel":
            return np.repeat(rng.random((channels, 1)), patches, 1)
        shift = rng.integers(0, self.block, (channels, 1))  # runs do not always begin at the same patch
        run = (np.arange(patches) + shift) // self.block
        return np.take_along_axis(rng.random((channels, -(-patches // self.block) + 1)), run, 1)


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
