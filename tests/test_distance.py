"""Distance: a bound that does not depend on how many numbers are compared, and that no wreck passes."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.distance import Distance


def noisy(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(count)).astype(np.float32)
    return x, x + 0.1 * rng.standard_normal(count).astype(np.float32)


def test_more_numbers_do_not_move_what_most_keep_but_the_worst() -> None:
    few, many = (Distance.between(*noisy(count)) for count in (10_000, 1_000_000))
    assert many.largest > 1.2 * few.largest  # 4.9 against 3.9 standard deviations, or so
    assert few.most == pytest.approx(0.1 * 3.29, rel=0.1) and many.most == pytest.approx(0.1 * 3.29, rel=0.02)
    assert many.scale == pytest.approx(3.0, rel=0.01) and many.mean == pytest.approx(0.1 * 0.798, rel=0.01)


def test_most_or_a_wreck_beyond_the_tolerance_is_a_problem() -> None:
    x, y = noisy(10_000)
    far = Distance.between(x, y)
    assert far.problem(1.01 * far.most / far.scale) is None
    assert "differs by 0.11 of its size (99.9 % of numbers by less), 0.1 is allowed" in str(far.problem(0.1))
    y[17] += 5.0  # a single one, 1.7 times their size
    assert Distance.between(x, y).problem(0.2) is None
    assert "in a single number, 10 times 0.15 is allowed" in str(Distance.between(x, y).problem(0.15))
    x, y = noisy(400)
    y[17] += 1.0  # of few numbers the worst counts
    assert Distance.between(x, y).most == Distance.between(x, y).largest


@pytest.mark.parametrize("wreck", [np.nan, np.inf])
def test_what_is_no_number_is_beyond_any_tolerance(wreck: float) -> None:
    x, y = noisy(10_000)
    y[5] = wreck
    assert Distance.between(x, y).problem(1e9) is not None


def test_zeros_may_only_be_zeros() -> None:
    zeros = np.zeros(10, np.float32)
    assert Distance.between(zeros, zeros).problem(0.0) is None
    assert Distance.between(zeros, zeros + 1e-9).problem(1.0) is not None


def test_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(4,\) cannot be compared with \(3,\)"):
        Distance.between(np.zeros(3), np.zeros(4))
