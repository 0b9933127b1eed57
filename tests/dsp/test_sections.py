"""The cascade against scipy's, including odd channel counts, many sections, and what NaN and silence do."""

import numba
import numpy as np
import pytest
from scipy import signal

from myoflow.dsp.design import butterworth, notches
from myoflow.dsp.kernel import Mapped, merge
from myoflow.dsp.sections import SPAN, Cascade, _tiles, filter_kernel
from myoflow.errors import InputError

BAND = butterworth("bandpass", 4, (20.0, 450.0), 2000.0)


def noise(channels: int, samples: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(channels * 1000 + samples)
    return (rng.standard_normal((channels, samples)) * 1e-4 + offset).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 7, 8, 9, 16, 100])
@pytest.mark.parametrize("samples", [1, 5, 8, 1003])
def test_equals_sosfilt_at_rest(channels: int, samples: int) -> None:
    x = noise(channels, samples)
    expected = signal.sosfilt(BAND, x.astype(np.float64))
    out = Cascade(BAND, channels, "zero").feed(x)
    assert out.dtype == np.float32 and out.shape == x.shape
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 13])
def test_any_number_of_sections(count: int) -> None:
    sections = notches(50.0, 30.0, count, 2000.0)
    x = noise(3, 2000)
    expected = signal.sosfilt(sections, x.astype(np.float64))
    np.testing.assert_allclose(Cascade(sections, 3, "zero").feed(x), expected, rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("kind, cut", [("bandpass", (20.0, 450.0)), ("highpass", 2.0), ("lowpass", 100.0)])
def test_start_first_is_sosfilt_with_settled_state(kind: str, cut: float | tuple[float, float]) -> None:
    sections = butterworth(kind, 4, cut, 2000.0)  # type: ignore[arg-type]
    x = noise(9, 3000, offset=4e-3)
    state = signal.sosfilt_zi(sections)[:, None, :] * x[None, :, :1].astype(np.float64)
    expected, _ = signal.sosfilt(sections, x.astype(np.float64), zi=state)
    np.testing.assert_allclose(Cascade(sections, 9, "first").feed(x), expected, rtol=1e-5, atol=2e-10)


def test_an_electrode_offset_does_not_ring() -> None:
    x = noise(4, 500, offset=4e-3)
    sections = butterworth("highpass", 3, 2.0, 1000.0)
    settled = np.abs(Cascade(sections, 4, "first").feed(x)).max()
    ringing = np.abs(Cascade(sections, 4, "zero").feed(x)).max()
    assert settled < 8e-4 < 3e-3 < ringing


def test_nan_stays_in_its_channel() -> None:
    x = noise(10, 400)
    clean = Cascade(BAND, 10, "first").feed(x)
    x[3, 100] = np.nan
    out = Cascade(BAND, 10, "first").feed(x)
    assert np.isfinite(out[3, :100]).all() and np.isnan(out[3, 100:]).all()
    others = np.arange(10) != 3
    assert np.array_equal(out[others], clean[others])


def test_views_and_read_only_input() -> None:
    x = noise(8, 600)
    expected = Cascade(BAND, 8, "first").feed(x[:, 100:500].copy())
    assert np.array_equal(Cascade(BAND, 8, "first").feed(x[:, 100:500]), expected)
    time_major = np.ascontiguousarray(x[:, 100:500].T).T
    time_major.flags.writeable = False
    assert np.array_equal(Cascade(BAND, 8, "first").feed(time_major), expected)


def test_silence_does_not_end_in_subnormal_numbers() -> None:
    """Some 50 times slower than others, and without care a decaying state stays among them."""
    sections = notches(50.0, 30.0, 5, 2000.0)
    kernel = Cascade(sections, 8, "zero")
    kernel.feed(noise(8, 1000))
    silent, slow = np.zeros((8, 64), np.float32), 0
    for _ in range(400_000 // 64):
        kernel.feed(silent)
        state = np.abs(np.concatenate([part.ravel() for parts in kernel._states for part in parts]))
        slow += bool(((state > 0) & (state < np.finfo(np.float64).tiny)).any())
    assert slow <= SPAN // 64, "for no longer than until it is looked at"
    assert not state.any() and not kernel.feed(silent).any()


def test_zero_phase_equals_filtfilt() -> None:
    """The published script filters with butter(4, [20, 90]) in b, a form and filtfilt, designed for 200 Hz."""
    x = noise(3, 2000, offset=1e-3)
    b, a = signal.butter(4, [20 / 100, 90 / 100], "bandpass")
    expected = signal.filtfilt(b, a, x.astype(np.float64), axis=1)
    kernel = filter_kernel(butterworth("bandpass", 4, (20.0, 90.0), 200.0), 3, start="first", zero_phase=True)
    assert kernel.feed(x).shape == (3, 0)
    np.testing.assert_allclose(kernel.flush(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())

    b, a = signal.iirnotch(50.0, 30.0, 200.0)
    expected = signal.filtfilt(b, a, x.astype(np.float64), axis=1)
    kernel = filter_kernel(notches(50.0, 30.0, 1, 200.0), 3, start="first", zero_phase=True)
    kernel.feed(x)
    np.testing.assert_allclose(kernel.flush(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_zero_phase_refuses_what_is_too_short() -> None:
    kernel = filter_kernel(BAND, 2, start="first", zero_phase=True)
    kernel.feed(noise(2, 27))
    with pytest.raises(InputError, match="needs 28 samples or more, got a recording of 27; use zero_phase: false"):
        kernel.flush()
    kernel = filter_kernel(BAND, 2, start="first", zero_phase=True)
    kernel.feed(noise(2, 28))
    assert kernel.flush().shape == (2, 28)


@pytest.mark.parametrize("starts", [("first", "first"), ("first", "zero"), ("zero", "first"), ("zero", "zero")])
@pytest.mark.parametrize("low", [True, False])
def test_merged_filters_give_what_they_give_in_a_row(starts: tuple[str, str], low: bool) -> None:
    first = butterworth("lowpass", 3, 300.0, 2000.0) * [[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]] if low else BAND
    second = notches(50.0, 30.0, 4, 2000.0)
    x = noise(9, 1000, offset=4e-3)
    one, two = Cascade(first, 9, starts[0]), Cascade(second, 9, starts[1])  # type: ignore[arg-type]
    both = one.merge(two)
    assert both is not None
    expected = two.feed(one.feed(x))
    np.testing.assert_allclose(both.feed(x), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_only_filters_merge() -> None:
    assert Cascade(BAND, 2, "zero").merge(Mapped(np.abs, (2, 0), axis=1)) is None
    assert merge(Mapped(np.abs, (2, 0), axis=1), Cascade(BAND, 2, "zero")) is None


def test_the_hand_written_loop_compiles_and_may_work_in_place() -> None:
    """Compiled here, past numba's cache: eight channels, two tiles and three samples, output over input."""

    @numba.njit
    def run(x, y, sos, state):  # type: ignore[no-untyped-def]
        _tiles(x, y, 2, 8, sos, state, 2)
        _tiles(x[:, 16:], y[:, 16:], 3, 1, sos, state, 2)

    sections = notches(50.0, 30.0, 2, 2000.0)
    table = np.ascontiguousarray(sections[:, [0, 1, 2, 4, 5]]) * [1, 1, 1, -1, -1]
    x = noise(8, 19)
    expected = signal.sosfilt(sections, x.astype(np.float64))
    run(x, x, table, np.zeros((2, 2, 8)))
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-11)
