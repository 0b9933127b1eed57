"""Stages that change channels, rate or amplitude of a signal: plans, refusals, small known answers."""

import numpy as np
import pytest
from scipy import signal as scipy_signal

from myoflow.dsp.kernel import Array
from myoflow.errors import PlanError
from myoflow.spec import Spec
from myoflow.stage import Stage
from myoflow.stages.decimate import Decimate
from myoflow.stages.envelope import Envelope
from myoflow.stages.hold import Hold
from myoflow.stages.lags import Lags
from myoflow.stages.log import Log
from myoflow.stages.pad import Pad
from myoflow.stages.quality import Quality
from myoflow.stages.rectify import Rectify
from myoflow.stages.rereference import Rereference
from myoflow.stages.resample import Resample
from myoflow.stages.select import Select
from myoflow.stages.window import Window

SPEC = Spec.signal(3, 1000.0)
WINDOWS = Window(length="4 samples", stride="4 samples").plan(SPEC)
X = np.array([[1, -2, 3, 4], [5, 5, 5, 5], [0, 2, -4, 9]], np.float32)


def run(stage: Stage, x: Array, spec: Spec = SPEC) -> Array:
    kernel = stage.kernel(spec)
    out: Array = np.concatenate([kernel.feed(x), kernel.flush()], axis=stage.plan(spec).open_axis)
    return out


def test_rectify() -> None:
    assert np.array_equal(run(Rectify(), X), np.abs(X))


def test_log() -> None:
    x = np.array([[1e-6, 1e-5, -1e-3, 0.0], [2e-6, 5e-7, np.nan, 1.0], [0, 0, 0, 0]], np.float32)
    out = run(Log(floor=1e-6), x)
    decade = np.log(10)
    np.testing.assert_allclose(out[0], [0, decade, 3 * decade, 0], atol=1e-5)
    assert out[1, 1] == 0 and np.isnan(out[1, 2]) and Log().plan(SPEC).units == "1"
    millivolts = SPEC.evolve(units="mV")
    np.testing.assert_allclose(run(Log(floor=1e-6), x * 1e3, millivolts), out, atol=1e-5)
    with pytest.raises(PlanError, match="floor above 0 V"):
        Log(floor=0.0).plan(SPEC)
    with pytest.raises(PlanError, match="it is in '1'"):
        Log().plan(SPEC.evolve(units="1"))


def test_lags() -> None:
    spec = Window(length="8 samples", stride="8 samples").plan(SPEC)
    stage = Lags(back=("1 sample", "3 samples"), stride="2 samples")
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 8)
    out = run(stage, x, spec)
    after = stage.plan(spec)
    assert after.sizes == (None, 3, 9) == (None, *out.shape[1:]) and stage.hears(spec) == 3
    assert after.rate_hz == 500.0
    # frames at samples 3, 5, 7: all channels now, one ago, three ago
    assert out[0].tolist() == [
        [3, 11, 19, 2, 10, 18, 0, 8, 16],
        [5, 13, 21, 4, 12, 20, 2, 10, 18],
        [7, 15, 23, 6, 14, 22, 4, 12, 20],
    ]
    assert Lags(back=(), stride="2 samples").plan(spec).sizes == (None, 4, 3), "the present alone"
    for fields, said in (
        ({"back": ("8 samples",)}, "looks 8 samples back, in windows of 8"),
        ({"back": ("2 samples", "2 samples")}, "times apart by a sample"),
        ({"back": ("0.1 ms",)}, "times apart by a sample"),
        ({"back": ("1 sample",), "stride": "0.1 ms"}, "needs a stride of a sample"),
    ):
        with pytest.raises(PlanError, match=said):
            Lags(**fields).plan(spec)  # type: ignore[arg-type]


def test_rereference() -> None:
    out = run(Rereference(), X)
    np.testing.assert_allclose(out, X - X.mean(axis=0), rtol=1e-6)
    line, ring = Rereference(method="bipolar"), Rereference(method="bipolar", ring=True)
    assert line.plan(SPEC).channels == ("ch1-ch2", "ch2-ch3") and line.plan(SPEC).size("channel") == 2
    assert ring.plan(SPEC).channels == ("ch1-ch2", "ch2-ch3", "ch3-ch1")
    assert np.array_equal(run(line, X), X[:2] - X[1:])
    assert np.array_equal(run(ring, X), X - X[[1, 2, 0]])
    assert np.array_equal(run(ring, X[None], WINDOWS), (X - X[[1, 2, 0]])[None])


def test_select_and_pad() -> None:
    stage = Select(channels=("ch3", 1))
    assert stage.plan(SPEC).channels == ("ch3", "ch1")
    assert np.array_equal(run(stage, X), X[[2, 0]])
    assert np.array_equal(run(stage, X[None], WINDOWS), X[None, [2, 0]])
    pad = Pad(channels=5)
    assert pad.plan(SPEC).channels == ("ch1", "ch2", "ch3", "pad1", "pad2")
    assert np.array_equal(run(pad, X), np.concatenate([X, np.zeros((2, 4))]))
    assert Pad(channels=3).plan(SPEC) == SPEC


def test_resample_plan() -> None:
    after = Resample(rate="250 Hz").plan(SPEC)
    assert after.rate_hz == 250.0 and after.delay_s == pytest.approx(0.040)
    after = Resample(rate=2000).plan(SPEC)
    assert after.rate_hz == 2000.0 and after.delay_s == pytest.approx(0.010)
    assert Resample(rate=1000).plan(SPEC) == SPEC
    assert np.array_equal(run(Resample(rate=1000), X), X)
    assert Resample(rate=689.0625).plan(SPEC).rate_hz == 689.0625


def test_resample_is_resample_poly() -> None:
    x = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    expected = scipy_signal.resample_poly(x.astype(np.float64), 441, 640, axis=1)
    np.testing.assert_allclose(run(Resample(rate=689.0625), x), expected, atol=1e-6)


def test_decimate_undoes_a_hold() -> None:
    held = np.repeat(X, 10, axis=1)
    assert np.array_equal(run(Decimate(factor=10), held), X)
    assert Decimate(factor=10).plan(SPEC).rate_hz == 100.0


def test_hold_repeats_and_refuses_fractions() -> None:
    assert np.array_equal(run(Hold(rate=3000), X), np.repeat(X, 3, axis=1))
    assert Hold(rate=1000).plan(SPEC) == SPEC and np.array_equal(run(Hold(rate=1000), X), X)
    assert np.array_equal(run(Decimate(factor=3), run(Hold(rate=3000), X)), X)
    for rate in (500, 1500):
        with pytest.raises(
            PlanError, match=rf"1000 Hz a whole number of times, which does not give {rate} Hz"
        ) as caught:
            Hold(rate=rate).plan(SPEC)
        assert caught.value.field == "rate"


def test_envelope() -> None:
    out = run(Envelope(window="2 ms"), X)
    np.testing.assert_allclose(out[0], np.sqrt([1, 2.5, 6.5, 12.5]), rtol=1e-6)
    out = run(Envelope(method="mean", window="2 samples"), X)
    np.testing.assert_allclose(out[0], [1, 1.5, 2.5, 3.5], rtol=1e-6)
    x = np.random.default_rng(0).standard_normal((3, 900)).astype(np.float32)
    sections = scipy_signal.butter(2, 5.0, fs=1000.0, output="sos")
    expected = scipy_signal.sosfilt(sections, np.abs(x.astype(np.float64)))
    np.testing.assert_allclose(run(Envelope(method="lowpass"), x), expected, rtol=1e-5, atol=1e-7)


def test_window_grid() -> None:
    x = np.arange(3 * 25, dtype=np.float32).reshape(3, 25)
    stage = Window(length="10 ms", stride="5 ms")
    after = stage.plan(SPEC)
    assert after.sizes == (None, 3, 10) and after.step_s == 0.005 and after.window_s == 0.010
    assert after.delay_s == pytest.approx(0.010) and after.rate_hz == 1000.0
    out = run(stage, x)
    assert np.array_equal(out, np.stack([x[:, start : start + 10] for start in (0, 5, 10, 15)]))
    assert run(Window(length="26 samples", stride="1 samples"), x).shape == (0, 3, 26)
    gaps = run(Window(length="3 samples", stride="10 samples"), x)
    assert np.array_equal(gaps, np.stack([x[:, start : start + 3] for start in (0, 10, 20)]))


def test_quality_stage_passes_its_limits_on() -> None:
    x = np.random.default_rng(0).standard_normal((3, 2000)).astype(np.float32)
    x[1] = 0.25
    stage = Quality(policy="interpolate", span="500 ms")
    assert stage.plan(SPEC) == SPEC
    out = run(stage, x)
    assert np.array_equal(out[1, :500], x[1, :500])
    np.testing.assert_allclose(out[1, 500:], (x[0, 500:] + x[2, 500:]) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "stage, field, message",
    [
        (Rereference(ring=True), "ring", "uses ring only with method: bipolar"),
        (Select(channels=()), "channels", "needs at least one channel"),
        (Select(channels=("ch4",)), "channels", "has no channel 'ch4'; did you mean 'ch3'. channels: ch1, ch2, ch3"),
        (Select(channels=(4,)), "channels", "has no channel 4; there are 1 to 3"),
        (Select(channels=(0,)), "channels", "has no channel 0"),
        (Select(channels=(1, "ch1")), "channels", "names channel ch1 twice"),
        (Pad(channels=2), "channels", "cannot pad 3 channels to 2; to leave some out, use select"),
        (Decimate(factor=0), "factor", "needs a factor of 1 or more"),
        (Resample(rate=0), "rate", "needs a rate above 0 Hz"),
        (Resample(rate=1e9), "rate", "cannot go from 1000 Hz to 1e.09 Hz in one step"),
        (
            Resample(rate=1000 * 2**0.5),
            "rate",
            r"no ratio of whole numbers up to 4096 does it; 1414.21\d* Hz \(\d+/\d+\)",
        ),
        (Envelope(window="0.1 ms"), "window", "has a window of 0.1 ms, less than one sample"),
        (Envelope(method="lowpass", cut=600), "cut", "needs cut below half the rate"),
        (Window(length="0.1 ms", stride="1 s"), "length", "has a length of 0.1 ms, less than one sample at 1000 Hz"),
        (Window(length="1 s", stride="0.1 ms"), "stride", "has a stride of 0.1 ms"),
        (Window(length="1 s", stride="1 s", train_stride="0.2 ms"), "train_stride", "has a train_stride of 0.2 ms"),
        (
            Window(length="1 s", stride="1 s", label_share=0.5),
            "label_share",
            r"needs a label_share above 0.5 .* up to 1",
        ),
        (Quality(span="1 ms"), "span", "less than two samples"),
        (Quality(mains=50, span="80 ms"), "span", "needs a span of 5 mains cycles or more"),
        (Quality(mains=500), "mains", "needs mains below half the rate"),
        (Quality(rail=0.0), "rail", "needs a rail above 0 V"),
        (Quality(flat=-1.0), "flat", "needs flat at 0 V or above"),
        (Quality(clipped=1.0), "clipped", "needs clipped from 0 to below 1"),
    ],
)
def test_refusals(stage: Stage, field: str, message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        stage.plan(SPEC)
    assert caught.value.field == field


def test_volts_need_volts() -> None:
    with pytest.raises(PlanError, match="compares with rail in volts, but the signal is in '1'") as caught:
        Quality(rail="1 mV").plan(SPEC.evolve(units="1"))
    assert caught.value.field == "rail"
    assert Quality().plan(SPEC.evolve(units="1")).units == "1"


def test_one_channel_has_no_reference() -> None:
    for method in ("common_average", "bipolar"):
        with pytest.raises(PlanError, match="needs at least 2 channels, got 1"):
            Rereference(method=method).plan(Spec.signal(1, 1000.0))
    with pytest.raises(PlanError, match="needs at least 3 channels for a ring"):
        Rereference(method="bipolar", ring=True).plan(Spec.signal(2, 1000.0))


def test_cost_of_every_stage_is_plain_numbers() -> None:
    for stage in (Rereference(), Envelope(), Envelope(method="lowpass"), Resample(rate=500), Quality(mains=50)):
        cost = stage.cost(SPEC)
        assert cost.macs > 0 and cost.parameters == 0 and cost.memory_bytes >= 0
    assert Resample(rate=500).cost(SPEC).macs == 41 * 3
    assert Window(length="1 s", stride="1 s").cost(SPEC).memory_bytes == 4 * 3 * 1000
