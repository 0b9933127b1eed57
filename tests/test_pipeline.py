"""Pipeline: planning, running, streaming, backends."""

from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

import myoflow as mf
from myoflow.engine import Parameters
from myoflow.errors import InputError, PlanError, RecipeError
from myoflow.network import build
from myoflow.pipeline import Pipeline
from myoflow.spec import Spec

CHAIN = """
- bandpass: {low: 20 Hz, high: 450 Hz}
- notch: {freq: 50 Hz}
- rectify
"""

DECODER = """
- bandpass: {low: 20 Hz, high: 90 Hz}
- window: {length: 200 ms, stride: 50 ms}
- patch: {length: 20 samples}
- tinymyo: {layers: 1, width: 12, heads: 1}
- classify
- vote: {span: 3}
"""


def emg(channels: int = 3, samples: int = 2000, rate: float = 1000) -> xr.DataArray:
    values = np.random.default_rng(1).normal(size=(channels, samples)).astype(np.float32)
    return xr.DataArray(values, dims=("channel", "time"), attrs={"SamplingFrequency": rate, "units": "V"})


def trained(pipeline: Pipeline, spec: Spec) -> Pipeline:
    """The pipeline with random weights."""
    import torch

    torch.manual_seed(0)
    segment = next(s for s in pipeline.plan(spec).segments() if s.backend == "torch")
    weights = {name: tensor.numpy() for name, tensor in build(segment).state_dict().items()}
    return pipeline.with_parameters(Parameters(weights=weights))


def test_run_is_the_stages_in_order() -> None:
    data = emg()
    out = Pipeline.from_yaml(CHAIN).run(data)
    band = signal.butter(4, [20, 450], "bandpass", fs=1000, output="sos")
    b, a = signal.iirnotch(50, 30, fs=1000)
    start = data.values.astype(float) - data.values[:, :1]  # filters start settled on the first sample
    expected = np.abs(signal.lfilter(b, a, signal.sosfilt(band, start)))
    np.testing.assert_allclose(out.values, expected, atol=2e-5)
    assert out.dims == ("channel", "time")
    assert out.time.values[1] == pytest.approx(1e-3)


def test_python_and_yaml_say_the_same() -> None:
    same = Pipeline([mf.Bandpass(low="20 Hz", high="450 Hz"), mf.Notch(freq="50 Hz"), mf.Rectify()])
    assert same.stages == Pipeline.from_yaml(CHAIN).stages


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 300), max_size=12))
def test_a_stream_gives_the_offline_output_however_it_is_cut(cuts: Sequence[int]) -> None:
    data = emg(samples=700)
    pipeline = Pipeline.from_yaml(CHAIN + "- window: {length: 100 ms, stride: 30 ms}\n- features: {set: hudgins}")
    stream = pipeline.stream(Spec.of(data))
    pieces, start = [], 0
    for size in cuts:
        pieces.append(stream.feed(data.values[:, start : start + size]))
        start += size
    pieces += [stream.feed(data.values[:, start:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces), pipeline.run(data).values)


def test_a_decoder_streams_its_offline_decisions() -> None:
    data = emg(channels=2, rate=500).assign_attrs(labels=["rest", "fist"])
    pipeline = trained(Pipeline.from_yaml(DECODER), Spec.of(data))
    offline = pipeline.run(data)
    assert offline.dims == ("window", "label")
    assert list(offline.label.values) == ["rest", "fist"]
    assert offline.time.values[:2] == pytest.approx([0.2, 0.25])
    stream = pipeline.stream(Spec.of(data))
    pieces = [stream.feed(data.values[:, start : start + 33]) for start in range(0, 2000, 33)]
    live = np.concatenate([*pieces, stream.flush()])
    np.testing.assert_allclose(live, offline.values, atol=1e-5)
    np.testing.assert_array_equal(live.argmax(1), offline.values.argmax(1))


def test_plan_names_the_stage_at_fault() -> None:
    pipeline = Pipeline.from_yaml("- rectify\n- bandpass: {low: 20 Hz, high: 900 Hz}")
    with pytest.raises(PlanError, match="bandpass") as caught:
        pipeline.plan(Spec.signal(2, 1000))
    assert (caught.value.stage, caught.value.field) == (1, "high")


def test_segments_group_neighbours_by_backend() -> None:
    spec = Spec.signal(2, 500, labels=("a", "b"))
    segments = Pipeline.from_yaml(DECODER).plan(spec).segments()
    assert [(s.backend, [stage.name for stage in s.stages]) for s in segments] == [
        ("host", ["bandpass", "window"]),
        ("torch", ["patch", "tinymyo", "classify"]),
        ("host", ["vote"]),
    ]
    assert [s.index for s in segments] == [0, 2, 5]


def test_training_only_stages_do_not_run() -> None:
    text = "- window: {length: 200 ms, stride: 50 ms}\n- augment: {amplitude: 0.9}\n- rectify"
    data = emg()
    without = Pipeline.from_yaml("- window: {length: 200 ms, stride: 50 ms}\n- rectify")
    np.testing.assert_array_equal(Pipeline.from_yaml(text).run(data).values, without.run(data).values)


def test_a_top_level_backend_moves_what_it_can_and_says_what_stays() -> None:
    spec = Spec.signal(2, 500, labels=("a", "b"))
    plan = Pipeline(Pipeline.from_yaml(DECODER).stages, backend="host").plan(spec)
    found = {step.stage.name: (step.backend, step.note) for step in plan.steps}
    assert found["patch"] == ("host", "")
    assert found["tinymyo"][0] == "torch"
    assert found["tinymyo"][1] == "stays on torch: host cannot run it"


def test_a_backend_asked_for_by_name_must_work() -> None:
    pipeline = Pipeline.from_yaml("- rectify: {backend: torch}")
    with pytest.raises(PlanError, match=r"rectify cannot run on 'torch'; leave `backend` out or use 'host'"):
        pipeline.plan(Spec.signal(1, 100))


def test_untrained_pipelines_say_so() -> None:
    data = emg(rate=500).assign_attrs(labels=["a", "b"])
    with pytest.raises(InputError, match="learned stages without weights"):
        Pipeline.from_yaml(DECODER).run(data)
    lda = "- window: {length: 200 ms, stride: 50 ms}\n- features: {set: hudgins}\n- lda"
    with pytest.raises(InputError, match=r"lda .* has not been fitted"):
        Pipeline.from_yaml(lda).run(data)


def test_what_cannot_stream_is_refused_with_the_reason() -> None:
    pipeline = Pipeline.from_yaml("- bandpass: {low: 20 Hz, high: 90 Hz, zero_phase: true}")
    with pytest.raises(PlanError, match=r"cannot stream: .*zero_phase"):
        pipeline.stream(Spec.signal(1, 1000))
    assert pipeline.run(emg()).shape == (3, 2000)


def test_a_chunk_of_another_shape_is_refused() -> None:
    stream = Pipeline.from_yaml("- rectify").stream(Spec.signal(3, 1000))
    with pytest.raises(InputError, match=r"\(channel 3, time\), got \(2, 10\)"):
        stream.feed(np.zeros((2, 10), np.float32))


def test_yaml_errors_have_positions() -> None:
    with pytest.raises(RecipeError, match=r"pipeline:2:\d+: bandpass has no field 'hi'; did you mean 'high'"):
        Pipeline.from_yaml("- rectify\n- bandpass: {low: 20 Hz, hi: 90 Hz}")


def test_an_empty_pipeline_is_refused() -> None:
    with pytest.raises(InputError, match="at least one stage"):
        Pipeline([])


def test_integers_go_in_and_are_not_changed() -> None:
    counts = emg()
    counts = counts.copy(data=(counts.values * 100).astype(np.int16))
    before = counts.values.copy()
    Pipeline.from_yaml(CHAIN).run(counts)
    np.testing.assert_array_equal(counts.values, before)
