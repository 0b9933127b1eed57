"""Integers stay close to the real numbers they stand for."""

from typing import Any

import numpy as np
import pytest
import torch
from engines.mcu import nets
from hypothesis import given
from hypothesis import strategies as st

from myoflow.engines.mcu import ir, ranges, reference
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.quantise import Choices, multiplier
from myoflow.errors import InputError


def snr(wanted: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum()))


@pytest.mark.parametrize("choices", [Choices(), Choices(per_channel=False), Choices(softmax_bits=15)])
def test_every_layer_stays_near_torch(choices: Choices) -> None:
    x = nets.windows(2, 100)
    graph, network = nets.made(nets.tinymyo(), x, choices)
    with torch.no_grad():
        floats = ir.evaluate(graph, torch.from_numpy(x))
    for layer, integers in zip(network.layers, reference.run(network, x), strict=True):
        assert snr(floats[layer.op].numpy(), layer.out.real(integers)) > 20, layer.name
    assert np.allclose(reference.outputs(network, x), network.output.real(reference.run(network, x)[-1]))


def test_softmax_over_800_keys_neither_underflows_nor_sharpens() -> None:
    """Even scores weigh all keys alike, and one high score takes nearly all; ARES' table does neither."""
    rng = np.random.default_rng(0)
    values = rng.integers(-128, 128, (1, 8, 800)).astype(np.int8)
    shift = 30
    for peak in (0, 100):
        queries, keys = np.zeros((1, 1, 8), np.int8), np.zeros((1, 800, 8), np.int8)
        queries[0, 0, 0], keys[0, 7, 0] = 10, peak
        table = np.rint(255 * np.exp(-(np.arange(1024) + 0.5) / 128)).astype(np.uint8)
        table[0], table[-1] = 255, 0
        layer = q.Attention(
            "a", (0, 1, 2), q.Value("a", 1, 8, "int8", 1.0), 0, 1, 800, np.array([int(0.004 * 128 * 2**32)], np.uint32),
            np.array([2**shift], np.uint64), shift, table,
        )  # fmt: skip
        scores = 0.004 * (queries[0].astype(float) @ keys[0].T.astype(float))
        share = np.exp(scores - scores.max())
        wanted = (share / share.sum()) @ values[0].T.astype(float)
        got = reference.compute(layer, [queries, keys, values])[0]
        assert np.abs(got - wanted).max() <= (1.0 if not peak else 3.0)


@given(st.integers(1, 2**62 - 1), st.sampled_from([50, 62]))
def test_roots_are_floors(power: int, top: int) -> None:
    power >>= 62 - top
    root, lift = (int(part[0]) for part in reference.roots(np.array([max(power, 1)], np.int64), top))
    shifted = max(power, 1) << lift
    assert lift % 2 == 0 and 2 ** (top - 2) <= shifted < 2**top
    assert root * root <= shifted < (root + 1) ** 2


@given(st.lists(st.floats(1e-9, 0.99), min_size=1, max_size=4), st.integers(-(2**31), 2**31 - 1))
def test_requantisation_rounds_to_the_nearest(ratios: list[float], acc: int) -> None:
    mult, shift = multiplier(np.array(ratios))
    exact = acc * mult.astype(object) / 2**shift
    got = reference.requantise(np.full(len(ratios), acc), mult.astype(np.int64), shift)
    assert all(abs(float(g) - float(e)) <= 0.5 for g, e in zip(got, exact, strict=True))
    assert np.abs(mult / 2.0**shift - ratios).max() <= 2.0**-30


def test_layer_norm_keeps_means_and_deviations_of_small_numbers() -> None:
    """Rows of a few steps, where an integer mean and deviation would be all wrong."""
    x = np.array([[[3, 4, 4, 5, 3, 4, 5, 4]]], np.int16)
    layer = q.Norm("n", (0,), q.Value("n", 1, 8, "int8", 1 / 32), 0, np.full(8, 32 << 8, np.int32),
                   np.full(8, 1 << 19, np.int32), 8 + 12, 1)  # fmt: skip
    wanted = (x[0, 0] - 4) / np.sqrt(0.5)
    np.testing.assert_allclose(reference.compute(layer, [x])[0, 0] / 32, wanted, atol=1.5 / 32)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_calibration_that_is_not_finite_is_refused(value: float) -> None:
    x = nets.windows(2, 100)
    x[3, 1, 5] = value
    with pytest.raises(InputError, match="calibration window 3 of 12 holds numbers that are not finite"):
        nets.made(nets.tinymyo(), x)


def test_steps_trade_clipping_for_rounding() -> None:
    rng = np.random.default_rng(0)
    even, tailed = rng.uniform(-1, 1, 20000), rng.laplace(size=20000)
    assert ranges.step(even) == pytest.approx(1 / 127, rel=0.05)
    assert ranges.step(tailed) < 0.95 * np.abs(tailed).max() / 127
    assert ranges.step(np.zeros(5)) > 0
    size, zero = ranges.span(np.abs(even))
    assert zero == -128 and size == pytest.approx(1 / 255, rel=0.05)


def test_a_zero_channel_or_a_huge_bias_does_no_harm() -> None:
    module: Any = nets.tinymyo()
    with torch.no_grad():
        module.tinymyo.blocks[0].mlp.fc1.weight[3] = 0
        module.tinymyo.blocks[0].mlp.fc1.bias[4] = 50.0
    x = nets.windows(2, 100)
    graph, network = nets.made(module, x)
    with torch.no_grad():
        wanted = ir.evaluate(graph, torch.from_numpy(x))[-1].numpy()
    assert snr(wanted, reference.outputs(network, x)) > 12
