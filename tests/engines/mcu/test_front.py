"""Filters, windows and scaling in integers, against the host's floating point, and C against both."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from engines.mcu import nets

from myoflow.backend import load_backend
from myoflow.engine import Parameters
from myoflow.engines.mcu import emit, front, lanes, plan, reference, toolchain
from myoflow.errors import InputError
from myoflow.pipeline import Pipeline, compile_steps
from myoflow.spec import Spec

WINDOW = "- window: {length: 500 ms, stride: 100 ms}\n"
PIPELINES = {
    "band-pass and notch, z-score of the window": "- bandpass: {low: 20 Hz, high: 90 Hz}\n- notch: {freq: 50 Hz}\n"
    + WINDOW + "- zscore: {over: window}\n",
    "low cut, one scale": "- highpass: {cut: 2 Hz, order: 2}\n" + WINDOW + "- zscore: {over: train, per: all}\n",
    "range of all channels": "- lowpass: {cut: 40 Hz, order: 6, start: zero}\n" + WINDOW
    + "- minmax: {over: window, per: all}\n",
    "nothing but windows": WINDOW,
}  # fmt: skip


def signal(count: int = 400) -> np.ndarray:
    """Bursts on an electrode offset 30 times as large."""
    rng = np.random.default_rng(2)
    return (30.0 + rng.standard_normal((3, count)) * rng.uniform(0.5, 2, (3, 1))).astype(np.float32)


def made(text: str, step: float = 0.05) -> tuple[front.Front, np.ndarray]:
    """The front of a pipeline, and its windows in floating point."""
    pipeline = Pipeline.from_yaml(text)
    planned = pipeline.plan(Spec.signal(3, 200.0))
    learned = {"centre": np.zeros(3), "scale": np.full(3, 1.5)}
    states = {step.index: learned for step in planned.steps if step.stage.fits}
    windows = compile_steps(planned, Parameters(states=states)).whole(signal())
    cut = next(step.index for step in planned.steps if step.stage.name == "window")
    before = compile_steps(planned, Parameters(states=states), 0, cut + 1).whole(signal())
    parameters = Parameters(states=states, calibration=before)
    return front.front(planned, parameters, len(planned.steps), before, step), windows


@pytest.mark.parametrize("text", PIPELINES.values(), ids=PIPELINES)
def test_integers_are_as_near_as_a_step_allows(text: str) -> None:
    step = 0.5 if text == WINDOW else 0.05
    stage, wanted = made(text, step)
    got = stage.run(stage.integers(signal())) * step
    assert got.shape == wanted.shape and len(wanted) == 16
    assert np.abs(got - np.clip(wanted, -128 * step, 127 * step)).max() <= 0.56 * step


def test_filters_keep_90_db_under_an_offset() -> None:
    stage, _ = made(PIPELINES["low cut, one scale"])
    planned = Pipeline.from_yaml("- highpass: {cut: 2 Hz, order: 2}").plan(Spec.signal(3, 200.0))
    wanted = compile_steps(planned, Parameters()).whole(signal()).astype(np.float64)
    got = stage._filter(stage.integers(signal()).astype(np.int64)) * stage.step
    assert 10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum()) > 90


def test_what_has_no_integer_form_is_named() -> None:
    for text, said in (
        ("- bandpass: {low: 20 Hz, high: 90 Hz, zero_phase: true}\n" + WINDOW, "bandpass has no integer form"),
        ("- zscore: {over: running}\n" + WINDOW, "zscore has no integer form"),
        (WINDOW + "- robust: {over: window}\n", "robust over the window has no integer form"),
    ):
        with pytest.raises(InputError, match=said):
            made(text)


@pytest.mark.skipif(lanes.missing("host") is not None, reason=str(lanes.missing("host")))
@pytest.mark.parametrize("text", PIPELINES.values(), ids=PIPELINES)
def test_c_gives_the_same_scores_from_raw_samples(text: str, tmp_path: Path) -> None:
    network = nets.made(nets.tinymyo(3, 5), nets.windows(3, 100))[1]
    stage, _ = made(text, float(network.input.scale))
    card = load_backend("gap9")
    sources = emit.emit(network, plan.plan(network, card.chip), "test")
    for name, content in {**sources.files, **front.emit(stage)}.items():
        (tmp_path / name).write_text(content)
    samples = stage.integers(signal())
    samples[0, 200:210] = [2**31 - 1, -(2**31)] * 5  # what no converter gives must not wrap
    (tmp_path / "weights.bin").write_bytes(sources.weights)
    (tmp_path / "samples.bin").write_bytes(np.ascontiguousarray(samples.T).tobytes())
    native = toolchain.native()
    kernels = [*toolchain.KERNELS, "mf_signal.c", "platform/plain.c", "platform/main_pipe.c"]
    parts = [
        *(tmp_path / f"{name}.c" for name in ("network", "front", "pipeline")),
        *(native / name for name in kernels),
    ]
    compiler = toolchain.host_compiler() or []
    words = ["-O1", f"-I{native}", f"-I{tmp_path}"]
    if not toolchain.is_zig(compiler):
        words += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    toolchain.compile_c(compiler, parts, tmp_path / "pipe", words)
    command = [tmp_path / "pipe", tmp_path / "weights.bin", tmp_path / "samples.bin"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    windows = stage.run(samples)
    values = [windows.reshape(len(windows), *network.input.shape)]
    for layer in network.layers[1:]:
        values.append(reference.compute(layer, [values[i] for i in layer.inputs]))
    assert done.stdout == values[-1].tobytes()
