"""The TinyMyo network, top to bottom: patches, encoder, classifier.

Shapes are `(batch, channel, patch, feature)` between the parts; inside the encoder all patches of all channels are
one sequence `(batch, token, width)`, channel-major. Parameter names are those of the published code (arXiv
2512.15729, BioFoundation), save `embed` for its patch convolution, so that loading its weights is a renaming.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Positions = Literal["rotary", "flat", "none"]
Past = Callable[["Attention", Tensor, Tensor | None], Tensor]


class Patches(nn.Module):
    """`(batch, channel, time)` -> `(batch, channel, patch, feature)`: a reshape.

    Of a mapping, which also says what is hidden from the encoder, the signal `emg` is cut and the rest passed on.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        return self.cut(x) if isinstance(x, Tensor) else {**x, "emg": self.cut(x["emg"])}

    def cut(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], -1, self.length)


class Encoder(nn.Module):
    """Tokens in, tokens out: `(batch, channel, patch, features)` -> `(batch, channel, patch, width)`.

    `positions="rotary"` numbers the patches of every channel from 0 and adds a learned vector per channel; `"flat"`
    numbers all tokens in a row; `"none"` treats them as a set. Where `mask` `(batch, channel, patch)` is True, a
    learned token stands in for the embedded patch (masked reconstruction); it has no gradient until something asks
    for it. Where `present` `(batch, channel)` is False there is no electrode: nobody attends to its tokens, whose own
    outputs mean nothing. Both may also come in a mapping, beside the tokens as `emg`. With `leave` there may be more
    channels than it was made for, and those behind are left out.
    """

    def __init__(
        self,
        *,
        channels: int,
        patches: int,
        features: int,
        width: int = 192,
        layers: int = 8,
        heads: int = 3,
        mlp: int = 4,
        positions: Positions = "rotary",
        dropout: float = 0.1,
        drop_path: float = 0.1,
        attention_dropout: float = 0.0,
        leave: bool = False,
    ) -> None:
        super().__init__()
        self.grid = (channels, patches)
        self.leave = leave
        self.embed = nn.Linear(features, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width), requires_grad=False)
        self.channel_embed: nn.Parameter | None = None
        turn = None
        if positions == "rotary":
            self.channel_embed = nn.Parameter(torch.zeros(1, channels, 1, width))
            turn = rotary_table(channels, patches, width // heads)
        elif positions == "flat":
            turn = rotary_table(1, channels * patches, width // heads)
        self.register_buffer("turn", turn, persistent=False)
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp, dropout, drop_path, attention_dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.initialise()

    def initialise(self) -> None:
        """Xavier for every matrix, zero biases (the embedding's stays torch's); layer l's outputs shrink by √(2l)."""
        nn.init.xavier_uniform_(self.embed.weight)
        for token in (self.mask_token, self.channel_embed):
            if token is not None:
                nn.init.trunc_normal_(token, std=0.02, a=-0.02, b=0.02)
        for depth, block in enumerate(self.blocks, start=1):
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
            assert isinstance(block, Block)
            with torch.no_grad():
                block.attn.proj.weight /= math.sqrt(2 * depth)
                block.mlp.fc2.weight /= math.sqrt(2 * depth)

    def forward(
        self, tokens: Tensor | Mapping[str, Tensor], mask: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        if not isinstance(tokens, Tensor):
            mask, present = tokens.get("mask"), tokens.get("present")
            tokens = tokens["emg"]
        if self.leave:
            first = self.grid[0]
            tokens = tokens[:, :first]
            mask, present = (x if x is None else x[:, :first] for x in (mask, present))
        if tuple(tokens.shape[1:3]) != self.grid:  # a single channel would broadcast, others regroup, unnoticed
            raise ValueError(
                f"tokens {tuple(tokens.shape)} do not have the (channel, patch) {self.grid} of this encoder"
            )
        x = self.embed(tokens)
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), self.mask_token.to(x.dtype), x)
        if self.channel_embed is not None:
            x = x + self.channel_embed
        x = x.flatten(1, 2)
        keys = None if present is None else present.repeat_interleave(self.grid[1], 1)[:, None, None]
        for block in self.blocks:
            x = block(x, self.turn, keys)
        out: Tensor = self.norm(x).unflatten(1, self.grid)
        return out


class Block(nn.Module):
    """Pre-LN transformer block: `x + drop(attn(norm1(x)))`, then `x + drop(mlp(norm2(x)))`."""

    def __init__(
        self, width: int, heads: int, mlp: int, dropout: float, drop_path: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = Attention(width, heads, dropout, attention_dropout)
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = FeedForward(width, mlp * width, dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, turn: Tensor | None, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """`past`: what live attention remembers of the tokens before these (nn/flow.py)."""
        seen = self.norm1(x)
        x = x + self.drop_path(self.attn(seen, turn, mask) if past is None else past(self.attn, seen, turn))
        return torch.add(x, self.drop_path(self.mlp(self.norm2(x))))


class Attention(nn.Module):
    """Multi-head self-attention over all tokens, or those where `mask` `(batch, 1, token or 1, token)` is True."""

    def __init__(self, width: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, turn: Tensor | None, mask: Tensor | None = None) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (batch, token, 3, head, feature)
        query_key, value = qkv.split((2, 1), dim=2)
        if turn is not None:
            query_key = rotate(query_key, turn)
        query, key = query_key.unbind(2)
        dropout = self.attention_dropout if self.training else 0.0
        x = attend(query.transpose(1, 2), key.transpose(1, 2), value.squeeze(2).transpose(1, 2), dropout, mask)
        out: Tensor = self.drop(self.proj(x.transpose(1, 2).flatten(2)))
        return out


def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0, mask: Tensor | None = None) -> Tensor:
    """`softmax(q k / sqrt(d)) v` over `(batch, head, token, feature)`; `mask`: which pairs, or what to add to each.

    torch's fused kernel, save when bfloat16 is trained on a CPU: its backward pass there takes 1.5 (400 tokens) to
    6 times (40 tokens) as long as the two products written out.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not query.requires_grad:
        return F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
    scores = query / math.sqrt(query.shape[-1]) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return F.dropout(scores.softmax(-1), dropout) @ value


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))
        return out


class Classifier(nn.Module):
    """`(batch, channel, patch, feature)` -> logits `(batch, label)`: mean over patches, then one linear layer.

    With `concat` the channels stand side by side in its input (channel-major), else they are averaged too.
    """

    def __init__(self, inputs: int, labels: int, *, concat: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.concat = concat
        self.drop = Dropout(dropout)
        self.classifier = nn.Linear(inputs, labels)
        nn.init.xavier_uniform_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens.mean(2).flatten(1) if self.concat else tokens.mean((1, 2))
        out: Tensor = self.classifier(self.drop(x))
        return out


def rotary_table(channels: int, patches: int, width: int) -> Tensor:
    """Cosine and sine of every token's angles: `(token, 1, 1, width / 2, 2)`.

    Pair i of patch p turns by `p / 10000^(2i/width)`; p starts at 0 in every channel. Source: Su et al. 2021,
    RoFormer, arXiv 2104.09864.
    """
    speed = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(patches, dtype=torch.float64), speed).repeat(channels, 1)
    return torch.stack((angle.cos(), angle.sin()), -1).float()[:, None, None]


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turns neighbouring pairs of features of `x` `(batch, token, 2, head, feature)` by `turn` of rotary_table.

    One complex product: 4 to 8 times as fast on a CPU as in real numbers, which exporters need.
    """
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)
    turn = turn.float()
    if torch.compiler.is_compiling():
        (a, b), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    return turned.flatten(-2).to(x.dtype)


class Dropout(nn.Module):
    """Dropout that does not dominate a training step on a CPU.

    torch draws one Bernoulli number per element there, which takes longer than the matrix product beside it. Here
    one random byte decides per element: three times as fast, with `p` rounded to the next 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        lost = min(max(round(self.p * 256), 1), 255)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        keep = words.view(torch.uint8)[: x.numel()].view(x.shape) >= lost
        return x * keep.to(x.dtype).mul_(256 / (256 - lost))


class DropPath(nn.Module):
    """Stochastic depth: in training drops a branch for a whole sample with probability `p`, scales the rest up.

    Source: Huang et al. 2016, arXiv 1603.09382.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - self.p)
        return x * keep.div_(1 - self.p)
