"""The encoder over frames of an utterance: TinyMyo's blocks, with positions in time and a mask over padding.

Parameter names of the blocks are those of nn/encoder.py, so that pre-trained blocks load by name.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from myoflow.nn.encoder import Attention, Block, Dropout, attend, rotary_table
from myoflow.nn.utterances import Batch, closed, inside, opened

REACH = 99  # frames that relative positions tell apart on each side, as published


class FrameEncoder(nn.Module):
    """Frames in, frames out: `(utterance, frame, features)` -> `(utterance, frame, width)`.

    `positions="rotary"` turns queries and keys by the frame's number; `"relative"` adds to each pair's score a learned
    product of the query and a vector for their distance, per head and layer, and looks no further than 99 frames (Gaddy
    and Klein 2021; their vectors never got a gradient in the published TinyMyo code, here they do); `"none"` knows no
    order. `lookahead` is how many frames of the future the whole encoder sees, None for all: frames come in
    chunks of that size, and each sees its own chunk and those before it, in every layer `context` of them (None: all).
    """

    turn: Tensor

    def __init__(
        self,
        *,
        features: int,
        width: int,
        layers: int,
        heads: int,
        mlp: int,
        positions: Literal["rotary", "relative", "none"],
        dropout: float,
        drop_path: float,
        attention_dropout: float,
        lookahead: int | None = None,
        context: int | None = None,
    ) -> None:
        super().__init__()
        self.lookahead, self.context = lookahead, context
        self.rotary = width // heads if positions == "rotary" else 0
        self.embed = nn.Linear(features, width)
        self.blocks = nn.ModuleList(
            FrameBlock(width, heads, mlp, dropout, drop_path, attention_dropout, relative=positions == "relative")
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.register_buffer("turn", torch.empty(0), persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """As nn/encoder.py does: Xavier for every matrix, zero biases, outputs of layer l shrunk by √(2l)."""
        nn.init.xavier_uniform_(self.embed.weight)
        for depth, block in enumerate(self.blocks, start=1):
            assert isinstance(block, FrameBlock)
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
            with torch.no_grad():
                block.attn.proj.weight /= math.sqrt(2 * depth)
                block.mlp.fc2.weight /= math.sqrt(2 * depth)

    def forward(self, batch: Batch) -> Batch:
        x, length = opened(batch)
        x = self.embed(x)
        frames = x.shape[1]
        turn = self.turns(frames, x) if self.rotary else None
        mask = self.mask(frames, length, x.device)
        for block in self.blocks:
            x = block(x, turn, mask)
        x = self.norm(x)
        if length is not None:
            x = x * inside(length, frames)[..., None].to(x.dtype)
        return closed(x, length)

    def turns(self, frames: int, like: Tensor) -> Tensor:
        """The rotary table of so many frames; the longest so far is kept."""
        if len(self.turn) < frames or self.turn.device != like.device:
            self.turn = rotary_table(1, max(frames, 256), self.rotary).to(like.device)
        return self.turn[:frames]

    def mask(self, frames: int, length: Tensor | None, device: torch.device) -> Tensor | None:
        """True where a frame (second last axis) may look at another: `(utterance or 1, 1, frame or 1, frame)`."""
        seen = None if length is None else inside(length, frames)[:, None, None]
        if self.lookahead is None:
            return seen
        chunk = torch.arange(frames, device=device) // max(self.lookahead, 1)
        past = (chunk[None, :] <= chunk[:, None])[None, None]
        if self.context is not None:
            past = past & (chunk[None, :] >= chunk[:, None] - self.context)
        return past if seen is None else past & seen


class FrameBlock(Block):
    """TinyMyo's pre-LN block whose attention keeps to a mask."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp: int,
        dropout: float,
        drop_path: float,
        attention_dropout: float,
        *,
        relative: bool = False,
    ) -> None:
        super().__init__(width, heads, mlp, dropout, drop_path, attention_dropout)
        if relative:
            self.attn = RelativeAttention(width, heads, dropout, attention_dropout)


class RelativeAttention(Attention):
    """Attention with a learned vector per head and distance; pairs further apart than REACH do not meet.

    Source: Shaw et al. 2018, arXiv 1803.02155, for keys only. The fused kernel cannot do it: 1.5 to 2 times as slow.
    """

    def __init__(self, width: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__(width, heads, dropout, attention_dropout)
        self.distance = nn.Parameter(torch.empty(heads, 2 * REACH + 1, width // heads))
        nn.init.normal_(self.distance, std=(width // heads) ** -0.5)

    def forward(self, x: Tensor, turn: Tensor | None, mask: Tensor | None = None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        frames = x.shape[1]
        place = torch.arange(frames, device=x.device)
        apart = place[None, :] - place[:, None]  # (query, key)
        scores = query @ self.distance.transpose(-2, -1)  # (utterance, head, query, distance)
        index = (apart.clamp(-REACH, REACH) + REACH).expand(*scores.shape[:2], frames, frames)
        bias = scores.gather(-1, index) / math.sqrt(query.shape[-1])
        near = (apart.abs() <= REACH)[None, None]
        allowed = near if mask is None else near & mask
        bias = bias.masked_fill(~allowed, -math.inf)
        bias = bias.masked_fill(~allowed.any(-1, keepdim=True), 0.0)  # a row of padding sees all rather than nothing
        dropout = self.attention_dropout if self.training else 0.0
        out: Tensor = attend(query, key, value, dropout, bias).transpose(1, 2).flatten(2)
        return self.drop(self.proj(out))  # type: ignore[no-any-return]


class FrameHead(nn.Module):
    """`(utterance, frame, width)` -> `(utterance, frame, outputs)`: dropout and one linear layer."""

    def __init__(self, width: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = Dropout(dropout)
        self.linear = nn.Linear(width, outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, batch: Batch) -> Batch:
        x, length = opened(batch)
        return closed(self.linear(self.drop(x)), length)
