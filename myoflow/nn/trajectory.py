"""The regression head of TinyMyo: tokens of all channels to trajectories, one value per output and time step."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Trajectory(nn.Module):
    """`(batch, channel, patch, feature)` -> `(batch, time, output)`.

    The channels of a patch stand side by side (channel-major); a convolution of width 1 to `hidden` features, SiLU and
    dropout, a depthwise one of width 3 over patches, SiLU, and one of width 1 to the outputs; the patches' values are
    then interpolated linearly to `length` time steps, whose centres are spread evenly over the window. Parameter
    names `regressor.0`, `.3`, `.5` are those of the published code (arXiv 2512.15729).
    """

    def __init__(self, inputs: int, outputs: int, length: int, *, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.length = length
        self.regressor = nn.Sequential(
            nn.Conv1d(inputs, hidden, 1),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv1d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.SiLU(),
            nn.Conv1d(hidden, outputs, 1),
        )
        for layer in self.regressor:
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens.transpose(2, 3).flatten(1, 2)  # (batch, channel * feature, patch)
        x = self.regressor(x)
        if x.shape[-1] != self.length:
            x = F.interpolate(x, size=self.length, mode="linear", align_corners=False)
        return x.transpose(1, 2)
