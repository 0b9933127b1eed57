"""Hand-made frames against their definition in numpy, and utterances that do not see their neighbours in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from myoflow.errors import PlanError
from myoflow.nn.handmade import TimeDomainFrames
from myoflow.spec import FRAMES, Spec
from myoflow.stages.td_frames import TdFrames
from myoflow.stages.utterance import Utterance

SPEC = Utterance().plan(Spec.signal(2, 600.0))


def by_definition(x: np.ndarray, length: int, step: int) -> np.ndarray:
    """TD0 of `(channel, time)`: `(frame, 5 x channel)`, features outermost; Jou et al. 2006."""
    x = x - x.mean(1, keepdims=True)
    nine = np.ones(9) / 9
    low = np.stack([np.convolve(np.convolve(row, nine, "same"), nine, "same") for row in x])
    high = x - low
    crossing = np.concatenate([np.zeros((len(x), 1)), high[:, 1:] * high[:, :-1] < 0], 1)
    parts = np.concatenate([low, low**2, high**2, crossing, abs(high)])
    count = -(-x.shape[1] // step)
    parts = np.pad(parts, ((0, 0), (0, count * step + length)))
    return np.stack([parts[:, k * step : k * step + length].mean(1) for k in range(count)])


def test_frames_are_those_of_the_definition():
    x = np.random.default_rng(0).standard_normal((2, 333))
    module = TimeDomainFrames(2, 16, 6, 1).double().eval()
    found = module(torch.from_numpy(x)[None])[0].numpy()
    plain = 8 * np.tanh(by_definition(x, 16, 6) / np.sqrt(1 + 1e-5) / 8)  # fresh statistics: mean 0, variance 1
    wide = np.pad(plain, ((1, 1), (0, 0)))
    np.testing.assert_allclose(found, np.concatenate([wide[:-2], wide[1:-1], wide[2:]], 1), atol=1e-9)


def test_an_utterance_is_the_same_alone_and_in_a_batch():
    rng, lengths = np.random.default_rng(1), [300, 123, 45]
    module = TimeDomainFrames(2, 16, 6, 10)
    emg = torch.zeros(3, 2, 300)
    for row, length in enumerate(lengths):
        emg[row, :, :length] = torch.from_numpy(rng.standard_normal((2, length)))
    batch = {"emg": emg, "length": torch.tensor(lengths)}
    module(batch)  # learns means and deviations
    assert float(module.norm.running_var.mean()) != 1
    module.eval()
    together = module(batch)
    assert together["length"].tolist() == [50, 21, 8]
    for row, length in enumerate(lengths):
        alone = module(emg[row : row + 1, :, :length])[0]
        np.testing.assert_allclose(together["values"][row, : len(alone)], alone, atol=1e-5)
        assert not together["values"][row, len(alone) + 10 :].any()


def test_the_plan_and_its_errors():
    after = TdFrames().plan(SPEC)
    assert (after.dims, after.rate_hz, after.size("feature")) == (FRAMES, 100.0, 2 * 5 * 21)
    for stage, field in ((TdFrames(step="0.5 ms"), "step"), (TdFrames(context=-1), "context")):
        with pytest.raises(PlanError) as caught:
            stage.plan(SPEC)
        assert caught.value.field == field
