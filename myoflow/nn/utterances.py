"""Utterances of different lengths in one batch: padded with zeros, and never seen by each other.

A batch is a tensor, all of one length, or a mapping with `emg` `(utterance, channel, time)` or, behind the stem,
`values` `(utterance, frame, feature)`, and `length` `(utterance,)`. Modules take either and give the same kind, so that
the same network trains on padded batches and answers about one utterance at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = Tensor | Mapping[str, Tensor]


def opened(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Values and lengths; no lengths where every utterance fills its row."""
    if isinstance(batch, Tensor):
        return batch, None
    return batch["emg" if "emg" in batch else "values"], batch["length"]


def closed(values: Tensor, length: Tensor | None) -> Batch:
    """The inverse of `opened`."""
    return values if length is None else {"values": values, "length": length}


def inside(length: Tensor, frames: int) -> Tensor:
    """True where a row has a frame of its own: `(utterance, frame)`."""
    return torch.arange(frames, device=length.device) < length[:, None]


class FrameNorm(nn.BatchNorm1d):
    """Batch norm of `(utterance, channel, frame)` whose statistics leave padding out."""

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        if keep is None or not self.training:
            return super().forward(x)
        rows = x.transpose(1, 2)
        out = torch.zeros_like(rows)
        out[keep] = super().forward(rows[keep])
        return out.transpose(1, 2)


class Residual(nn.Module):
    """Two convolutions of three taps, each with batch norm, beside a convolution of one; the first takes steps.

    Source: Gaddy and Klein 2021, arXiv 2106.01933. `causal` pads on the left only, so that no frame sees the future.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, causal: bool = False, gelu: bool = True) -> None:
        super().__init__()
        self.stride, self.gelu = stride, gelu
        self.edges = (2, 0) if causal else (1, 1)
        self.conv1 = nn.Conv1d(inputs, outputs, 3, stride)
        self.norm1 = FrameNorm(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3)
        self.norm2 = FrameNorm(outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1, stride)
        self.norm3 = FrameNorm(outputs)

    def forward(self, x: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """`x` `(utterance, channel, frame)`, zero beyond each length; so is what it gives."""
        first = self.conv1(F.pad(x, self.edges))
        keep = None
        if length is not None:
            length = torch.div(length + self.stride - 1, self.stride, rounding_mode="floor")
            keep = inside(length, first.shape[2])
        y = self._bent(self.norm1(first, keep))
        y = self.norm2(self.conv2(F.pad(self._cleared(y, keep), self.edges)), keep)
        y = self._bent(y + self.norm3(self.skip(x), keep))
        return self._cleared(y, keep), length

    def _bent(self, x: Tensor) -> Tensor:
        return F.gelu(x) if self.gelu else F.relu(x)

    def _cleared(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """Padding back to zero: the next convolution reaches into it."""
        return x if keep is None else x * keep[:, None].to(x.dtype)


class ConvStem(nn.Module):
    """Residual blocks: `(utterance, channel, time)` -> `(utterance, frame, feature)`, at the product of strides."""

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        strides: tuple[int, ...],
        *,
        causal: bool = False,
        gelu: bool = True,
    ) -> None:
        super().__init__()
        inputs = (channels, *widths[:-1])
        self.blocks = nn.ModuleList(
            Residual(a, b, stride, causal=causal, gelu=gelu)
            for a, b, stride in zip(inputs, widths, strides, strict=True)
        )

    def forward(self, batch: Batch) -> Batch:
        x, length = opened(batch)
        for block in self.blocks:
            x, length = block(x, length)
        return closed(x.transpose(1, 2), length)


class Heads(nn.Module):
    """Named branches behind one network.

    In training, on batches with lengths, a mapping of each branch's `(utterance, frame, feature)` and the `length` in
    frames; of a bare tensor, as engines pass it, the branches side by side along the features.
    """

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, batch: Batch) -> Batch:
        values, length = opened(batch)
        found = {name: branch(values) for name, branch in self.branches.items()}
        if length is None:
            return torch.cat(list(found.values()), -1)
        return {**found, "length": length}
