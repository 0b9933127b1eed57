"""zscore, minmax and robust as stages: what they learn, where they may stand, what they block."""

import numpy as np
import pytest

from myoflow.errors import PlanError
from myoflow.spec import Spec
from myoflow.stage import Stage
from myoflow.stages.features import Features
from myoflow.stages.minmax import Minmax
from myoflow.stages.robust import Robust
from myoflow.stages.window import Window
from myoflow.stages.zscore import Zscore

SPEC = Spec.signal(3, 1000.0)
WINDOWS = Window(length="50 samples", stride="10 samples").plan(SPEC)
FEATURES = Features(set=("mav", "zc")).plan(WINDOWS)
RNG = np.random.default_rng(0)
SIGNALS = [(RNG.standard_normal((3, n)) * [[1], [10], [0.1]] + 5).astype(np.float32) for n in (400, 77)]


@pytest.mark.parametrize("cls", [Zscore, Minmax, Robust])
def test_only_over_train_is_fitted(cls: type[Stage]) -> None:
    assert cls(over="train").fits and not cls(over="window").fits and not cls(over="recording").fits


def test_zscore_over_train_uses_the_training_split_alone() -> None:
    stage = Zscore(over="train")
    state = stage.fit(SPEC, [(x, None) for x in SIGNALS])
    pooled = np.concatenate(SIGNALS, axis=1).astype(np.float64)
    np.testing.assert_allclose(state["centre"], pooled.mean(axis=1))
    np.testing.assert_allclose(state["scale"], pooled.std(axis=1))
    new = (SIGNALS[1] * 3).astype(np.float32)
    out = stage.kernel(SPEC, state).feed(new)
    np.testing.assert_allclose(out, (new - pooled.mean(1, keepdims=True)) / pooled.std(1, keepdims=True), rtol=1e-5)


def test_over_train_after_windows_and_on_features() -> None:
    windows = np.stack([SIGNALS[0][:, i : i + 50] for i in range(0, 350, 50)])
    labels = np.zeros(7, np.int64)
    state = Minmax(over="train").fit(WINDOWS, [(windows[:3], labels[:3]), (windows[3:], labels[3:])])
    out = Minmax(over="train").kernel(WINDOWS, state).feed(windows)
    np.testing.assert_allclose(out.min(axis=(0, 2)), -1, atol=1e-6)
    np.testing.assert_allclose(out.max(axis=(0, 2)), 1, atol=1e-6)
    columns = Features(set=("mav", "zc")).kernel(WINDOWS).feed(windows)
    state = Zscore(over="train").fit(FEATURES, [(columns, labels)])
    out = Zscore(over="train").kernel(FEATURES, state).feed(columns)
    assert state["centre"].shape == (6,)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-5)


def test_per_all_has_one_scale() -> None:
    state = Robust(over="train", per="all").fit(SPEC, [(x, None) for x in SIGNALS])
    values = np.concatenate(SIGNALS, axis=1).astype(np.float64)
    low, middle, high = np.percentile(values, (25, 50, 75))
    np.testing.assert_allclose(state["centre"], [middle] * 3)
    np.testing.assert_allclose(state["scale"], [high - low] * 3)


@pytest.mark.parametrize("cls", [Zscore, Minmax, Robust])
def test_over_recording_is_whole_and_says_so(cls: type[Stage]) -> None:
    stage = cls(over="recording")
    (reason,) = stage.plan(SPEC).blockers
    assert f"{cls.name} with over: recording needs the whole recording" in reason and "over: train" in reason
    kernel = stage.kernel(SPEC)
    assert kernel.feed(SIGNALS[0]).shape == (3, 0)
    out = kernel.flush()
    window = cls(over="window").kernel(WINDOWS).feed(SIGNALS[0][None])
    assert np.array_equal(out, window[0])


def test_where_they_may_stand() -> None:
    for stage in (Zscore(over="window"), Minmax(over="window")):
        assert stage.plan(WINDOWS).sizes == WINDOWS.sizes
        with pytest.raises(PlanError, match="put a window stage before it"):
            stage.plan(SPEC)
    for stage in (Zscore(over="running"), Robust(over="recording")):
        with pytest.raises(PlanError, match="put it before the window stage"):
            stage.plan(WINDOWS)
    with pytest.raises(PlanError, match="on features works per feature") as caught:
        Zscore(over="train", per="all").plan(FEATURES)
    assert caught.value.field == "per"
    with pytest.raises(PlanError, match="needs a span above 0 s") as caught:
        Zscore(over="running", span=0).plan(SPEC)
    assert caught.value.field == "span"


def test_scaled_signals_have_no_unit() -> None:
    assert Zscore(over="train").plan(SPEC).units == "1"
    assert Zscore(over="running").plan(SPEC).blockers == ()


def test_running_zscore_follows_a_drift() -> None:
    x = (RNG.standard_normal((3, 20_000)) + np.linspace(0, 200, 20_000)).astype(np.float32)
    out = Zscore(over="running", span="500 ms").kernel(SPEC).feed(x)[:, 5000:]
    assert np.abs(out.mean()) < 2.0 and 0.1 < out.std() < 1.2


def test_cost() -> None:
    assert Zscore(over="running").cost(SPEC).macs == 12
    assert Minmax(over="train").cost(SPEC).macs == Robust(over="train").cost(SPEC).macs == 3
