"""Flow: a network over utterances as one is still being spoken; the frames are those that it gives for all of it.

Exact where nothing reaches further than it may: convolutions that pad on the left remember two samples, attention that
sees chunks and a limited past (nn/frames.py) remembers the keys and values of that past. Rotary positions only tell how
far apart two frames are, so frames are numbered anew from the oldest that is remembered and numbers do not grow.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.errors import MyoflowError
from myoflow.nn.encoder import Attention, attend, rotate
from myoflow.nn.frames import FrameEncoder, FrameHead, RelativeAttention
from myoflow.nn.utterances import ConvStem, Heads, Residual

Array = npt.NDArray[Any]
TAPS = 3  # of a residual block's convolutions


class Part(Protocol):
    """What has memory: `(1, ..., time)` in pieces, each a whole number of its steps but the last."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Flow:
    """A trained network (stem, encoder and heads in a row) for one utterance from its beginning.

    Raises:
        MyoflowError: one of its modules cannot; the stages' plans say so before.
    """

    def __init__(self, network: nn.Sequential) -> None:
        stride, chunk = 1, 1
        self._parts: list[Part] = []
        for module in network:
            if isinstance(module, ConvStem):
                self._parts.append(_Stem(module))
                stride = math.prod(_residual(block).stride for block in module.blocks)
            elif isinstance(module, FrameEncoder):
                self._parts.append(_Encoder(module))
                chunk = math.lcm(chunk, max(module.lookahead or 1, 1))
            elif isinstance(module, (FrameHead, Heads)):
                self._parts.append(module)
            else:
                raise MyoflowError(f"{type(module).__name__} cannot run along with a live utterance")
        self.piece = stride * chunk
        self._like = next(network.parameters())

    def run(self, piece: Array) -> Array:
        """The next `piece` samples `(channel, time)`, or fewer at the end -> frames `(1, frame, feature)`."""
        x = torch.from_numpy(np.ascontiguousarray(piece, np.float32)).to(self._like.device, self._like.dtype)[None]
        with torch.inference_mode():
            for part in self._parts:
                x = part(x)
            out: Array = x.float().cpu().numpy()
        return out


class _Stem:
    """The stem's blocks, which remember what their convolutions still reach."""

    def __init__(self, stem: ConvStem) -> None:
        self._blocks = [_Block(_residual(block)) for block in stem.blocks]

    def __call__(self, x: Tensor) -> Tensor:
        for block in self._blocks:
            x = block(x)
        return x.transpose(1, 2)


def _residual(block: nn.Module) -> Residual:
    assert isinstance(block, Residual)
    if block.edges != (TAPS - 1, 0):
        raise MyoflowError("a stem that hears the future cannot run along with a live utterance; causal: true can")
    return block


class _Block:
    """A residual block: the last two inputs of each of its convolutions, zero before the first."""

    def __init__(self, block: Residual) -> None:
        self._block = block
        self._first: Tensor | None = None
        self._second: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        block = self._block
        first, self._first = _behind(self._first, x)
        y = block._bent(block.norm1(block.conv1(first)))
        second, self._second = _behind(self._second, y)
        y = block.norm2(block.conv2(second))
        return block._bent(y + block.norm3(block.skip(x)))


def _behind(kept: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """`x` with what was kept before it, and what to keep."""
    whole = F.pad(x, (TAPS - 1, 0)) if kept is None else torch.cat([kept, x], -1)
    return whole, whole[..., -(TAPS - 1) :]


class _Encoder:
    """The encoder, a chunk at a time."""

    def __init__(self, encoder: FrameEncoder) -> None:
        if encoder.lookahead is None or encoder.context is None:
            raise MyoflowError("an encoder without lookahead and context cannot run along with a live utterance")
        self._encoder = encoder
        self._past = [_Past(encoder.context * encoder.lookahead) for _ in encoder.blocks]

    def __call__(self, x: Tensor) -> Tensor:
        encoder = self._encoder
        x = encoder.embed(x)
        frames = self._past[0].frames + x.shape[1] if self._past else 0
        turn = encoder.turns(frames, x) if encoder.rotary else None
        for block, past in zip(encoder.blocks, self._past, strict=True):
            x = block(x, turn, None, past)
        out: Tensor = encoder.norm(x)
        return out


class _Past:
    """Attention of a chunk to itself and to up to `most` frames before it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: Tensor | None = None  # (1, frame, key and value, head, feature), not yet turned

    @property
    def frames(self) -> int:
        """How many frames are remembered."""
        return 0 if self._kept is None else self._kept.shape[1]

    def __call__(self, attention: Attention, x: Tensor, turn: Tensor | None) -> Tensor:
        if isinstance(attention, RelativeAttention):
            raise MyoflowError("relative positions cannot run along with a live utterance; rotary ones can")
        query, fresh = attention.qkv(x).unflatten(-1, (3, attention.heads, -1)).split((1, 2), 2)
        seen = fresh if self._kept is None else torch.cat([self._kept, fresh], 1)
        frames = seen.shape[1]
        self._kept = seen[:, max(0, frames - self._most) :]
        key, value = seen.split((1, 1), 2)
        if turn is not None:
            query, key = rotate(query, turn[frames - x.shape[1] : frames]), rotate(key, turn[:frames])
        query, key, value = (part.squeeze(2).transpose(1, 2) for part in (query, key, value))
        out: Tensor = attention.proj(attend(query, key, value).transpose(1, 2).flatten(2))
        return out
