"""Speech: conv_stem, encoder and heads for utterances of any length, in C that gives the reference's bits at each."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from engines.mcu import nets
from engines.mcu.test_lanes import differing

from myoflow.backend import load_backend
from myoflow.engine import Parameters, Segment
from myoflow.engines.mcu import capture, emit, fitting, ir, lanes, plan, ranges, reference
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.build import compiled
from myoflow.engines.mcu.program import McuProgram
from myoflow.engines.mcu.quantise import quantise
from myoflow.errors import InputError, MyoflowError
from myoflow.heads import Heads
from myoflow.spec import UTTERANCES, Spec
from myoflow.stages.conv_stem import ConvStem
from myoflow.stages.ctc import Ctc
from myoflow.stages.mel import Mel
from myoflow.stages.tinymyo import TinyMyo

CARD = load_backend("gap9")
SPEC = Spec(UTTERANCES, (None, 3, None), 100.0, ("a", "b", "c"), units="1", longest_s=3.0)
PIECE = 120


def segment(**more: Any) -> Segment:
    """The speech recipes' network in small."""
    stem = ConvStem(widths=(8, 16), strides=(2, 4))
    encoder = TinyMyo(layers=2, width=16, heads=2, **more)
    stages = [stem, encoder, Heads({"text": (Ctc(),), "audio": (Mel(bands=26, per_frame=2),)})]
    specs = [SPEC]
    for stage in stages:
        specs.append(stage.plan(specs[-1]))
    return Segment(0, tuple(stages), tuple(specs[:-1]), specs[-1], "gap9")


def network_of(part: Segment) -> torch.nn.Module:
    torch.manual_seed(0)
    parts = [stage.module(spec) for stage, spec in zip(part.stages, part.specs, strict=True)]
    module = torch.nn.Sequential(OrderedDict(zip(("conv_stem", "tinymyo", "heads"), parts, strict=True)))
    for name, tensor in module.named_buffers():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(tensor, std=0.3)
        if name.endswith("running_var"):
            torch.nn.init.uniform_(tensor, 0.5, 2.0)
    return nets.spread(module)


@pytest.fixture(scope="module")
def speech() -> tuple[Any, q.Network]:
    """What torch gives and what the captured operations give for some utterances; the network in integers."""
    part = segment()
    module = network_of(part)
    graph = capture.capture(module, SPEC, 300)
    seen = ranges.observe(ir.resized(graph, PIECE), nets.windows(3, PIECE, 16))

    def floats(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            given = torch.from_numpy(x)
            return module(given).numpy(), ir.evaluate(ir.resized(graph, x.shape[2]), given)[-1].numpy()

    return floats, attrs.evolve(quantise(graph, seen), open=True)


def test_every_length_gives_what_torch_gives_for_that_utterance_alone(speech: tuple[Any, q.Network]) -> None:
    floats, network = speech
    assert not any(layer.kind in ("mean", "add_rows") for layer in network.layers)  # batch norm is folded
    for length in (1, 2, 9, PIECE, 299):
        x = nets.windows(3, length, 4, seed=length)
        wanted, captured = floats(x)
        np.testing.assert_allclose(captured, wanted, atol=1e-5)
        got = reference.outputs(network.at(length), x)
        assert got.shape == wanted.shape
        assert np.square(wanted - got).mean() < 0.1 * np.square(wanted).mean()


@pytest.mark.parametrize("lane", ["host", "rv32", "qemu"])
def test_c_equals_the_reference_on_every_bit_at_every_length(
    speech: tuple[Any, q.Network], lane: str, tmp_path: Path
) -> None:
    if lanes.missing(lane) is not None:
        pytest.skip(str(lanes.missing(lane)))
    network, planned = fitting.fitted(speech[1], CARD.chip)
    runner = lanes.build(lane, network, emit.emit(network, planned, "test"), CARD.chip, tmp_path)
    for length in (1, 2, 3, 8, 9, 120, 300) if lane == "host" else (37, 2):  # longer ones first, too
        assert differing(network.at(length), runner, nets.adversarial((3, length))[:5]) == []
    for wrong in ((3, 0), (3, 301), (2, 50)):
        with pytest.raises(MyoflowError, match=r"takes \(3, 1 to 300\) numbers"):
            runner.run(np.zeros(wrong, np.int8))


def test_memory_decides_how_long_utterances_may_be(speech: tuple[Any, q.Network]) -> None:
    small = attrs.evolve(CARD.chip, l2_kib=12, l2_kept_kib=0)
    network, made = fitting.fitted(speech[1], small)
    assert 1 < network.input.width < 300 and made.l2 <= 12 * 1024
    with pytest.raises(InputError, match="of L2"):
        plan.plan(speech[1].at(network.input.width + 1), small)
    with pytest.raises(InputError, match="of L2"):  # not even one sample
        fitting.fitted(speech[1], attrs.evolve(small, l2_kib=4))


def test_a_program_says_how_long_and_refuses_longer_ones(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path))
    part = segment()
    module = network_of(part)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    small = attrs.evolve(CARD, chip=attrs.evolve(CARD.chip, l2_kib=12, l2_kept_kib=0))
    build = compiled(part, small, Parameters(weights=weights), nets.windows(3, PIECE, 16))
    program = McuProgram(build, part, "host")
    most = build.network.input.width
    assert f"utterances of up to {most / 100:.2f} s (3 s would not fit its memory), each computed alone" in (
        program.choices
    )
    assert program.feed(nets.windows(3, 50, 1)).shape == (1, 7, 38 + 52)
    with pytest.raises(InputError, match=rf"an utterance of 3.00 s is longer than .* up to {most / 100:.2f} s"):
        program.feed(nets.windows(3, 300, 1))


def test_another_precision_is_refused() -> None:
    with pytest.raises(InputError, match="computes in int8, not in float32"):
        compiled(segment(), attrs.evolve(CARD, precision="float32"), Parameters(), nets.windows(3, PIECE, 2))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lookahead": 0.2}, "attention with a mask"),
        ({"positions": "relative"}, "attention with a mask|no integer form"),
    ],
)
def test_encoders_without_an_integer_form_are_refused_by_layer(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"tinymyo.blocks.0.attn.*({said})"):
        capture.capture(network_of(segment(**more)), SPEC, 100)


class Mean(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x)
        return out.mean(2)


def test_what_looks_along_all_of_an_utterance_is_refused() -> None:
    whole = torch.nn.Sequential(OrderedDict(pooled=Mean())).eval()
    with pytest.raises(InputError, match="pooled: a mean over the frames of an utterance"):
        capture.capture(whole, SPEC, 40)
