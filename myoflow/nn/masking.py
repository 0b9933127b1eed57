"""Masked reconstruction: which patches are hidden, the decoder that guesses them, and the loss."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pattern = Literal["random", "span", "channel"]


class Decoder(nn.Module):
    """`(batch, channel, patch, width)` -> `(batch, channel, patch, feature)`: one linear layer for every token."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.decoder_pred = nn.Linear(width, features)
        nn.init.xavier_uniform_(self.decoder_pred.weight)
        nn.init.zeros_(self.decoder_pred.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.decoder_pred(tokens)
        return out


def masks(
    present: npt.NDArray[np.bool_], patches: int, share: float, pattern: Pattern, block: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Hidden patches `(window, channel, patch)` of windows whose electrodes are `present` `(window, channel)`.

    Of each window's patches on real electrodes the same number, `share` of them to the nearest, is hidden:

    - `random`: anywhere;
    - `span`: in runs of `block` neighbouring patches of one channel, the last run cut short;
    - `channel`: whole channels, the last one in part.

    Electrodes that are not there are never hidden. Random masking is the paper's (arXiv 2512.15729), 50 %.
    """
    windows, channels = present.shape
    # Every patch gets a key; the smallest are hidden. A run shares the leading part of its key, so it goes together.
    if pattern == "random":
        key = rng.random((windows, channels, patches))
    elif pattern == "channel":
        key = np.repeat(rng.random((windows, channels, 1)), patches, 2)
    else:
        runs = -(-patches // block) + 1
        shift = rng.integers(0, block, (windows, channels, 1))  # runs do not always begin at the same patch
        run = (np.arange(patches) + shift) // block
        key = np.take_along_axis(rng.random((windows, channels, runs)), run, 2)
    key = np.where(present[:, :, None], key, np.inf).reshape(windows, -1)
    order = np.argsort(key, axis=1, kind="stable")
    count = np.round(share * present.sum(1) * patches).astype(np.int64)
    hidden = np.zeros_like(key, dtype=bool)
    np.put_along_axis(hidden, order, np.arange(key.shape[1]) < count[:, None], axis=1)
    return hidden.reshape(windows, channels, patches)


def reconstruction_loss(
    guess: Tensor, truth: Tensor, mask: Tensor, present: Tensor | None = None, visible: float = 0.1
) -> tuple[Tensor, Tensor]:
    """SmoothL1 over hidden patches plus `visible` times that over the others, and the first term alone.

    `guess` and `truth` `(window, channel, patch, feature)`, `mask` True where hidden, `present` `(window, channel)`
    True where there is an electrode; others are not scored. Each term is the mean over a window's own samples (beta
    1), and then over windows, so that each window weighs the same however many electrodes it has.
    """
    loss = F.smooth_l1_loss(guess, truth, reduction="none").mean(-1)
    real = torch.ones_like(mask) if present is None else present[..., None].expand_as(mask)
    hidden, shown = mask & real, ~mask & real
    masked = ((loss * hidden).sum((1, 2)) / hidden.sum((1, 2)).clamp(min=1)).mean()
    seen = ((loss * shown).sum((1, 2)) / shown.sum((1, 2)).clamp(min=1)).mean()
    return masked + visible * seen, masked


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
