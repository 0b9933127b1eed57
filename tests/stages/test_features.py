"""The features stage: its columns, its words, its refusals. Formulas are tested in tests/dsp/test_features.py."""

import numpy as np
import pytest

from myoflow.errors import PlanError
from myoflow.spec import Spec
from myoflow.stages.features import Features
from myoflow.stages.window import Window
from myoflow.typed import Mismatch

SPEC = Window(length="100 samples", stride="50 samples").plan(Spec.signal(2, 1000.0))
X = (np.random.default_rng(0).standard_normal((5, 2, 100)) * 1e-4).astype(np.float32)


def test_columns_run_channel_by_channel() -> None:
    stage = Features(set=("hudgins", "ar", "mnf"), order=2)
    assert stage.columns(SPEC)[:7] == ("ch1_mav", "ch1_wl", "ch1_zc", "ch1_ssc", "ch1_ar1", "ch1_ar2", "ch1_mnf")
    assert stage.columns(SPEC)[7] == "ch2_mav" and len(stage.columns(SPEC)) == 14
    assert stage.plan(SPEC).dims == ("window", "feature") and stage.plan(SPEC).sizes == (None, 14)
    out = stage.kernel(SPEC).feed(X)
    assert out.shape == (5, 14)
    alone = Features(set=("ssc",)).kernel(SPEC).feed(X)
    assert np.array_equal(out[:, [3, 10]], alone)


def test_hudgins_is_four_features() -> None:
    word, spelt = Features(), Features(set=("mav", "wl", "zc", "ssc"))
    assert word.chosen == spelt.chosen
    assert np.array_equal(word.kernel(SPEC).feed(X), spelt.kernel(SPEC).feed(X))


def test_thresholds_are_volts() -> None:
    free = Features(set=("zc", "ssc")).kernel(SPEC).feed(X)
    held = Features(set=("zc", "ssc"), zc_threshold="100 uV", ssc_threshold="100 uV").kernel(SPEC).feed(X)
    assert (held < free).any() and (held <= free).all()
    with pytest.raises(PlanError, match="has zc_threshold in volts, but the signal is in '1'") as caught:
        Features(zc_threshold="1 uV").plan(SPEC.evolve(units="1"))
    assert caught.value.field == "zc_threshold"


def test_log_is_the_logarithm() -> None:
    out = Features(set=("rms", "log_rms")).kernel(SPEC).feed(X).reshape(5, 2, 2)
    np.testing.assert_allclose(out[..., 1], np.log(out[..., 0]), rtol=1e-5)


def test_unknown_feature() -> None:
    with pytest.raises(Mismatch, match=r"'mnff' is not one of: hudgins, mav, .*; did you mean 'mnf'"):
        Features(set=("rms", "mnff"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields, field, message",
    [
        ({"set": ()}, "set", "needs at least one feature"),
        ({"set": ("hudgins", "zc")}, "set", "has zc twice in its set"),
        ({"set": ("ar",), "order": 100}, "order", "needs an order from 1 to 99, got 100"),
        ({"ssc_threshold": -1.0}, "ssc_threshold", "needs ssc_threshold at 0 V or above"),
    ],
)
def test_refusals(fields: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        Features(**fields).plan(SPEC)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_windows_of_two_samples_are_too_short() -> None:
    with pytest.raises(PlanError, match="needs windows of 3 samples or more, got 2"):
        Features().plan(Window(length="2 samples", stride="1 samples").plan(Spec.signal(2, 1000.0)))


def test_cost_grows_with_what_is_asked() -> None:
    basic = Features().cost(SPEC).macs
    assert basic == 5 * 100 * 2
    assert (
        Features(set=("hudgins", "ar", "mdf")).cost(SPEC).macs > Features(set=("hudgins", "ar")).cost(SPEC).macs > basic
    )


def test_parts_are_features_of_each_part_and_an_empty_batch_stays_empty():
    whole, cut = Features(set=("mav", "wl"), parts=1), Features(set=("mav", "wl"), parts=3)
    spec = Spec(("window", "channel", "time"), (None, 2, 31), 200.0, ("a", "b"), step_s=0.1, window_s=31 / 200)
    third = spec.evolve(sizes=(None, 2, 10))
    x = np.random.default_rng(0).normal(size=(4, 2, 31)).astype(np.float32)
    found = cut.kernel(spec).feed(x).reshape(4, 2, 3, 2)
    for part in range(3):
        alone = whole.kernel(third).feed(np.ascontiguousarray(x[:, :, 1 + 10 * part : 11 + 10 * part]))
        np.testing.assert_array_equal(found[:, :, part], alone.reshape(4, 2, 2))
    assert cut.columns(spec)[:3] == ("a_part1_mav", "a_part1_wl", "a_part2_mav")
    assert cut.kernel(spec).feed(x[:0]).shape == (0, 12)
    with pytest.raises(PlanError, match="parts of 3 samples or more, got 2"):
        Features(parts=12).plan(spec)
