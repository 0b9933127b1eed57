"""The GPU backends, on a machine that has one: answers, threads, precision, training, a whole run."""

from __future__ import annotations

import threading
from pathlib import Path

import attrs
import numpy as np
import pytest

from myoflow.backend import load_backend
from myoflow.engine import Parameters
from myoflow.network import build
from myoflow.pipeline import Pipeline, Plan, compile_steps, engine_of
from myoflow.spec import Spec
from myoflow.training.fit import learned

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

SPEC = Spec.signal(4, 200.0, labels=("rest", "fist", "point"))
STAGES = """
- window: {length: 200 ms, stride: 100 ms}
- patch: {length: 10 samples}
- tinymyo: {layers: 2, width: 64, heads: 2}
- classify
"""


def plan(backend: str | None = None) -> Plan:
    return Pipeline(Pipeline.from_yaml(STAGES).stages, backend=backend).plan(SPEC)


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    torch.manual_seed(3)
    weights = {name: tensor.numpy() for name, tensor in build(plan().segments(1)[0]).state_dict().items()}
    return Parameters(weights=weights)


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2100, 4, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(parameters: Parameters, windows: np.ndarray) -> np.ndarray:
    return compile_steps(plan(), parameters, 1).feed(windows)


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, by the outputs' size."""
    assert found.dtype == np.float32 and found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(expected**2)))


@pytest.mark.parametrize("name", ["cuda", "cuda-float32"])
def test_any_number_of_windows_is_within_the_tolerance(
    name: str, parameters: Parameters, windows: np.ndarray, expected: np.ndarray
) -> None:
    program = compile_steps(plan(name), parameters, 1)
    allowed = load_backend(name).tolerance
    kept = []
    for start, count in ((0, 1), (1, 2), (3, 16), (9, 17), (0, 1), (5, 64), (5, 65), (20, 700), (0, 2100), (7, 1)):
        found = program.feed(windows[start : start + count])
        assert off(found, expected[start : start + count]) <= allowed
        kept.append((start, found, found.copy()))
    for _, found, as_it_was in kept:  # an answer is not memory that the next one overwrites
        np.testing.assert_array_equal(found, as_it_was)
    assert program.feed(windows[:0]).shape == (0, 3)


def test_a_graph_answers_each_window_for_itself(parameters: Parameters, windows: np.ndarray) -> None:
    program = compile_steps(plan("cuda"), parameters, 1)
    once = [program.feed(windows[i : i + 1]) for i in range(5)]
    again = [program.feed(windows[i : i + 1]) for i in reversed(range(5))][::-1]
    np.testing.assert_array_equal(np.concatenate(once), np.concatenate(again))
    assert len(np.unique(np.concatenate(once), axis=0)) == 5


def test_another_thread_may_ask(parameters: Parameters, windows: np.ndarray, expected: np.ndarray) -> None:
    """A live session may be read in any thread, whichever made its decoder."""
    program = compile_steps(plan("cuda"), parameters, 1)
    program.feed(windows[:1])
    found: list[np.ndarray] = []
    for count in (1, 2, 30):
        thread = threading.Thread(target=lambda count=count: found.append(program.feed(windows[:count])))
        thread.start()
        thread.join()
        assert len(found[-1]) == count and off(found[-1], expected[:count]) <= load_backend("cuda").tolerance


def test_float32_stays_float32_where_the_process_allows_tf32(
    parameters: Parameters, windows: np.ndarray, expected: np.ndarray
) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        found = compile_steps(plan("cuda-float32"), parameters, 1).feed(windows)
        assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)
    assert off(found, expected) < 2e-5


def test_utterances_of_any_length_without_a_program_for_each() -> None:
    from myoflow.models import plan_recipe
    from myoflow.recipe import load

    recipe = load("silent_speech_smoke")
    made = {name: plan_recipe(recipe.with_backend(name))["tinymyo"] for name in ("torch", "cuda", "cuda-float32")}
    segment = learned(made["torch"], 0)
    assert segment is not None
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in build(segment).state_dict().items()}
    known = Parameters(weights=weights)
    rng = np.random.default_rng(0)
    chains = {name: compile_steps(found, known, segment.index) for name, found in made.items()}
    channels = made["torch"].input.size("channel")
    for length in (3200, 1600, 2400, 4000):
        x = rng.standard_normal((1, channels, length)).astype(np.float32)
        reference = chains["torch"].feed(x)
        for name in ("cuda", "cuda-float32"):
            assert off(chains[name].feed(x), reference) <= load_backend(name).tolerance, (name, length)


def test_a_report_weighs_the_gpus_memory(parameters: Parameters, windows: np.ndarray) -> None:
    from myoflow.evaluation.bench import gpu_speed

    (segment,) = plan("cuda").segments(1)
    made = engine_of("cuda").report(segment, load_backend("cuda"), parameters, windows[:16])
    assert made.memory_bytes is not None and made.memory_bytes >= 2 * made.parameters  # in bf16
    assert 0 < made.p50_s <= made.p99_s < 0.1 and made.macs / made.p50_s < gpu_speed("bf16")


def test_training_on_a_gpu_follows_the_cpu_and_resumes(tmp_path: Path) -> None:
    from myoflow.recipe import load
    from myoflow.training import train

    settings = attrs.evolve(load("quickstart").train, epochs=3, batch=64, ema=0.9)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, 4, 40)).astype(np.float32)
    y = rng.integers(0, 3, 512)
    x *= (1 + y)[:, None, None]

    def batches(epoch: int):
        order = np.random.default_rng(epoch).permutation(512)
        return ((x[rows], y[rows]) for rows in order.reshape(-1, 64))

    def trained(device: str, folder: Path, stop: int | None = None):
        stages = Pipeline.from_yaml(STAGES.replace("heads: 2", "heads: 2, dropout: 0, drop_path: 0")).plan(SPEC)
        torch.manual_seed(0)
        module = build(stages.segments(1)[0])
        part = settings if stop is None else attrs.evolve(settings, epochs=stop)
        history = train.fit(
            module, batches, lambda: [(x, y)], part, seed=0, steps_per_epoch=8, folder=folder, device=device
        )
        return module, history

    on_cpu, one = trained("cpu", tmp_path / "cpu")
    on_gpu, two = trained("cuda", tmp_path / "gpu")
    losses = [[epoch.loss for epoch in history.epochs] for history in (one, two)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert losses[1][-1] < 0.8 * losses[1][0]
    assert not any(tensor.is_cuda for tensor in on_gpu.state_dict().values())
    with torch.inference_mode():
        given = torch.from_numpy(x)
        agree = (on_cpu(given).argmax(-1) == on_gpu(given).argmax(-1)).float().mean()
    assert agree > 0.95
    _, again = trained("cuda", tmp_path / "gpu")  # finished: nothing is trained again
    assert again.epochs == two.epochs


def test_a_run_trains_checks_and_streams_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tiny

    import myoflow as mf
    from myoflow.evaluation.verify import verify
    from myoflow.recipe import load
    from myoflow.run import run_recipe

    monkeypatch.chdir(tmp_path)
    path = tiny.write(tmp_path, tiny.ONE_SEED)
    run = run_recipe(load(path), backend="cuda", out=tmp_path / "gpu")
    exact = verify(run, "cuda-float32")
    assert exact.backends == ("cuda-float32",) and exact.windows > 20 and not exact.problems and exact.decisions == 0
    # so little was trained that decisions hang by a hair: of bf16 the numbers are held to the card's tolerance
    half = verify(run, "cuda")
    assert not half.outputs["output"].problem(load_backend("cuda").tolerance)
    said = {
        name: [output.label for output in mf.stream(run, "replay?speed=max", backend=name)]
        for name in ("torch", "cuda")
    }
    assert len(said["cuda"]) == len(said["torch"]) > 20
    assert np.mean([a == b for a, b in zip(*said.values(), strict=True)]) > 0.9
