"""Networks of utterances on onnx and openvino: one program for every length, and what torch gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from myoflow.distance import Distance
from myoflow.engine import Parameters, Segment
from myoflow.errors import InputError
from myoflow.lower.onnx_graph import LONGEST
from myoflow.models import plan_recipe
from myoflow.network import build
from myoflow.pipeline import Plan, compile_steps
from myoflow.recipe import load
from myoflow.training.fit import learned

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxscript", "onnxruntime", "openvino", "nncf")),
    reason="needs the extras onnx and openvino",
)
CHANNELS = 8


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYOFLOW_CACHE", str(folder))
        yield folder


def speech(backend: str | None) -> tuple[Plan, Segment]:
    (plan,) = plan_recipe(load("silent_speech_smoke").with_backend(backend or "torch")).values()
    segment = learned(plan, 0)
    assert segment is not None
    return plan, segment


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    import torch

    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in build(speech(None)[1]).state_dict().items()}
    pieces = np.random.default_rng(1).standard_normal((6, CHANNELS, 1600)).astype(np.float32)
    return Parameters(weights=weights, calibration=pieces)


def answers(backend: str | None, parameters: Parameters, lengths: tuple[int, ...]) -> list[np.ndarray]:
    plan, segment = speech(backend)
    chain = compile_steps(plan, parameters, segment.index)
    rng = np.random.default_rng(0)
    return [chain.feed(rng.standard_normal((1, CHANNELS, length)).astype(np.float32)) for length in lengths]


@pytest.mark.parametrize(
    ("backend", "off"), [("onnx", 1e-5), ("onnx-int8", 0.2), ("openvino", 1e-4), ("openvino-bf16", 0.1)]
)
def test_an_utterance_of_any_length_gives_what_torch_gives(backend: str, off: float, parameters: Parameters) -> None:
    lengths = (1600, 333, 4501, 20_000)  # the last has far more frames than the model was exported with
    for found, expected in zip(answers(backend, parameters, lengths), answers(None, parameters, lengths), strict=True):
        assert Distance.between(expected, found).problem(off) is None


def test_an_utterance_beyond_the_longest_is_told(parameters: Parameters) -> None:
    for backend in ("onnx", "openvino"):
        with pytest.raises(InputError, match=r"an utterance of 47\.6 s is longer than this backend's model takes"):
            answers(backend, parameters, (LONGEST + 1,))
