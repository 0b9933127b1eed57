"""Flow: a network along with its utterance gives the frames that it gives for all of it, and sees what it may."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from myoflow.errors import MyoflowError
from myoflow.lower.pieces import Pieces
from myoflow.nn.adapt import adapt
from myoflow.nn.flow import Flow
from myoflow.nn.frames import FrameEncoder, FrameHead
from myoflow.nn.utterances import ConvStem, Heads


def network(lookahead: int | None = 3, context: int | None = 2, positions: str = "rotary", causal: bool = True):
    torch.manual_seed(1)
    stem = ConvStem(3, (8, 12), (2, 3), causal=causal)
    encoder = FrameEncoder(
        features=12, width=16, layers=3, heads=2, mlp=2, positions=positions, dropout=0.1, drop_path=0.0,
        attention_dropout=0.0, lookahead=lookahead, context=context,
    )  # fmt: skip
    heads = Heads({"a": FrameHead(16, 4), "b": nn.Sequential(FrameHead(16, 5))})
    found = nn.Sequential(stem, encoder, heads)
    for module in found.modules():
        if isinstance(module, nn.BatchNorm1d):  # as after training
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return found.eval()


def whole(net: nn.Sequential, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return net(torch.from_numpy(x)[None]).numpy()


def streamed(net: nn.Sequential, x: np.ndarray, edges: list[int]) -> np.ndarray:
    flow = Flow(net)
    pieces = Pieces(flow.run, flow.piece, 9)
    found = [pieces.feed(x[:, a:b]) for a, b in zip([0, *edges], [*edges, x.shape[1]], strict=True)]
    return np.concatenate([*found, pieces.flush()], axis=1)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 1500), max_size=20), st.integers(1, 700), st.sampled_from([0, 1, 4]), st.integers(1, 5))
def test_frames_are_those_of_the_whole_utterance(sizes: list[int], length: int, context: int, lookahead: int) -> None:
    net = network(lookahead, context)
    x = np.random.default_rng(length).standard_normal((3, length)).astype(np.float32)
    edges = [int(end) for end in np.cumsum(sizes) if end < length] if sizes else []
    found = streamed(net, x, edges)
    assert found.shape == (1, math.ceil(math.ceil(length / 2) / 3), 9)
    np.testing.assert_allclose(found, whole(net, x), atol=2e-6)
    assert np.array_equal(found, streamed(net, x, [])), "and to the last bit the same however the signal is cut"


@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_positions_and_thin_products_go_along(positions: str) -> None:
    net = network(positions=positions)
    adapt(net[1], "lora", 2)
    for name, parameter in net.named_parameters():
        if "lora_up" in name:
            nn.init.normal_(parameter, std=0.1)
    x = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    np.testing.assert_allclose(streamed(net, x, [7, 8, 300]), whole(net, x), atol=2e-6)


def test_a_frame_sees_as_far_as_is_said_and_no_further() -> None:
    """Chunks of 3 frames, 2 more of context in each of 3 layers: frame 30 sees frames 12 to 32."""
    net = network()
    x = np.random.default_rng(0).standard_normal((3, 6 * 60)).astype(np.float32)
    first = whole(net, x)[0, 30]
    seen = []
    for frame in range(60):
        changed = x.copy()
        changed[:, 6 * frame] += 1
        seen.append(not np.array_equal(whole(net, changed)[0, 30], first))
    there = np.flatnonzero(seen)
    assert there[-1] == 32 and there[0] == 9, "the stem of frame 12 begins 22 samples earlier"


def test_memory_does_not_grow() -> None:
    net = network()
    flow = Flow(net)
    x = np.zeros((3, flow.piece), np.float32)
    sizes = []
    for _ in range(50):
        flow.run(x)
        sizes.append(sum(past.frames for past in flow._parts[1]._past))  # type: ignore[attr-defined]
    assert sizes[0] < sizes[1] == sizes[-1] == 3 * 6


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (network(causal=False), "causal: true"),
        (network(lookahead=None, context=None), "without lookahead and context"),
        (network(context=None), "without lookahead and context"),
        (nn.Sequential(nn.Linear(3, 3)), "Linear cannot run along"),
    ],
)
def test_what_cannot_is_refused(net: nn.Sequential, said: str) -> None:
    with pytest.raises(MyoflowError, match=said):
        Flow(net)
