"""HiFi-GAN's discriminators: one looks at periods of the sound, one at several scales of it.

Source: Kong, Kim and Bae 2020, arXiv 2010.05646, section 2.3, and its published code, whose parameter names these are.
`share` scales the widths, for training on a small machine; 1 is as published.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from myoflow.nn.hifigan import SLOPE

PERIODS = (2, 3, 5, 7, 11)
Judged = tuple[list[Tensor], list[list[Tensor]]]  # scores of each part, and what its layers saw


class Period(nn.Module):
    """Sound folded to `(period, time)`, judged by convolutions along time."""

    def __init__(self, period: int, share: float = 1.0) -> None:
        super().__init__()
        self.period = period
        widths = [1, *(max(4, int(width * share)) for width in (32, 128, 512, 1024, 1024))]
        self.convs = nn.ModuleList(
            parametrizations.weight_norm(nn.Conv2d(a, b, (5, 1), (3 if k < 4 else 1, 1), padding=(2, 0)))
            for k, (a, b) in enumerate(pairwise(widths))
        )
        self.conv_post = parametrizations.weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(utterance, time)` -> scores `(utterance, score)` and every layer's output."""
        x = sound[:, None]
        if missing := -x.shape[2] % self.period:
            x = F.pad(x, (0, missing), "reflect")
        x = x.reshape(len(x), 1, -1, self.period)
        return _through(self.convs, self.conv_post, x)


class Scale(nn.Module):
    """Sound judged by grouped convolutions, the first of three scales under spectral instead of weight norm."""

    def __init__(self, *, spectral: bool = False, share: float = 1.0) -> None:
        super().__init__()
        norm = parametrizations.spectral_norm if spectral else parametrizations.weight_norm
        widths = [1, *(16 * max(1, int(width * share / 16)) for width in (128, 128, 256, 512, 1024, 1024, 1024))]
        spans, strides, groups = (15, 41, 41, 41, 41, 41, 5), (1, 2, 2, 4, 4, 1, 1), (1, 4, 16, 16, 16, 16, 1)
        self.convs = nn.ModuleList(
            norm(nn.Conv1d(a, b, span, stride, span // 2, groups=group))
            for a, b, span, stride, group in zip(widths, widths[1:], spans, strides, groups, strict=False)
        )
        self.conv_post = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(utterance, time)` -> scores `(utterance, score)` and every layer's output."""
        return _through(self.convs, self.conv_post, sound[:, None])


def _through(convs: nn.ModuleList, last: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    seen = []
    for conv in convs:
        x = F.leaky_relu(conv(x), SLOPE)
        seen.append(x)
    x = last(x)
    return x.flatten(1), [*seen, x]


class Discriminators(nn.Module):
    """All of them: five periods and three scales, each scale the last one's sound averaged over pairs."""

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.mpd = nn.ModuleList(Period(period, share) for period in PERIODS)
        self.msd = nn.ModuleList(Scale(spectral=k == 0, share=share) for k in range(3))

    def forward(self, sound: Tensor) -> Judged:
        """Scores and features of sound `(utterance, time)`."""
        judged = [part(sound) for part in self.mpd]
        for part in self.msd:
            judged.append(part(sound))
            sound = F.avg_pool1d(sound[:, None], 4, 2, padding=2)[:, 0]
        return [score for score, _ in judged], [features for _, features in judged]


def discriminator_loss(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Least squares: real sound should score 1, made sound 0; summed over the parts."""
    parts = [((1 - r) ** 2).mean() + (m**2).mean() for r, m in zip(real, made, strict=True)]
    return torch.stack(parts).sum()


def adversarial_loss(made: list[Tensor]) -> Tensor:
    """Made sound should score 1."""
    return torch.stack([((1 - m) ** 2).mean() for m in made]).sum()


def feature_loss(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """Mean distance of what each layer saw, summed over layers; the weight of 2 is the caller's."""
    pairs = [(r, m) for a, b in zip(real, made, strict=True) for r, m in zip(a, b, strict=True)]
    return torch.stack([(r.detach() - m).abs().mean() for r, m in pairs]).sum()
