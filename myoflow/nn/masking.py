"""Masked reconstruction: the decoder that guesses hidden patches, what surrounds it in training, and the loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myoflow.dsp.masking import Hiding
from myoflow.nn.encoder import Encoder, Patches

FLOOR = 1e-3  # added to a patch's root mean square before its logarithm: a thousandth of a signal of size one


class Decoder(nn.Module):
    """`(batch, channel, patch, width)` -> `(batch, channel, patch, feature)`: one linear layer for every token."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.decoder_pred = nn.Linear(width, features)
        nn.init.xavier_uniform_(self.decoder_pred.weight)
        nn.init.zeros_(self.decoder_pred.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.decoder_pred(tokens)
        return out


def reconstruction_loss(
    guess: Tensor, truth: Tensor, mask: Tensor, present: Tensor | None = None, visible: float = 0.1, power: float = 1.0
) -> tuple[Tensor, Tensor]:
    """SmoothL1 over hidden patches plus `visible` times that over the others, of each window, `(window,)`; and the
    first of samples alone.

    `guess` and `truth` `(window, channel, patch, feature)`, `mask` True where hidden, `present` `(window, channel)`
    True where there is an electrode; others are not scored. Each term is the mean over a window's own samples (beta
    1). Where a guess has one feature more, the logarithm of the patch's root mean square, its SmoothL1 times `power`
    is added to that of the patch's samples.
    """
    real = torch.ones_like(mask) if present is None else present[..., None].expand_as(mask)
    hidden, shown = mask & real, ~mask & real
    samples = F.smooth_l1_loss(guess[..., : truth.shape[-1]], truth, reduction="none").mean(-1)
    masked = _over(samples, hidden)
    total = masked + visible * _over(samples, shown)
    if guess.shape[-1] > truth.shape[-1]:
        strength = F.smooth_l1_loss(guess[..., -1:], log_power(truth), reduction="none").squeeze(-1)
        total = total + power * (_over(strength, hidden) + visible * _over(strength, shown))
    return total, masked


def _over(loss: Tensor, patches: Tensor) -> Tensor:
    """Mean of a loss `(window, channel, patch)` over some patches of each window."""
    return (loss * patches).sum((1, 2)) / patches.sum((1, 2)).clamp(min=1)


class Masked(nn.Module):
    """The network as it is pre-trained: from a batch with `emg` `(window, channel, time)`, `present` and `draw` (see
    `store.masked`) to what the loss needs: `guess`, `truth` `(window, channel, patch, feature)`, `mask`, `present`.

    The truth is the network's own input.
    """

    def __init__(self, module: nn.Module, hiding: Hiding) -> None:
        super().__init__()
        self.module = module
        self.hiding = hiding
        for part in module.modules():
            if isinstance(part, Encoder):
                part.mask_token.requires_grad_(True)
        self.length = next(part.length for part in module.modules() if isinstance(part, Patches))

    def forward(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        real = x["present"]
        emg = x["emg"] * real[..., None]  # scaling may have moved the zeros of electrodes that are not there
        draws, there = x["draw"].cpu().numpy(), real.cpu().numpy()
        mask = torch.from_numpy(self.hiding.masks(there, emg.shape[-1] // self.length, draws)).to(emg.device)
        inputs = {"emg": emg, "mask": mask}
        if not bool(real.all()):
            inputs["present"] = real
        guess = self.module(inputs)
        truth = emg.unflatten(-1, (-1, self.length))  # type: ignore[no-untyped-call]
        return {"guess": guess, "truth": truth, "mask": mask, "present": real}


def log_power(patches: Tensor) -> Tensor:
    """Logarithm of the root mean square over the last axis, which stays with size 1."""
    return (patches.square().mean(-1, keepdim=True).sqrt() + FLOOR).log()
