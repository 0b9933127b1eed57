"""Engines: every backend that works here gives what torch in float32 gives, stage by stage and mixed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest

from myoflow import library
from myoflow.backend import load_backend
from myoflow.distance import Distance
from myoflow.engine import ENGINES, Parameters
from myoflow.errors import InputError
from myoflow.lower import gpu
from myoflow.network import build
from myoflow.pipeline import Pipeline, Plan, compile_steps, engine_of
from myoflow.spec import Spec

PACKAGES = ("onnx", "onnxruntime", "onnxscript", "openvino", "nncf")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES), reason="needs the extras onnx and openvino"
)

SPEC = Spec.signal(4, 200.0, labels=("rest", "fist", "point"))
STAGES = """
- highpass: {cut: 20 Hz}
- window: {length: 200 ms, stride: 100 ms}
- zscore: {over: window}
- patch: {length: 10 samples}
- tinymyo: {layers: 2, width: 16, heads: 2}
- classify
"""
FIRST = 3  # patch


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the file: exporting takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYOFLOW_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((70, 4, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def parameters(windows: np.ndarray) -> Parameters:
    import torch

    torch.manual_seed(3)
    network = Pipeline.from_yaml(STAGES).plan(SPEC).segments(FIRST)[0]
    weights = {name: tensor.numpy() for name, tensor in build(network).state_dict().items()}
    return Parameters(weights=weights, calibration=windows[:32])


def plan(backend: str | None = None, backends: tuple[str | None, ...] = (None,) * 6) -> Plan:
    return Pipeline(Pipeline.from_yaml(STAGES).stages, backend=backend, backends=backends).plan(SPEC)


def answer(made: Plan, parameters: Parameters, windows: np.ndarray) -> np.ndarray:
    return compile_steps(made, parameters, 2).feed(windows)


HERE = [name for name in ("torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")]


@pytest.mark.parametrize("name", HERE)
def test_a_backend_is_within_its_tolerance(name: str, parameters: Parameters, windows: np.ndarray) -> None:
    known = attrs.evolve(parameters, calibration=windows)  # 32 of them would not show every range
    expected = answer(plan(), known, windows)
    found = answer(plan(name), known, windows)
    assert found.dtype == np.float32 and found.shape == expected.shape == (70, 3)
    assert Distance.between(expected, found).problem(load_backend(name).tolerance) is None


@pytest.mark.parametrize(("name", "off"), [("onnx", 2e-5), ("openvino", 0), ("openvino-bf16", 0), ("openvino-int8", 0)])
def test_any_number_of_windows_at_a_time_gives_the_same(
    name: str, off: float, parameters: Parameters, windows: np.ndarray
) -> None:
    program = compile_steps(plan(name), parameters, 2)
    whole = program.feed(windows)
    pieces = [program.feed(windows[a:b]) for a, b in ((0, 1), (1, 1), (1, 6), (6, 70))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=off)
    assert program.feed(windows[:0]).shape == (0, 3)


@pytest.mark.parametrize("stage", [3, 4, 5])
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_each_learned_stage_can_run_elsewhere(
    stage: int, name: str, parameters: Parameters, windows: np.ndarray
) -> None:
    """Filters on the host, one stage here, the others on torch; a hand-over for each segment."""
    chosen = tuple(name if index == stage else None for index in range(6))
    made = plan(None, chosen)
    assert [step.backend for step in made.steps].count(name) == 1
    np.testing.assert_allclose(
        answer(made, parameters, windows), answer(plan(), parameters, windows), rtol=1e-4, atol=1e-5
    )


def test_stages_that_a_backend_cannot_run_stay_and_the_plan_says_so() -> None:
    steps = {step.stage.name: (step.backend, step.note) for step in plan("onnx").steps}
    assert steps["tinymyo"] == ("onnx", "")
    assert steps["highpass"] == ("host", "stays on host: onnx cannot run it")


def test_int8_without_calibration_windows_is_refused(parameters: Parameters) -> None:
    bare = attrs.evolve(parameters, calibration=None)
    with pytest.raises(InputError, match=r"'onnx-int8' computes in integers and needs training windows"):
        compile_steps(plan("onnx-int8"), bare, 2)


def test_int8_calibrates_on_what_reaches_the_network(parameters: Parameters, windows: np.ndarray) -> None:
    """The z-score before the network makes the scale of the calibration windows irrelevant."""
    loud = attrs.evolve(parameters, calibration=1000 * windows[:32])
    one, other = (answer(plan("onnx-int8"), known, windows) for known in (parameters, loud))
    np.testing.assert_allclose(one, other, atol=0.05 * float(np.abs(one).max()))


@pytest.mark.parametrize(
    ("backend", "package", "extra"), [("onnx", "onnxscript", "onnx"), ("openvino-int8", "nncf", "openvino")]
)
def test_a_missing_package_names_the_extra(
    backend: str, package: str, extra: str, parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    module = importlib.import_module(f"myoflow.engines.{load_backend(backend).engine}")
    known = module.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else known(name))
    with pytest.raises(InputError, match=rf"{package} missing: pip install 'myoflow\[{extra}\]'"):
        compile_steps(plan(backend), parameters, 2)


def test_what_an_engine_cannot_do_is_said() -> None:
    card = load_backend("onnx")
    assert "not for cpu bf16" in str(ENGINES["onnx"]().missing(attrs.evolve(card, precision="bf16")))
    assert "int8 use onnx-int8" in str(ENGINES["torch"]().missing(attrs.evolve(card, precision="int8")))
    assert "not on cuda" in str(ENGINES["openvino"]().missing(attrs.evolve(card, device="cuda")))


def test_all_shipped_backends_name_an_engine_and_a_tolerance() -> None:
    for name in library.names("backends"):
        card = load_backend(name)
        assert engine_of(name) is not None
        assert card.exact == (name in ("host", "torch")) and card.metric_tolerance <= 0.5


def test_threads_fit_the_batch(parameters: Parameters) -> None:
    from myoflow.lower.batches import Batches
    from myoflow.parallel import cores

    asked = []

    def run(batch: np.ndarray, threads: int) -> np.ndarray:
        asked.append((len(batch), threads))
        return batch[:, 0]

    card = load_backend("torch")
    output = SPEC.evolve(dims=("window", "label"), sizes=(None, 3))
    for fixed in (None, 7):
        program = Batches(run, attrs.evolve(card, threads=fixed), output)
        program.feed(np.zeros((70, 2, 3), np.float32))
        program.feed(np.zeros((1, 2, 3), np.float32))
    many = cores()
    assert asked == [(64, many), (6, many), (1, 1), (64, 7), (6, 7), (1, 7)]


@pytest.mark.parametrize("threads", [2, 3])
def test_windows_side_by_side_are_answered_in_order(threads: int, parameters: Parameters, windows: np.ndarray) -> None:
    (segment,) = plan("openvino").segments(FIRST)
    card, engine = load_backend("openvino"), ENGINES["openvino"]()
    x = (windows - windows.mean(-1, keepdims=True)) / windows.std(-1, keepdims=True)
    one, several = (
        engine.compile(segment, attrs.evolve(card, threads=count), parameters).feed for count in (1, threads)
    )
    for count in (1, 2, 3, 4, 70):
        np.testing.assert_array_equal(several(x[:count]), one(x[:count]))
    assert len(np.unique(one(x), axis=0)) == 70


def test_a_prediction_leaves_the_threads_of_a_training_alone(parameters: Parameters, windows: np.ndarray) -> None:
    import torch

    plan = Pipeline.from_yaml(STAGES).plan(SPEC)
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            compile_steps(plan, parameters, FIRST).feed(windows)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_cpu_without_bf16_computes_in_float32_and_says_so(
    parameters: Parameters, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from myoflow.lower import hardware

    monkeypatch.setattr(hardware, "has_bf16", lambda: False)
    made = compile_steps(plan("openvino-bf16"), parameters, 2)
    assert any("in float32, for this CPU has no bf16" in choice for choice in made.choices)
    np.testing.assert_allclose(made.feed(windows), answer(plan(), parameters, windows), atol=1e-4)


def test_int8_keeps_attention_and_norms_in_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow.lower import hardware

    engine, card = engine_of("openvino-int8"), load_backend("openvino-int8")
    for native, told in ((True, "the rest in bf16"), (None, "the rest in bf16"), (False, "the rest in float32")):
        monkeypatch.setattr(hardware, "has_bf16", lambda native=native: native)
        assert told in engine.choices(card)[0]


def test_bf16_that_gives_other_answers_beside_int8_is_not_used(
    parameters: Parameters, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenVINO's does on CPUs with AMX in some shapes: tried on calibration windows, and told."""
    from myoflow.lower import hardware, openvino_model

    honest = openvino_model.compiled

    def wrong(data: bytes, precision: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        model = honest(data, "f32", threads)
        return model if precision == "f32" else lambda batch: model(batch)[:, ::-1]

    monkeypatch.setattr(hardware, "has_bf16", lambda: True)
    monkeypatch.setattr(openvino_model, "compiled", wrong)
    known = attrs.evolve(parameters, calibration=windows)
    made = compile_steps(plan("openvino-int8"), known, 2)
    expected = answer(plan(), known, windows)
    limit = load_backend("openvino-int8").tolerance
    assert Distance.between(expected, made.feed(windows)).problem(limit) is None
    assert any("OpenVINO's bf16 beside int8 was tried" in choice for choice in made.choices)


def test_the_shipped_gpu_backend_is_bf16_and_compiled() -> None:
    card = load_backend("cuda")
    assert (card.device, card.precision, card.compile) == ("cuda", "bf16", True)
    choices = engine_of("cuda").choices(card)
    assert any(f"CUDA graphs for up to {gpu.THROUGH} windows" in choice for choice in choices)
    assert not load_backend("cuda-float32").compile


def test_another_seed_or_weight_is_another_program(parameters: Parameters) -> None:
    """The name under which a program is kept hangs on everything that decides what it gives."""
    from myoflow.lower.programs import key

    (segment,) = plan("onnx").segments(FIRST)
    card, seen = load_backend("onnx"), set()
    louder = {name: 2 * values for name, values in parameters.weights.items()}
    shorter = attrs.evolve(segment, stages=segment.stages[:2], specs=segment.specs[:2])
    for what, where, known, examples in (
        (segment, card, parameters, None),
        (segment, attrs.evolve(card, float_layers=("*fc1",)), parameters, None),
        (segment, card, attrs.evolve(parameters, weights=louder), None),
        (segment, card, parameters, parameters.calibration),
        (shorter, card, parameters, None),
    ):
        seen.add(key(what, where, known, examples, ("onnx",)))
    assert len(seen) == 5
    assert key(segment, card, parameters, None, ("onnx",)) in seen
