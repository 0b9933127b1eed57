"""Spectra of sound in torch, for losses: mel bands as dsp/mel.py defines them, and magnitudes at several sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.dsp import mel


class LogMel(nn.Module):
    """`(utterance, time)` at 22 050 Hz -> log-mel bands `(utterance, frame, band)`, with gradients.

    `top_hz` None reaches up to half the rate, as HiFi-GAN's loss does.
    """

    window: Tensor
    bank: Tensor

    def __init__(self, top_hz: float | None = mel.TOP_HZ, bands: int = mel.BANDS) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(mel.SIZE), persistent=False)
        self.register_buffer("bank", torch.tensor(mel.filters(bands, top_hz)), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        edge = (mel.SIZE - mel.HOP) // 2
        padded = F.pad(sound[:, None], (edge, edge), "reflect")[:, 0]
        table = torch.stft(padded, mel.SIZE, mel.HOP, window=self.window, center=False, return_complex=True)
        power = (table.real.square() + table.imag.square() + 1e-9).sqrt()
        return (self.bank @ power).clamp_min(mel.FLOOR).log().transpose(1, 2)


class Resolutions(nn.Module):
    """Distance of magnitudes at several window sizes: relative error, and error of the logarithm.

    Source: Yamamoto, Song and Kim 2020, "Parallel WaveGAN", arXiv 1910.11480, equations 3 to 5.
    """

    def __init__(self, sizes: tuple[int, ...] = (256, 512, 2048)) -> None:
        super().__init__()
        self.sizes = sizes
        for size in sizes:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        losses = []
        for size in self.sizes:
            a, b = (self._magnitudes(sound, size) for sound in (made, real))
            losses.append((b - a).norm() / b.norm().clamp_min(1e-5) + (a.log() - b.log()).abs().mean())
        return torch.stack(losses).mean()

    def _magnitudes(self, sound: Tensor, size: int) -> Tensor:
        window: Tensor = getattr(self, f"window_{size}")
        table = torch.stft(sound, size, size // 4, window=window, return_complex=True)
        return (table.real.square() + table.imag.square() + 1e-7).sqrt()
