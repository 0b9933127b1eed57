"""Spec: what flows between stages."""

import numpy as np
import pytest
import xarray as xr

from myoflow.errors import PlanError
from myoflow.spec import FEATURES, SIGNAL, WINDOWS, Spec


def array(**attrs: object) -> xr.DataArray:
    return xr.DataArray(np.zeros((3, 50), np.float32), dims=("channel", "time"), attrs=attrs)


def test_of_reads_rate_units_and_channel_names() -> None:
    data = array(SamplingFrequency=200, units="uV").assign_coords(channel=["a", "b", "c"])
    spec = Spec.of(data)
    assert (spec.rate_hz, spec.units, spec.channels, spec.sizes) == (200.0, "uV", ("a", "b", "c"), (3, None))


def test_of_reads_the_rate_off_the_time_coordinate() -> None:
    assert Spec.of(array().assign_coords(time=np.arange(50) / 250)).rate_hz == pytest.approx(250)


def test_of_names_channels_that_have_no_names() -> None:
    assert Spec.of(array(SamplingFrequency=1)).channels == ("ch1", "ch2", "ch3")


def test_of_without_a_rate_says_how_to_give_one() -> None:
    with pytest.raises(PlanError, match="SamplingFrequency"):
        Spec.of(array())


def test_of_with_time_first_says_to_transpose() -> None:
    with pytest.raises(PlanError, match=r"\(channel, time\), got \('time', 'channel'\); use .transpose"):
        Spec.of(array(SamplingFrequency=1).transpose("time", "channel"))


def test_size_of_an_open_or_missing_axis_is_an_error() -> None:
    spec = Spec.signal(4, 200)
    assert spec.size("channel") == 4
    with pytest.raises(PlanError, match=r"time axis has no fixed size here; the axes are \(channel 4, time …\)"):
        spec.size("time")
    with pytest.raises(PlanError, match="no window axis"):
        spec.size("window")


def test_expect_hints_at_the_window_stage() -> None:
    spec = Spec.signal(4, 200)
    spec.expect(SIGNAL, WINDOWS)
    with pytest.raises(PlanError, match="put a window stage before it"):
        spec.expect(WINDOWS)
    windows = spec.evolve(dims=WINDOWS, sizes=(None, 4, 100))
    with pytest.raises(PlanError, match="put it before the window stage"):
        windows.expect(SIGNAL)
    with pytest.raises(PlanError, match=r"takes \(window, feature\), but gets \(channel 4, time …\)"):
        spec.expect(FEATURES)


def test_blockers_and_delay_add_up() -> None:
    spec = Spec.signal(1, 100).wait(0.1).wait(0.2).block("a").block("b")
    assert spec.delay_s == pytest.approx(0.3)
    assert spec.blockers == ("a", "b")


def test_dims_and_sizes_must_match() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Spec(dims=SIGNAL, sizes=(1,), rate_hz=1, channels=("a",))
