"""Masks of the right size in the right places; a loss that knows what is hidden and what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from myoflow.nn.masking import interpolated, masks, patch_mean, reconstruction_loss


def present(*rows: list[int]) -> np.ndarray:
    return np.array(rows, bool)


@pytest.mark.parametrize("pattern", ["random", "span", "channel"])
def test_the_share_is_met_in_every_window_and_only_on_real_electrodes(pattern: str) -> None:
    there = np.repeat(present([1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]), 50, 0)
    hidden = masks(there, 10, 0.5, pattern, 3, np.random.default_rng(0))
    assert hidden.sum((1, 2)).tolist() == [20] * 50 + [10] * 50 + [5] * 50
    assert not hidden[~there].any()
    again = masks(there, 10, 0.5, pattern, 3, np.random.default_rng(0))
    assert np.array_equal(hidden, again)


def test_random_masks_hide_every_patch_equally_often() -> None:
    hidden = masks(np.ones((4000, 2), bool), 5, 0.5, "random", 1, np.random.default_rng(0))
    assert np.abs(hidden.mean(0) - 0.5).max() < 0.03


def test_spans_hide_neighbours_together_and_channels_go_whole() -> None:
    ones = np.ones((500, 4), bool)

    def runs(hidden: np.ndarray) -> float:
        edges = np.diff(np.pad(hidden, ((0, 0), (0, 0), (1, 1))).astype(int), axis=2)
        return hidden.sum() / (edges == 1).sum()  # mean length of a run

    rng = np.random.default_rng(0)
    assert runs(masks(ones, 50, 0.5, "span", 5, rng)) > 2 * runs(masks(ones, 50, 0.5, "random", 5, rng))
    whole = masks(ones, 50, 0.5, "channel", 1, rng)
    assert set(whole.sum(2).ravel().tolist()) == {0, 50} and np.all(whole.any(2).sum(1) == 2)


def test_the_loss_is_smooth_l1_of_hidden_patches_and_a_tenth_of_the_rest() -> None:
    torch.manual_seed(0)
    guess, truth = 2 * torch.randn(2, 3, 4, 5, 6)
    mask = torch.rand(3, 4, 5) < 0.5
    mask[:, 0, 0], mask[:, 0, 1] = True, False
    total, masked = reconstruction_loss(guess, truth, mask)
    hidden = [F.smooth_l1_loss(guess[i][mask[i]], truth[i][mask[i]]) for i in range(3)]
    shown = [F.smooth_l1_loss(guess[i][~mask[i]], truth[i][~mask[i]]) for i in range(3)]
    assert torch.allclose(masked, torch.stack(hidden).mean())
    assert torch.allclose(total, torch.stack(hidden).mean() + 0.1 * torch.stack(shown).mean())


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
