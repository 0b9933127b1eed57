"""Filter stages: what they plan, what they refuse, and that their fields reach the design."""

import numpy as np
import pytest
from scipy import signal

from myoflow.errors import PlanError
from myoflow.spec import Spec
from myoflow.stage import Stage
from myoflow.stages.bandpass import Bandpass
from myoflow.stages.highpass import Highpass
from myoflow.stages.lowpass import Lowpass
from myoflow.stages.notch import Notch

SPEC = Spec.signal(4, 2000.0)


def response(stage: Stage, spec: Spec, hertz: float, seconds: float = 4.0) -> float:
    """Gain at one frequency, measured on a tone after the filter has settled."""
    time = np.arange(int(seconds * spec.rate_hz)) / spec.rate_hz
    tone = np.repeat(np.sin(2 * np.pi * hertz * time)[None].astype(np.float32), spec.size("channel"), axis=0)
    kernel = stage.kernel(spec)
    out = np.concatenate([kernel.feed(tone), kernel.flush()], axis=1)[0]
    half = len(out) // 2
    return float(np.sqrt((out[half:] ** 2).mean() * 2))


@pytest.mark.parametrize(
    "stage, hertz, gain",
    [
        (Bandpass(low=20, high=450), 100, 1.0),
        (Bandpass(low=20, high=450), 20, np.sqrt(0.5)),
        (Bandpass(low=20, high=450), 450, np.sqrt(0.5)),
        (Bandpass(low=20, high=450, zero_phase=True), 450, 0.5),
        (Highpass(cut=20), 20, np.sqrt(0.5)),
        (Highpass(cut=20, order=2), 2, 0.01),
        (Lowpass(cut=100), 100, np.sqrt(0.5)),
        (Lowpass(cut=100, order=1, zero_phase=True), 100, 0.5),
        (Notch(freq=50), 50, 0.0),
        (Notch(freq=50), 150, 1.0),
        (Notch(freq=50, harmonics=3), 150, 0.0),
        (Notch(freq=50, q=10), 50 * (1 + 1 / 20), np.sqrt(0.5)),
        (Notch(freq=50), 40, 1.0),
    ],
)
def test_gain(stage: Stage, hertz: float, gain: float) -> None:
    assert response(stage, SPEC, hertz) == pytest.approx(gain, abs=0.02)


def test_notch_is_iirnotch() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3000)).astype(np.float32)
    expected = x.astype(np.float64)
    for hertz in (60.0, 120.0):
        expected = signal.lfilter(*signal.iirnotch(hertz, 25.0, 2000.0), expected, axis=1)
    out = Notch(freq="60 Hz", q=25.0, harmonics=2, start="zero").kernel(SPEC).feed(x)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_design_rate_moves_the_band() -> None:
    """Designed for 200 Hz and used at 1000 Hz, 20-90 Hz becomes 100-450 Hz."""
    spec = Spec.signal(1, 1000.0)
    published = Bandpass(low=20, high=90, design_rate=200)
    assert published.plan(spec) == spec
    assert response(published, spec, 55.0) < 0.1 < 0.98 < response(published, spec, 250.0)
    assert response(Notch(freq=50, design_rate=200), spec, 250.0) < 0.02
    with pytest.raises(PlanError, match="needs high below half the rate, which is 100 Hz here, got 120 Hz"):
        Bandpass(low=20, high=120, design_rate=200).plan(spec)


@pytest.mark.parametrize(
    "stage, field, message",
    [
        (Bandpass(low=20, high=1000), "high", "needs high below half the rate, which is 1000 Hz here, got 1000 Hz"),
        (Bandpass(low=0, high=100), "low", "needs low above 0 Hz, got 0 Hz"),
        (Bandpass(low=100, high=20), "low", "needs low below high, got 100 Hz and 20 Hz"),
        (Bandpass(low=20, high=100, order=0), "order", "needs an order from 1 to 16, got 0"),
        (Highpass(cut=-5), "cut", "needs cut above 0 Hz, got -5 Hz"),
        (Lowpass(cut=2000), "cut", "needs cut below half the rate, which is 1000 Hz here"),
        (Lowpass(cut=20, order=17), "order", "from 1 to 16, got 17"),
        (Notch(freq=1500), "freq", "needs freq below half the rate"),
        (Notch(freq=50, q=0), "q", "needs q above 0"),
        (Notch(freq=50, harmonics=20), "harmonics", "has room for 1 to 19 harmonics of 50 Hz below 1000 Hz, got 20"),
        (Notch(freq=50, harmonics=0), "harmonics", "has room for 1 to 19"),
    ],
)
def test_refusals(stage: Stage, field: str, message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        stage.plan(SPEC)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "cls, fields", [(Bandpass, {"low": 20, "high": 90}), (Highpass, {"cut": 5}), (Notch, {"freq": 50})]
)
def test_zero_phase_cannot_stream_and_says_what_can(cls: type[Stage], fields: dict[str, float]) -> None:
    assert cls(**fields).plan(SPEC).blockers == ()
    (reason,) = cls(**fields, zero_phase=True).plan(SPEC).blockers
    assert reason == (
        f"{cls.name} with zero_phase: true runs backwards from the end of the recording; zero_phase: false is causal"
    )


def test_filters_belong_before_windows() -> None:
    windows = SPEC.evolve(dims=("window", "channel", "time"), sizes=(None, 4, 100))
    with pytest.raises(PlanError, match="put it before the window stage"):
        Lowpass(cut=20).plan(windows)


def test_cost_counts_sections() -> None:
    assert Bandpass(low=20, high=450).cost(SPEC).macs == 4 * 5 * 4
    assert Highpass(cut=20, order=3).cost(SPEC).macs == Lowpass(cut=20, order=4).cost(SPEC).macs == 2 * 5 * 4
    assert Notch(freq=50, harmonics=3, zero_phase=True).cost(SPEC).macs == 2 * 3 * 5 * 4
