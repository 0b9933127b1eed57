"""patch: a reshape in both forms, and the error that says which lengths would fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from myoflow.errors import PlanError
from myoflow.spec import WINDOWS, Spec
from myoflow.stages.patch import Patch


def windows(time: int, rate_hz: float = 1000.0) -> Spec:
    return Spec.signal(2, rate_hz, labels=("a", "b")).evolve(dims=WINDOWS, sizes=(None, 2, time), step_s=0.1)


def test_both_forms_cut_each_channel_in_order():
    x = np.arange(3 * 2 * 6, dtype=np.float32).reshape(3, 2, 6)
    stage, spec = Patch("2 samples"), windows(6)
    assert stage.plan(spec).sizes == (None, 2, 3, 2)
    host = stage.kernel(spec).feed(x)
    assert host[1, 1].tolist() == [[18, 19], [20, 21], [22, 23]]
    assert np.array_equal(stage.module(spec)(torch.from_numpy(x)).numpy(), host)
    assert stage.kernel(spec).flush().shape == (0, 2, 3, 2)


def test_a_length_in_time_follows_the_rate():
    assert Patch("20 ms").plan(windows(100, 200.0)).sizes == (None, 2, 25, 4)


def test_error_names_field_and_the_lengths_that_fit():
    with pytest.raises(PlanError, match=r"100 samples .* patches of 30 samples; .* 10, 20, 25, 50 samples") as caught:
        Patch("30 samples").plan(windows(100))
    assert caught.value.field == "length"
    with pytest.raises(PlanError, match="patches of 0 samples at 100 Hz"):
        Patch("1 ms").plan(windows(100, 100.0))
    with pytest.raises(PlanError, match="put a window stage before it"):
        Patch("20 ms").plan(Spec.signal(2, 1000.0))
