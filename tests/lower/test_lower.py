"""Lowering: exported models against torch, quantisation's choices, and programs kept under the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from myoflow.errors import InputError, MyoflowError
from myoflow.lower import programs
from myoflow.nn.encoder import Classifier, Encoder, Patches
from myoflow.spec import Spec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SPEC = Spec.signal(3, 200.0).evolve(dims=("window", "channel", "time"), sizes=(None, 3, 40))


def network(positions: str = "rotary") -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = Encoder(channels=3, patches=4, features=10, width=16, layers=2, heads=2, positions=positions)
    parts = {"patch": Patches(10), "tinymyo": encoder, "classify": Classifier(48, 4, concat=True)}
    made = torch.nn.Sequential()
    for name, part in parts.items():
        made.add_module(name, part)
    return made.eval()


@pytest.fixture(scope="module")
def lowered() -> bytes:
    from myoflow.lower.onnx_graph import lower

    return lower(network(), SPEC, {"labels": json.dumps(["a", "b"])})


@pytest.mark.parametrize("windows", [1, 2, 7, 64])
def test_the_model_gives_what_torch_gives(lowered: bytes, windows: int) -> None:
    from myoflow.lower.onnx_graph import session

    x = np.random.default_rng(windows).standard_normal((windows, 3, 40)).astype(np.float32)
    with torch.no_grad():
        expected = network()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(session(lowered, 1)(x), expected, atol=1e-5)


def test_the_model_describes_itself(lowered: bytes) -> None:
    model = onnx.load_from_string(lowered)
    onnx.checker.check_model(model, full_check=True)
    (given,) = model.graph.input
    shape = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert given.name == "emg" and isinstance(shape[0], str) and shape[1:] == [3, 40]
    assert {entry.key: entry.value for entry in model.metadata_props}["labels"] == '["a", "b"]'


def test_products_are_called_as_torch_calls_their_layers(lowered: bytes) -> None:
    from myoflow.lower.onnx_graph import products

    names = [node.name for node in products(onnx.load_from_string(lowered))]
    linear = [name for name, part in network().named_modules() if isinstance(part, torch.nn.Linear)]
    assert names == linear


def test_a_model_that_differs_is_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow.lower import onnx_graph

    class Wrong(onnx_graph.session):
        def __call__(self, batch):
            return super().__call__(batch) + 1e-2

    monkeypatch.setattr(onnx_graph, "session", Wrong)
    with pytest.raises(MyoflowError, match="the ONNX model differs from torch by"):
        onnx_graph.lower(network("none"), SPEC)


@pytest.mark.parametrize("kept", [(), ("classify.*",)])
def test_int8_products_are_those_that_were_not_kept_in_float(lowered: bytes, kept: tuple[str, ...]) -> None:
    from myoflow.lower.onnx_graph import session
    from myoflow.lower.quantise import quantised

    x = np.random.default_rng(5).standard_normal((40, 3, 40)).astype(np.float32)
    data = quantised(lowered, x, kept)
    model = onnx.load_from_string(data)
    integers = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 2]
    assert len(integers) == (9 if not kept else 8)  # the first product reads the samples and stays in float
    expected = session(lowered, 1)(x)
    off = np.abs(session(data, 1)(x) - expected).max() / np.sqrt(np.mean(expected**2))
    assert 1e-6 < off < 0.3


def test_rare_peaks_of_the_signal_do_not_coarsen_the_rest(lowered: bytes) -> None:
    """EMG is bursts: its largest sample is many times the usual one, and would set the step of all of them."""
    from myoflow.lower.onnx_graph import session
    from myoflow.lower.quantise import quantised

    x = np.random.default_rng(6).standard_t(2, (60, 3, 40)).astype(np.float32)
    run = session(quantised(lowered, x[:40], ()), 1)
    expected = session(lowered, 1)(x)
    off = np.sqrt(np.mean((run(x) - expected) ** 2) / np.mean(expected**2))
    assert off < 0.07  # 0.10 with the first product in 8 bits


def test_a_pattern_that_matches_no_layer_is_refused(lowered: bytes) -> None:
    from myoflow.lower.quantise import quantised

    x = np.zeros((4, 3, 40), np.float32)
    with pytest.raises(InputError, match=r"'decoder\*' matches no layer; layers: tinymyo.embed, "):
        quantised(lowered, x, ("decoder*",))
    with pytest.raises(MyoflowError, match="no matrix product is left"):
        quantised(lowered, x, ("*",))


def test_a_program_is_made_once_and_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path))
    made = []

    def make() -> bytes:
        made.append(1)
        return b"model"

    path = tmp_path / "programs" / "a.onnx"
    assert programs.kept("a.onnx", make) == programs.kept("a.onnx", make) == b"model"
    assert len(made) == 1
    for damage in (lambda b: b[:-1], lambda b: b"", lambda b: b[:-1] + b"x"):
        path.write_bytes(damage(path.read_bytes()))
        assert programs.kept("a.onnx", make) == b"model"
    assert len(made) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx2\n", False),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("", None),
        (None, None),
    ],
)
def test_bf16_is_known_from_the_processors_flags(
    text: str | None, expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from myoflow.lower import hardware

    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    hardware.has_bf16.cache_clear()
    try:
        assert hardware.has_bf16() is expected
    finally:
        hardware.has_bf16.cache_clear()


def test_openvino_runs_a_rotation_as_one_operation(lowered: bytes) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    made = core.compile_model(core.read_model(lowered), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).get_runtime_model()
    kinds = [node.get_rt_info()["layerType"] for node in made.get_ops()]
    assert kinds.count("RoPE") == 2 * 2  # queries and keys of two blocks


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_answers_a_window_alone_as_among_others(lowered: bytes, threads: int) -> None:
    """Alone it has all threads, among others one; the numbers are the same."""
    pytest.importorskip("openvino")
    from myoflow.lower.openvino_model import compiled

    x = np.random.default_rng(8).standard_normal((7, 3, 40)).astype(np.float32)
    run = compiled(lowered, "f32", threads)
    with torch.no_grad():
        expected = network()(torch.from_numpy(x)).numpy()
    many = run(x)
    np.testing.assert_allclose(many, expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([run(x[i : i + 1]) for i in range(7)]), many, atol=1e-6)
