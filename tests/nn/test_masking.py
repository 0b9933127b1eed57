"""Masks of the right size in the right places; a loss that knows what is hidden and what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from myoflow.dsp.masking import Hiding, interpolated, patch_mean
from myoflow.nn.encoder import Encoder, Patches
from myoflow.nn.masking import Decoder, Masked, reconstruction_loss


def present(*rows: list[int]) -> np.ndarray:
    return np.array(rows, bool)


@pytest.mark.parametrize("pattern", ["random", "span", "channel"])
def test_the_share_is_met_in_every_window_and_only_on_real_electrodes(pattern: str) -> None:
    there = np.repeat(present([1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]), 50, 0)
    hiding, draws = Hiding(0.5, pattern, 3), np.arange(150)
    hidden = hiding.masks(there, 10, draws)
    assert hidden.sum((1, 2)).tolist() == [20] * 50 + [10] * 50 + [5] * 50
    assert not hidden[~there].any()
    assert np.array_equal(hiding.masks(there[1::2], 10, draws[1::2]), hidden[1::2])  # neighbours do not matter
    assert not np.array_equal(hiding.masks(there, 10, draws + 1000), hidden)


def test_random_masks_hide_every_patch_equally_often() -> None:
    hidden = Hiding().masks(np.ones((4000, 2), bool), 5, np.arange(4000))
    assert np.abs(hidden.mean(0) - 0.5).max() < 0.03


def test_some_are_hidden_and_some_are_not_whatever_the_share() -> None:
    there = present([1, 1, 1], [1, 0, 0], [0, 0, 0])
    for share in (0.01, 0.99):
        hidden = Hiding(share).masks(there, 2, np.arange(3)).sum((1, 2))
        assert hidden.tolist() == ([1, 1, 0] if share < 0.5 else [5, 1, 0])


def test_many_patches_are_as_random_as_few() -> None:
    """More than 2^16 patches: the place must not weigh in their order."""
    hidden = Hiding().masks(np.ones((4, 16), bool), 8192, np.arange(4))
    assert np.abs(hidden.mean((0, 2)) - 0.5).max() < 0.02


def test_spans_hide_neighbours_together_and_channels_go_whole() -> None:
    ones = np.ones((500, 4), bool)

    def runs(hidden: np.ndarray) -> float:
        edges = np.diff(np.pad(hidden, ((0, 0), (0, 0), (1, 1))).astype(int), axis=2)
        return hidden.sum() / (edges == 1).sum()  # mean length of a run

    draws = np.arange(500)
    assert runs(Hiding(0.5, "span", 5).masks(ones, 50, draws)) > 2 * runs(Hiding().masks(ones, 50, draws))
    whole = Hiding(0.5, "channel").masks(ones, 50, draws)
    assert set(whole.sum(2).ravel().tolist()) == {0, 50} and np.all(whole.any(2).sum(1) == 2)


def test_the_loss_is_smooth_l1_of_hidden_patches_and_a_tenth_of_the_rest() -> None:
    torch.manual_seed(0)
    guess, truth = 2 * torch.randn(2, 3, 4, 5, 6)
    mask = torch.rand(3, 4, 5) < 0.5
    mask[:, 0, 0], mask[:, 0, 1] = True, False
    total, masked = reconstruction_loss(guess, truth, mask)
    hidden = [F.smooth_l1_loss(guess[i][mask[i]], truth[i][mask[i]]) for i in range(3)]
    shown = [F.smooth_l1_loss(guess[i][~mask[i]], truth[i][~mask[i]]) for i in range(3)]
    assert torch.allclose(masked, torch.stack(hidden))
    assert torch.allclose(total, torch.stack(hidden) + 0.1 * torch.stack(shown))


def test_electrodes_that_are_not_there_are_not_scored() -> None:
    guess, truth = torch.randn(2, 2, 3, 4, 5)
    mask = torch.rand(2, 3, 4) < 0.5
    mask[:, 0, 0], mask[:, 0, 1] = True, False
    there = torch.tensor([[True, True, False]] * 2)
    wild = guess.clone()
    wild[:, 2] = 1e6
    some = reconstruction_loss(wild, truth, mask, there)
    assert torch.allclose(some[0], reconstruction_loss(guess[:, :2], truth[:, :2], mask[:, :2])[0])


def test_guesses_without_learning() -> None:
    truth = np.arange(12, dtype=float).reshape(1, 1, 3, 4) * 2
    mask = np.array([[[False, True, False]]])
    assert np.allclose(interpolated(truth, mask), truth)  # a straight line is found again
    assert np.allclose(patch_mean(truth, mask)[0, 0, 1], (truth[0, 0, 0] + truth[0, 0, 2]) / 2)
    assert np.all(interpolated(truth, np.ones_like(mask)) == 0)


def pretrained(channels: int = 3, features: int = 4) -> Masked:
    torch.manual_seed(0)
    encoder = Encoder(channels=channels, patches=5, features=4, width=8, layers=2, heads=2, dropout=0, drop_path=0)
    return Masked(torch.nn.Sequential(Patches(4), encoder, Decoder(8, features)), Hiding()).eval()


def test_padded_electrodes_are_neither_attended_nor_hidden_nor_scored() -> None:
    emg = torch.randn(4, 3, 20)
    there = torch.tensor([[True, True, False]] * 4)
    draw = torch.arange(4)
    quiet = pretrained()({"emg": emg, "present": there, "draw": draw})
    loud = pretrained()({"emg": emg * torch.tensor([1, 1, 1e4])[:, None], "present": there, "draw": draw})
    assert torch.equal(quiet["guess"][:, :2], loud["guess"][:, :2])
    assert torch.equal(*(reconstruction_loss(**out)[0] for out in (quiet, loud)))
    assert quiet["mask"].sum((1, 2)).tolist() == [5] * 4 and not quiet["mask"][:, 2].any()


def test_the_mask_token_learns_and_hidden_values_have_no_say() -> None:
    model = pretrained()
    there, draw = torch.ones(2, 3, dtype=torch.bool), torch.arange(2)
    emg = torch.randn(2, 3, 20)
    out = model({"emg": emg, "present": there, "draw": draw})
    reconstruction_loss(**out)[0].mean().backward()
    assert model.module[1].mask_token.grad.abs().max() > 0
    wild = torch.where(out["mask"].repeat_interleave(4, 2), 50.0, emg)
    assert torch.equal(model({"emg": wild, "present": there, "draw": draw})["guess"], out["guess"])


def test_a_decoder_with_one_feature_more_guesses_the_strength() -> None:
    model = pretrained(features=5)
    emg, there = torch.randn(2, 3, 20), torch.ones(2, 3, dtype=torch.bool)
    out = model({"emg": emg, "present": there, "draw": torch.arange(2)})
    rms = emg.unflatten(-1, (5, 4)).square().mean(-1).sqrt()
    plain = {**out, "guess": out["guess"][..., :4]}
    extra = reconstruction_loss(**out, visible=0, power=2)[0] - reconstruction_loss(**plain, visible=0)[0]
    for i in range(2):
        off = F.smooth_l1_loss(out["guess"][i, ..., 4][out["mask"][i]], torch.log(rms[i] + 1e-3)[out["mask"][i]])
        assert torch.allclose(extra[i], 2 * off, atol=1e-6)
