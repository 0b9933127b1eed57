"""Inference: a trained network arranged for running elsewhere; the same function in fewer and simpler operations.

What a norm scales and shifts goes into the layer behind it, `1 / sqrt(d)` into the queries' weights, dropout and masks
away. Rotary positions turn pairs of neighbouring features; since `q k` does not change when both are put into another
order, the pairs' first halves come first here, so that a rotation is two contiguous halves and not a shuffle (which
takes a quarter of OpenVINO's time). Layers keep their names.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.nn.adapt import LowRank
from myoflow.nn.encoder import Attention, Block, Encoder


def arranged(module: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, each `Encoder` in it replaced by its form for inference, and thin products
    put into their layers: what a norm shifts goes into all of a layer that stands behind it."""
    if isinstance(module, LowRank):
        return module.merged().eval()
    copied = copy.copy(module)
    copied._modules = {name: child and arranged(child) for name, child in module._modules.items()}
    return InferenceEncoder(copied).eval() if isinstance(copied, Encoder) else copied.eval()


class InferenceEncoder(nn.Module):
    """An `Encoder` in eval mode and without a mask: `(batch, channel, patch, features)` to `feature` = width."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.grid = encoder.grid
        self.embed, self.norm = encoder.embed, encoder.norm
        self.channel_embed = encoder.channel_embed
        turn = None
        if isinstance(encoder.turn, Tensor):
            turn = torch.cat((encoder.turn, encoder.turn), -2)[:, 0].movedim(-1, 0).transpose(1, 2)[:, None]
        self.register_buffer("turn", turn, persistent=False)  # (2, 1, 1, token, width of a head)
        self.blocks = nn.ModuleList(InferenceBlock(block) for block in encoder.blocks if isinstance(block, Block))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        if self.channel_embed is not None:
            x = x + self.channel_embed
        x = x.flatten(1, 2)
        for block in self.blocks:
            x = block(x, self.turn)
        out: Tensor = self.norm(x).unflatten(1, self.grid)
        return out


class InferenceBlock(nn.Module):
    """A `Block` in eval mode."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm1, self.norm2 = plain(block.norm1), plain(block.norm2)
        self.attn = InferenceAttention(block.attn, block.norm1)
        self.mlp = nn.Sequential()
        self.mlp.add_module("fc1", behind(block.norm2, block.mlp.fc1))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("fc2", block.mlp.fc2)

    def forward(self, x: Tensor, turn: Tensor | None) -> Tensor:
        x = x + self.attn(self.norm1(x), turn)
        return torch.add(x, self.mlp(self.norm2(x)))


class InferenceAttention(nn.Module):
    """An `Attention` behind a norm, its queries scaled, the pairs of queries and keys in halves."""

    def __init__(self, attention: Attention, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.heads = attention.heads
        self.qkv = behind(norm, attention.qkv)
        self.proj = attention.proj
        width = self.qkv.in_features // self.heads
        halves = torch.cat((torch.arange(0, width, 2), torch.arange(1, width, 2)))
        with torch.no_grad():
            for values in (self.qkv.weight, self.qkv.bias):
                heads = values.view(3, self.heads, width, *values.shape[1:])
                heads[:2] = heads[:2, :, halves]
                heads[0] *= width**-0.5

    def forward(self, x: Tensor, turn: Tensor | None) -> Tensor:
        parts = self.qkv(x).chunk(3, -1)  # three slices in a row; what follows is a view of each
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        if turn is not None:
            query, key = rotate_halves(query, turn), rotate_halves(key, turn)
        out: Tensor = self.proj(attend(query, key, value).transpose(1, 2).flatten(2))
        return out


def rotate_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turns feature i and i + width / 2 of `x` `(batch, head, token, feature)` as a pair; `turn` is cosine and sine.

    In slices and after the transposition: the form that OpenVINO knows as a rotation and runs as one operation.
    """
    half = x.shape[-1] // 2
    return x * turn[0] + torch.cat((-x[..., half:], x[..., :half]), -1) * turn[1]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of scaled queries, `(batch, head, token, feature)`: torch's fused one, spelt out for other runtimes.

    What torch's exporter makes of the fused one transposes the keys by itself; runtimes fuse the plain products.
    """
    if torch.compiler.is_exporting():
        return torch.softmax(query @ key.transpose(-1, -2), -1) @ value
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)


def behind(norm: nn.LayerNorm, layer: nn.Linear) -> nn.Linear:
    """`layer` as it is behind `plain(norm)`: `W (g n + s) + b = (W g) n + (W s + b)`."""
    made = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        weight = layer.weight.double()
        made.weight.copy_(weight * norm.weight.double())
        made.bias.copy_(layer.bias.double() + weight @ norm.bias.double())
    return made


def plain(norm: nn.LayerNorm) -> nn.LayerNorm:
    """The norm without its scale and shift."""
    return nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)
