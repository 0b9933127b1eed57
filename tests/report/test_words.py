from __future__ import annotations

import pytest

from myoflow.report import words
from myoflow.report.summary import Protocol
from myoflow.task import Measure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (3.2e-5, "32 µs"),
        (0.0042, "4.2 ms"),
        (1.0, "1 s"),
        (59.7, "1 min 0 s"),
        (7320, "2 h 2 min"),
        (95, "1 min 35 s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0417, "+4.2"), (-0.0417, "−4.2"), (0.0, "0.0"), (-0.0004, "0.0"), (None, "—")]
)
def test_a_difference_is_signed(value: float | None, text: str) -> None:
    assert words.gap(value, Measure()) == text


def test_counts_and_sizes() -> None:
    assert words.count(1234567) == "1\u202f234\u202f567"
    assert words.short(1_909_000_000) == "1.91 G" and words.short(240) == "240"
    assert words.size(52_428_800) == "50 MiB" and words.size(512) == "512 B"
    assert words.p_value(0.0004) == "p < 0.001" and words.p_value(0.03125) == "p = 0.031"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["10", "9", "8", "1"], "1, 8–10"),
        (["01", "02"], "01, 02"),
        (["s2", "s10", "s1"], "s1, s2, s10"),
        ([], ""),
        (["99", "100", "101"], "99–101"),
    ],
)
def test_spread(names: list[str], text: str) -> None:
    assert words.spread(names) == text


@pytest.mark.parametrize(
    ("value", "step"), [(0.00042, 0.0002), (5, 5), (9.99, 5), (1e-3, 1e-3), (0, 1), (float("nan"), 1)]
)
def test_nice(value: float, step: float) -> None:
    assert words.nice(value) == pytest.approx(step)


def test_amplitude() -> None:
    assert words.amplitude(2e-4, "V") == "200 µV"
    assert words.amplitude(5e-3, "V") == "5 mV"
    assert words.amplitude(2, "a.u.") == "2 a.u."


def test_protocol_in_words() -> None:
    folds = dict(words.protocol_words(Protocol(split_by="subject", folds=6, rate_hz=200.0, seeds=(4,))))
    assert folds["Split"] == "by subject, 6 folds: every subject is tested once"
    assert folds["Rate"] == "200 Hz" and folds["Seed"] == "4"
    assert folds["Protocol"].startswith("Strict")
    several = dict(words.protocol_words(Protocol(seeds=(0, 1), units={"test": ("31",), "valid": ()})))
    assert several["Seeds"] == "0, 1; scores are means over 2 seeds"
    assert several["Test units"] == "31" and "Valid units" not in several
