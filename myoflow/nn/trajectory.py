"""The regression head of TinyMyo: tokens of all channels to trajectories, one value per output and time step."""

from __future__ import annotations

import torch
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


class ScaledTrajectory(Trajectory):
    """The head with a scale and a centre per output behind it, which are measured on training data, not trained."""

    spread: Tensor
    centre: Tensor

    def __init__(self, inputs: int, outputs: int, length: int, *, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__(inputs, outputs, length, hidden=hidden, dropout=dropout)
        self.register_buffer("spread", torch.ones(outputs))
        self.register_buffer("centre", torch.zeros(outputs))

    def measure(self, centre: Tensor, spread: Tensor) -> None:
        """Set what the outputs are scaled by."""
        self.centre.copy_(centre)
        self.spread.copy_(spread)

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).float() * self.spread + self.centre


class Balanced(nn.Module):
    """A network that ends in a scaled head, with the head's spread beside what it gives."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        heads = [part for part in module.modules() if isinstance(part, ScaledTrajectory)]
        self._head = heads[-1:]  # in a list, which is no second registration of its parameters

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        values = self.module(x)
        spread = self._head[0].spread if self._head else torch.ones(values.shape[-1], device=values.device)
        return {"values": values, "spread": spread}
