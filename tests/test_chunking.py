"""Every host stage gives the same bits however its input is cut, and leaves its input alone."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myoflow.dsp.kernel import joined
from myoflow.spec import FEATURES, FRAMES, SCORES, SIGNAL, UTTERANCES, WINDOWS, Spec, Target
from myoflow.stage import STAGES, Stage
from myoflow.typed import Duration

LABELS = ("a", "b", "c")
RATE = 1000.0
TIME = 3000
WINDOW = 37

# Each stage with the settings that make its kernel a different one. A stage without an entry fails the test below.
EXAMPLES: dict[str, list[dict[str, object]]] = {
    "augment": [{}],
    "bandpass": [{"low": 20.0, "high": 450.0}, {"low": 20.0, "high": 90.0, "order": 7, "start": "zero"}],
    "decimate": [{"factor": 1}, {"factor": 7}],
    "envelope": [{"method": m, "window": Duration(50, "samples")} for m in ("rms", "mean", "lowpass")],
    "griffin_lim": [{"iterations": 1}],
    "features": [{}, {"set": ("rms", "var", "log_wl", "log_mav", "log_rms", "log_var", "ar", "mnf", "mdf")}],
    "highpass": [{"cut": 2.0, "order": 3}],
    "hold": [{"rate": RATE}, {"rate": 3 * RATE}],
    "interpolate": [{"rate": rate} for rate in (1000.0, 689.0625, 516.796875, 2048.0)],
    "lags": [{"back": tuple(Duration(n, "samples") for n in (3, 20)), "stride": Duration(4, "samples")}],
    "lda": [{}],
    "log": [{"floor": 0.1}],
    "lowpass": [{"cut": 5.0}, {"cut": 100.0, "zero_phase": True}],
    "minmax": [{"over": over} for over in ("window", "train", "recording")],
    "notch": [{"freq": 50.0}, {"freq": 50.0, "harmonics": 9}],
    "pad": [{"channels": 19}],
    "patch": [{"length": Duration(WINDOW, "samples")}],
    "perturb": [{}],
    "quality": [
        {
            "policy": policy,
            "span": Duration(200, "samples"),
            "mains": 50.0,
            "mains_share": 0.1,
            "rail": 2.0,
            "ring": ring,
        }
        for policy, ring in (("drop", False), ("interpolate", True))
    ]
    + [{"policy": "error"}],
    "rectify": [{}],
    "reinhard": [{"limit": 1.0, "midpoint": 0.5}],
    "rereference": [{}, {"method": "bipolar"}, {"method": "bipolar", "ring": True}],
    "resample": [{"rate": rate} for rate in (1000.0, 500.0, 689.0625, 2048.0)],
    "ridge": [{}],
    "robust": [{"over": over} for over in ("window", "train", "recording")],
    "select": [{"channels": (3, "ch1")}],
    "squash": [{"limit": 1.0}, {"limit": 0.5, "scale": 0.1}],
    "svm": [{}, {"kernel_function": "linear"}],
    "tokens": [{}, {"parts": 2}],
    "utterance": [{}],
    "vote": [{"span": 5}],
    "window": [
        {"length": Duration(length, "samples"), "stride": Duration(stride, "samples")}
        for length, stride in ((200, 50), (7, 31), (4000, 1))
    ],
    "zscore": [{"over": over} for over in ("window", "running", "train", "recording")]
    + [{"over": "running", "per": "all"}, {"over": "window", "per": "all"}],
}


def specs(channels: int) -> list[Spec]:
    """One Spec of each kind that stages take."""
    signal = Spec.signal(channels, RATE, labels=LABELS)
    windows = signal.evolve(dims=WINDOWS, sizes=(None, channels, WINDOW), step_s=0.01, window_s=WINDOW / RATE)
    target = Target("angles", ("thumb", "wrist"), 3 * RATE / WINDOW)  # three steps a window
    features = windows.evolve(dims=FEATURES, sizes=(None, 4 * channels), target=target)
    scores = features.evolve(dims=SCORES, sizes=(None, len(LABELS)))
    bands = Spec(FRAMES, (None, None, 80), 22_050 / 256, ())
    frames = windows.evolve(dims=FRAMES, sizes=(None, 5, channels))
    utterances = signal.evolve(dims=UTTERANCES, sizes=(None, channels, None))
    return [signal, windows, features, scores, bands, frames, utterances]


def sample(spec: Spec, length: int, seed: int = 0) -> np.ndarray:
    """Noise with bursts and quantised stretches; a lone NaN or zero run is a stage's own test."""
    shape = [length if size is None else size for size in spec.sizes]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * np.exp(rng.standard_normal(shape))
    x[..., ::5] = np.round(x[..., ::5])
    return x.astype(np.float32)


def length_of(spec: Spec) -> int:
    return {SIGNAL: TIME, FRAMES: 6}.get(spec.dims, 40)


def cases() -> Iterator[tuple[Stage, Spec]]:
    for name, examples in EXAMPLES.items():
        if name not in STAGES:
            continue
        for fields in examples:
            stage = STAGES[name](**fields)  # type: ignore[call-arg]
            for spec in (*specs(13), *specs(2)):
                try:
                    stage.plan(spec)
                except ValueError:
                    continue
                except Exception as error:
                    if getattr(error, "exit_code", None) == 2:
                        continue
                    raise
                yield stage, spec


def state_of(stage: Stage, spec: Spec) -> object:
    if not stage.fits:
        return None
    x = sample(spec, length_of(spec), seed=1)
    y = None if spec.dims == SIGNAL else np.arange(len(x)) % len(LABELS)
    if stage.name == "ridge":
        y = np.random.default_rng(2).standard_normal((len(x), 3, 2))
    if stage.name == "lda" and spec.dims == FRAMES:
        y = np.random.default_rng(2).integers(0, 2, (*x.shape[:2], len(LABELS)))
    return stage.fit(spec, [(x, y)])


CASES = list(cases())


def test_every_host_stage_is_here() -> None:
    missing = [name for name in STAGES if STAGES[name].on_host() and name not in EXAMPLES]
    assert not missing, f"add settings for {missing} to EXAMPLES"
    planned = {stage.name for stage, _ in CASES}
    assert planned >= {name for name in STAGES if STAGES[name].on_host()}


def pieces(draw: st.DrawFn, length: int) -> list[slice]:
    """Cuts with empty, one-sample and long pieces; a run of single samples somewhere."""
    cuts = draw(st.lists(st.integers(0, length), max_size=8))
    first = draw(st.integers(0, length - 1))
    cuts += range(first, min(first + 12, length))
    cuts = sorted([0, *cuts, *draw(st.lists(st.sampled_from(cuts), max_size=2)), length])
    return [slice(a, b) for a, b in pairwise(cuts)]


cut_lists = st.composite(lambda draw, length: pieces(draw, length))


@pytest.mark.parametrize("stage, spec", CASES, ids=lambda value: getattr(value, "name", None) or value.describe())
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_chunking_gives_the_same_bits(stage: Stage, spec: Spec, data: st.DataObject) -> None:
    length = length_of(spec)
    x = sample(spec, length)
    if stage.name == "quality" and getattr(stage, "policy", "") != "error":
        x[:, 100:110], x[1, 700], x[0, 400:900] = np.nan, np.inf, 1.0
    state = state_of(stage, spec)
    after = stage.plan(spec)
    axis, cut_axis = after.open_axis, spec.open_axis

    whole = stage.kernel(spec, state)  # type: ignore[arg-type]
    expected = joined([whole.feed(x.copy()), whole.flush()], axis)
    assert all(n is None or n == expected.shape[i] for i, n in enumerate(after.sizes))
    assert expected.dtype == np.float32

    kernel = stage.kernel(spec, state)  # type: ignore[arg-type]
    outputs = []
    frozen_input = x.copy()
    frozen_input.flags.writeable = False
    for piece in data.draw(cut_lists(length)):
        index = [slice(None)] * x.ndim
        index[cut_axis] = piece
        outputs.append(kernel.feed(frozen_input[tuple(index)]))
    outputs.append(kernel.flush())
    assert np.array_equal(frozen_input, x, equal_nan=True)
    assert np.array_equal(joined(outputs, axis), expected, equal_nan=True)


@pytest.mark.parametrize("channels", [1, 2, 100])
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in STAGES and STAGES[name].on_host()])
def test_few_and_many_channels_and_short_signals(name: str, channels: int) -> None:
    """What the planner lets through, runs: one sample or one window, and none."""
    for fields in EXAMPLES[name]:
        stage = STAGES[name](**fields)  # type: ignore[call-arg]
        for spec in specs(channels):
            try:
                after = stage.plan(spec)
            except Exception as error:
                assert getattr(error, "exit_code", None) == 2, error
                continue
            state = state_of(stage, spec)
            for length in (0, 1, 60):
                if length < 60 and getattr(stage, "zero_phase", False):
                    continue  # refuses with its own message; see tests/dsp/test_sections.py
                kernel = stage.kernel(spec, state)  # type: ignore[arg-type]
                out = joined([kernel.feed(sample(spec, length)), kernel.flush()], after.open_axis)
                assert out.ndim == len(after.dims)
                assert all(n is None or n == out.shape[i] for i, n in enumerate(after.sizes))
