"""Adapt: which parts of a pre-trained encoder go on learning, and how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.nn.encoder import Block, Encoder
from myoflow.nn.frames import FrameEncoder

Adapt = Literal["full", "frozen", "lora"]


class LowRank(nn.Linear):
    """A linear layer that stays, plus a product of two thin matrices that learns: `W x + b + up (down x)`.

    `up` starts at zero, so that a fresh layer gives what the plain one gives. Names of the plain weights do not
    change. Source: Hu et al. 2021, LoRA, arXiv 2106.09685, with their scale alpha / r = 1.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(super().forward(x), F.linear(F.linear(x, self.lora_down), self.lora_up))

    def merged(self) -> nn.Linear:
        """One plain layer that gives the same."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        with torch.no_grad():
            plain.weight.copy_(self.weight + self.lora_up @ self.lora_down)
            if self.bias is not None:
                plain.bias.copy_(self.bias)
        return plain


def adapt(encoder: Encoder | FrameEncoder, how: Adapt, rank: int = 8) -> None:
    """Let everything of the encoder learn, nothing, or thin products beside the matrices of its blocks."""
    if how == "full":
        return
    encoder.requires_grad_(False)
    if how == "lora":
        for block in encoder.blocks:
            assert isinstance(block, Block)
            for parent in (block.attn, block.mlp):
                for name, layer in list(parent.named_children()):
                    if isinstance(layer, nn.Linear):
                        setattr(parent, name, LowRank(layer, rank))


def merge(module: nn.Module) -> None:
    """Put every thin product into its layer, in place: the same outputs with the parameters of the plain network."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRank):
                setattr(parent, name, layer.merged())


def merged_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors or arrays by name with every thin product put into its matrix, as `merge` does with modules."""
    found = {name: value for name, value in weights.items() if not is_thin(name)}
    for name, down in weights.items():
        layer, _, kind = name.rpartition(".")
        if kind == "lora_down":
            found[f"{layer}.weight"] = found[f"{layer}.weight"] + weights[f"{layer}.lora_up"] @ down
    return found


def still(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The thin products of `weights` with nothing in them: beside merged matrices they change nothing."""
    thin = {name: value for name, value in weights.items() if is_thin(name)}
    return {name: value * 0 if name.endswith("lora_up") else value for name, value in thin.items()}


def is_thin(name: str) -> bool:
    """Whether a tensor of this name is a part of a thin product."""
    return name.rpartition(".")[2] in ("lora_up", "lora_down")


def layer_rates(encoder: Encoder | FrameEncoder, decay: float) -> None:
    """Mark every parameter with its share of the learning rate, which the optimiser reads (`lr_scale`).

    The final norm has all of it; block l of L has `decay^(L - l)`, what lies before the blocks `decay^(L + 1)`.
    """
    depth = len(encoder.blocks)
    for name, parameter in encoder.named_parameters():
        parts = name.split(".")
        below = depth - int(parts[1]) if parts[0] == "blocks" else 0 if parts[0] == "norm" else depth + 1
        parameter.lr_scale = decay**below  # type: ignore[attr-defined]
