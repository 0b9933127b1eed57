"""Listener: a small network from log-mel bands to letters, the judge of made speech."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 2  # frames of sound for one of letters
SPAN = 11  # frames that a layer sees at once


class Layer(nn.Module):
    """A depthwise convolution over time, then a wide layer for each frame, added to the input (Liu et al. 2022)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.over = nn.Conv1d(width, width, SPAN, padding=SPAN // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * width)
        self.back = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.over(x.transpose(1, 2)).transpose(1, 2))
        out: Tensor = x + self.dropout(self.back(F.gelu(self.wide(y))))
        return out


class Listener(nn.Module):
    """Bands `(utterance, frame, band)` -> logits `(utterance, frame // 2, symbol)`, the last symbol the blank.

    Takes a mapping of `values` and `length`, too, and then gives one of `logits` and `length`; padding is kept at zero,
    so an utterance is heard alike in any company. `mean` and `scale` of the bands belong to the weights.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, bands: int, symbols: int, *, width: int = 96, layers: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("scale", torch.ones(bands))
        self.first = nn.Conv1d(bands, width, 5, STRIDE, padding=2)
        self.layers = nn.ModuleList(Layer(width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, symbols)

    def forward(self, batch: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        if isinstance(batch, Tensor):
            return self._heard(batch, None)
        length = batch["length"]
        logits = self._heard(batch["values"], length)
        return {"logits": logits, "length": torch.div(length + STRIDE - 1, STRIDE, rounding_mode="floor")}

    def _heard(self, values: Tensor, length: Tensor | None) -> Tensor:
        x = (values - self.mean) / self.scale
        x = F.gelu(self.first(self._cleared(x, length).transpose(1, 2)).transpose(1, 2))
        short = None if length is None else torch.div(length + STRIDE - 1, STRIDE, rounding_mode="floor")
        x = self._cleared(x, short)
        for layer in self.layers:
            x = self._cleared(layer(x), short)
        logits: Tensor = self.out(self.norm(x))
        return logits

    def _cleared(self, x: Tensor, length: Tensor | None) -> Tensor:
        if length is None:
            return x
        inside = torch.arange(x.shape[1], device=x.device) < length[:, None]
        return x * inside[:, :, None].to(x.dtype)
