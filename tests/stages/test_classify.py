"""classify: shapes, sizes, and what its two fusions can and cannot tell apart."""

from __future__ import annotations

import pytest
import torch

from myoflow.errors import PlanError
from myoflow.spec import SCORES, TOKENS, Spec
from myoflow.stages.classify import Classify

SPEC = Spec.signal(8, 200.0, labels=tuple("abcdef")).evolve(dims=TOKENS, sizes=(None, 8, 5, 192), step_s=0.25)


def test_plan_and_cost():
    assert Classify().plan(SPEC).dims == SCORES and Classify().plan(SPEC).size("label") == 6
    assert Classify().cost(SPEC).parameters == 9_222  # published count
    assert Classify(fusion="mean").cost(SPEC).parameters == 193 * 6
    for stage in (Classify(), Classify(fusion="mean")):
        assert sum(p.numel() for p in stage.module(SPEC).parameters()) == stage.cost(SPEC).parameters


def test_concat_weighs_feature_c_times_width_plus_d():
    head = Classify().module(SPEC)
    torch.nn.init.zeros_(head.classifier.weight)
    with torch.no_grad():
        head.classifier.weight[2, 3 * 192 + 7] = 1.0
    x = torch.randn(4, 8, 5, 192)
    assert torch.allclose(head(x)[:, 2], x[:, 3, :, 7].mean(1), atol=1e-6)


def test_mean_does_not_know_channels_and_concat_does():
    x = torch.randn(4, 8, 5, 192)
    mean, concat = Classify(fusion="mean").module(SPEC), Classify().module(SPEC)
    assert torch.allclose(mean(x.flip(1)), mean(x), atol=1e-5)
    assert (concat(x.flip(1)) - concat(x)).abs().max() > 1e-2


def test_errors():
    with pytest.raises(PlanError, match="at least two labels, but has 0"):
        Classify().plan(SPEC.evolve(labels=()))
    with pytest.raises(PlanError, match="dropout must be") as caught:
        Classify(dropout=1.0).plan(SPEC)
    assert caught.value.field == "dropout"
    with pytest.raises(PlanError, match="takes \\(window, channel, patch, feature\\)"):
        Classify().plan(Spec.signal(8, 200.0))
