"""tokens: which feature lands where, in both forms, and what does not divide."""

import numpy as np
import pytest
import torch

from myoflow.errors import PlanError
from myoflow.spec import WINDOWS, Spec
from myoflow.stages.features import Features
from myoflow.stages.tinymyo import TinyMyo
from myoflow.stages.tokens import Tokens

SPEC = Spec.signal(3, 1000.0, labels=("a", "b")).evolve(dims=WINDOWS, sizes=(None, 3, 40), step_s=0.1, window_s=0.04)


def test_a_token_holds_what_one_electrode_did_in_one_part() -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 40)).astype(np.float32)
    features = Features(set=("mav", "rms"), parts=4)
    spec = features.plan(SPEC)
    found = features.kernel(SPEC).feed(x)
    stage = Tokens(parts=4)
    assert stage.plan(spec).sizes == (None, 3, 4, 2)
    tokens = stage.kernel(spec).feed(found)
    parts = x.reshape(5, 3, 4, 10).astype(np.float64)
    np.testing.assert_allclose(tokens[..., 0], np.abs(parts).mean(-1), rtol=1e-6)
    np.testing.assert_allclose(tokens[..., 1], np.sqrt((parts**2).mean(-1)), rtol=1e-6)
    assert np.array_equal(stage.module(spec)(torch.from_numpy(found)).numpy(), tokens)
    encoder = TinyMyo(layers=1, width=8, heads=2)
    assert encoder.module(stage.plan(spec))(torch.from_numpy(tokens)).shape == (5, 3, 4, 8)


def test_what_does_not_divide_is_told() -> None:
    spec = Features(set=("mav", "rms"), parts=4).plan(SPEC)
    with pytest.raises(PlanError, match="24 features among 3 channels of 5 parts") as caught:
        Tokens(parts=5).plan(spec)
    assert caught.value.field == "parts"
    with pytest.raises(PlanError, match="parts must be at least 1"):
        Tokens(parts=0).plan(spec)
    with pytest.raises(PlanError, match=r"takes \(window, feature\)"):
        Tokens().plan(SPEC)
