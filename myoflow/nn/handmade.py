"""The hand-made features of frames that EMG speech recognition began with, as a module without anything to learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.nn.utterances import Batch, FrameNorm, closed, inside, opened

SMOOTH = 9  # samples of the moving average, which is taken twice
BOUND = 8.0  # standard deviations, to which features are bent


class TimeDomainFrames(nn.Module):
    """`(utterance, channel, time)` -> `(utterance, frame, (2 context + 1) x 5 x channel)`; see stages/td_frames.py.

    Frame k covers samples from `k step` on, zeros behind the end. Features are normalised by their mean and deviation
    over the training batches, then `context` frames on both sides are put beside each, zeros beyond the ends.
    """

    def __init__(self, channels: int, length: int, step: int, context: int) -> None:
        super().__init__()
        self.length, self.step, self.context = length, step, context
        self.norm = FrameNorm(5 * channels, affine=False)

    def forward(self, batch: Batch) -> Batch:
        x, length = opened(batch)
        there = None if length is None else inside(length, x.shape[2])[:, None].to(x.dtype)
        samples = float(x.shape[2]) if length is None else length[:, None, None].to(x.dtype)
        x = x - x.sum(2, keepdim=True) / samples
        x = self._cut(x, there)
        low = self._cut(_smooth(self._cut(_smooth(x), there)), there)
        high = x - low
        crossing = (high[:, :, 1:] * high[:, :, :-1] < 0).to(x.dtype)
        parts = [low, low.square(), high.square(), F.pad(crossing, (1, 0)), high.abs()]
        frames = self._frames(torch.cat(parts, 1))
        keep = None
        if length is not None:
            length = torch.div(length + self.step - 1, self.step, rounding_mode="floor")
            keep = inside(length, frames.shape[2])
        frames = BOUND * torch.tanh(self.norm(frames, keep) / BOUND)
        frames = self._cut(frames, None if keep is None else keep[:, None].to(x.dtype))
        return closed(self._stacked(frames), length)

    def _cut(self, x: Tensor, there: Tensor | None) -> Tensor:
        return x if there is None else x * there

    def _frames(self, x: Tensor) -> Tensor:
        """Means over frames: `(utterance, row, time)` -> `(utterance, row, frame)`."""
        count = -(-x.shape[2] // self.step)
        x = F.pad(x, (0, (count - 1) * self.step + self.length - x.shape[2]))
        return F.avg_pool1d(x, self.length, self.step)

    def _stacked(self, frames: Tensor) -> Tensor:
        """Neighbours side by side: `(utterance, row, frame)` -> `(utterance, frame, (2 context + 1) row)`."""
        count, wide = frames.shape[2], F.pad(frames, (self.context, self.context))
        shifts = [wide[:, :, k : k + count] for k in range(2 * self.context + 1)]
        return torch.cat(shifts, 1).transpose(1, 2)


def _smooth(x: Tensor) -> Tensor:
    return F.avg_pool1d(x, SMOOTH, 1, SMOOTH // 2)
