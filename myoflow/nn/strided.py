"""Strided: windows of all channels to frames by one convolution, each frame from samples up to its own time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.nn.encoder import Dropout


class StridedConv(nn.Module):
    """`(window, channel, time)` -> `(window, frame, width)`: convolution without padding, GELU, dropout, layer norm.

    Frame f hears samples `f stride` to `f stride + kernel - 1`.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, width, kernel, stride=stride)
        self.drop = Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.drop(F.gelu(self.conv(x))).transpose(1, 2))
        return out
