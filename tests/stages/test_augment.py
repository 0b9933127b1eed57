"""augment: each variation does what its field says, nothing else, and the same for the same random state."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.errors import PlanError
from myoflow.spec import WINDOWS, Spec
from myoflow.stages.augment import Augment

SPEC = Spec.signal(8, 200.0).evolve(dims=WINDOWS, sizes=(None, 8, 50), step_s=0.1)
NOTHING = {"amplitude": 0.0, "jitter": 0.0, "channel_dropout": 0.0}


def batch(windows: int = 400) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(windows, 8, 50)).astype(np.float32)


def vary(**fields) -> tuple[np.ndarray, np.ndarray]:
    x = batch()
    before = x.copy()
    out = Augment(**{**NOTHING, **fields}).apply(x, np.random.default_rng(0))
    assert np.array_equal(x, before) and out.dtype == np.float32 and out.shape == x.shape
    return x, out


def test_identity_outside_training_and_with_all_off():
    x, out = vary()
    assert np.array_equal(out, x)
    assert np.array_equal(Augment().kernel(SPEC).feed(x), x)
    assert Augment.training_only and Augment().plan(SPEC) == SPEC


def test_same_random_state_same_windows():
    stage, x = Augment(rotate=2, time_shift=0.2, flip=0.5), batch()
    first, again, other = (stage.apply(x, np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_amplitude_scales_windows_and_channel_amplitude_channels():
    x, out = vary(amplitude=0.3)
    ratio = out / x
    assert np.ptp(ratio, axis=(1, 2)).max() < 1e-4
    assert 0.7 <= ratio.min() < 0.72 and 1.28 < ratio.max() <= 1.3001
    x, out = vary(channel_amplitude=0.3)
    ratio = out / x
    assert np.ptp(ratio, axis=2).max() < 1e-4 and np.ptp(ratio, axis=1).mean() > 0.3


def test_jitter_follows_each_channels_scale():
    x, out = vary(jitter=0.1)
    assert np.allclose((out - x).std(axis=2).mean() / x.std(axis=2).mean(), 0.1, rtol=0.03)


def test_channel_dropout_drops_the_share_and_never_all():
    x, out = vary(channel_dropout=0.5)
    lost = (out == 0).all(axis=2)
    assert np.array_equal(out[~lost], x[~lost])
    assert abs(lost.mean() - 0.5 * 7 / 8) < 0.02 and not lost.all(axis=1).any()


def test_rotation_is_a_whole_turn_of_the_ring():
    x, out = vary(rotate=1)
    turns = [[np.array_equal(a, np.roll(b, k, axis=0)) for k in (-1, 0, 1)] for a, b in zip(out, x, strict=True)]
    assert np.array(turns).sum(axis=1).tolist() == [1] * len(x)
    assert np.array(turns).any(axis=0).all()


def test_time_shift_and_flip():
    x, out = vary(time_shift=0.1)
    for a, b in zip(out, x, strict=True):
        assert any(np.array_equal(a, np.roll(b, k, axis=1)) for k in range(-5, 6))
    x, out = vary(flip=0.25)
    turned = (out == -x).all(axis=(1, 2))
    assert np.array_equal(out[~turned], x[~turned]) and abs(turned.mean() - 0.25) < 0.06


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amplitude", 1.0),
        ("channel_dropout", -0.1),
        ("jitter", -1.0),
        ("rotate", 8),
        ("time_shift", 0.6),
        ("flip", 1.1),
    ],
)
def test_field_errors(field, value):
    with pytest.raises(PlanError, match=field) as caught:
        Augment(**{field: value}).plan(SPEC)
    assert caught.value.field == field
