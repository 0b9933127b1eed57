"""Verdicts on planted defects, and what each policy makes of them."""

import numpy as np
import pytest

from myoflow.dsp.quality import CLIPPED, FLAT, MAINS, NOT_FINITE, Judge, Limits, fill
from myoflow.errors import InputError

RATE = 1000.0
NAMES = tuple(f"ch{i + 1}" for i in range(6))
LIMITS = Limits(span=500, flat=0.0, rail=1e-3, clipped=0.05, mains=50.0 / RATE, mains_share=0.7)


def clean(samples: int = 2000) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal((6, samples)) * 1e-4).astype(np.float32)


def judge(policy: str, ring: bool = False, limits: Limits = LIMITS) -> Judge:
    return Judge(NAMES, RATE, limits, policy=policy, ring=ring)


def planted() -> np.ndarray:
    x = clean()
    x[0, 10] = np.nan
    x[1] = 0.02
    x[2] = np.clip(x[2] * 100, -1e-3, 1e-3)
    x[3] = x[3] * 0.1 + 5e-4 * np.sin(2 * np.pi * 50 * np.arange(2000) / RATE).astype(np.float32) + 0.3e-3
    return x


def test_verdicts() -> None:
    kernel = judge("drop")
    kernel.feed(planted()[:, :499])
    assert kernel.verdicts().tolist() == [NOT_FINITE, FLAT | CLIPPED, CLIPPED, MAINS, 0, 0]


def test_mains_is_told_from_muscle_at_any_phase_and_offset() -> None:
    time = np.arange(507) / RATE  # not a whole number of cycles
    limits = Limits(span=1000, flat=0.0, rail=None, clipped=0.05, mains=50.0 / RATE, mains_share=0.7)
    for phase in np.linspace(0, 3, 7):
        x = clean(507)
        x[0] = x[0] + 1.0e-4 * np.sin(2 * np.pi * 50 * time + phase)  # a third of the power
        x[1] = x[1] + 4.0e-4 * np.sin(2 * np.pi * 50 * time + phase)  # eight ninths
        kernel = judge("drop", limits=limits)
        kernel.feed((x + np.float32(2.0)).astype(np.float32))
        assert kernel.verdicts().tolist() == [0, MAINS, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "row, words",
    [
        (0, r"channel ch1 is not a number \(nan\) at 0.010 s"),
        (1, r"channel ch2 is flat and is clipped from 0.000 s to 0.500 s"),
        (2, r"channel ch3 is clipped from 0.000 s to 0.500 s"),
        (3, r"channel ch4 is mostly mains hum from 0.000 s to 0.500 s; leave it out with select"),
    ],
)
def test_error_names_channel_time_and_defect(row: int, words: str) -> None:
    x = clean()
    x[row] = planted()[row]
    with pytest.raises(InputError, match=words):
        judge("error").feed(x)


def test_error_passes_good_signals_and_judges_a_long_rest() -> None:
    x = clean(900)
    kernel = judge("error")
    assert np.array_equal(kernel.feed(x), x)
    kernel.flush()
    x[4, 500:] = 0.0
    kernel = judge("error")
    kernel.feed(x)
    with pytest.raises(InputError, match=r"channel ch5 is flat from 0\.500 s to 0\.900 s"):
        kernel.flush()
    short = judge("error")
    short.feed(np.zeros((6, 249), np.float32))  # less than half a span says nothing
    assert short.flush().shape == (6, 0)


def test_drop_silences_from_the_end_of_the_bad_span_to_the_end_of_a_good_one() -> None:
    x = clean()
    x[2, 500:1000] = 0.5e-4  # flat in the second span
    out = judge("drop").feed(x)
    assert np.array_equal(out[2, :1000], x[2, :1000])
    assert not out[2, 1000:1500].any()
    assert np.array_equal(out[2, 1500:], x[2, 1500:])
    others = np.arange(6) != 2
    assert np.array_equal(out[others], x[others])


@pytest.mark.parametrize("policy", ["drop", "interpolate"])
def test_broken_samples_never_pass(policy: str) -> None:
    x = clean()
    x[1, 5], x[1, 700], x[4, 700] = np.nan, np.inf, -np.inf
    x[:, 300] = np.nan
    out = judge(policy).feed(x)
    assert np.isfinite(out).all()
    expected = 0.0 if policy == "drop" else (x[0, 5] + x[2, 5]) / 2
    assert out[1, 5] == pytest.approx(expected, rel=1e-6)
    assert not out[:, 300].any()
    assert np.array_equal(out[0, :300], x[0, :300])


def test_fill_takes_the_nearest_good_neighbours() -> None:
    base = np.arange(6, dtype=np.float32)[:, None] ** 2  # 0 1 4 9 16 25
    cases = [
        ([2], False, {2: (1 + 9) / 2}),
        ([2, 3], False, {2: (1 + 16) / 2, 3: (1 + 16) / 2}),
        ([0], False, {0: 1}),
        ([0], True, {0: (25 + 1) / 2}),
        ([5, 0], True, {5: (16 + 1) / 2, 0: (16 + 1) / 2}),
        ([4, 5], False, {4: 9, 5: 9}),
        ([0, 1, 2, 3, 4], True, {0: 25, 4: 25}),
        ([0, 1, 2, 3, 4, 5], True, {0: 0, 5: 0}),
    ]
    for lost, ring, expected in cases:
        piece = base.copy()
        fill(piece, np.isin(np.arange(6), lost), ring)
        for channel, value in expected.items():
            assert piece[channel, 0] == value, (lost, ring)
        kept = ~np.isin(np.arange(6), lost)
        assert np.array_equal(piece[kept], base[kept])
