"""Dynamic time warping against every path, and against librosa."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoflow.dsp.alignment import partners, warp
from myoflow.errors import MyoflowError


def every_path(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    """All monotonic paths from the first cell to the last, by recursion."""
    if rows == columns == 1:
        return [[(0, 0)]]
    found = []
    for di, dj in ((1, 1), (1, 0), (0, 1)):
        if rows - di >= 1 and columns - dj >= 1:
            found += [[*path, (rows - 1, columns - 1)] for path in every_path(rows - di, columns - dj)]
    return found


@pytest.mark.parametrize(("rows", "columns"), list(itertools.product(range(1, 6), repeat=2)))
def test_no_path_is_cheaper(rows: int, columns: int) -> None:
    cost = np.random.default_rng(rows * 10 + columns).normal(size=(rows, columns))
    total, path = warp(cost)
    cells = list(zip(*path.tolist(), strict=True))
    assert cells in every_path(rows, columns)
    assert total == pytest.approx(min(sum(cost[cell] for cell in path) for path in every_path(rows, columns)))
    assert total == pytest.approx(sum(cost[cell] for cell in cells))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_librosa_agrees(rows: int, columns: int, seed: int) -> None:
    librosa = pytest.importorskip("librosa")
    cost = np.random.default_rng(seed).random((rows, columns))
    table, path = librosa.sequence.dtw(C=cost)
    total, ours = warp(cost)
    assert total == pytest.approx(table[-1, -1])
    np.testing.assert_array_equal(ours.T[::-1], path)


def test_a_stretched_signal_finds_its_partners() -> None:
    slow = np.repeat(np.arange(5.0), 3)
    chosen = partners(np.abs(slow[:, None] - np.arange(5.0)))
    np.testing.assert_array_equal(chosen, np.repeat(np.arange(5), 3))
    np.testing.assert_array_equal(partners(np.abs(np.arange(5.0)[:, None] - slow)), [0, 3, 6, 9, 12])


def test_every_row_has_one_partner_and_they_never_fall_back() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        cost = rng.random((rng.integers(1, 60), rng.integers(1, 60)))
        chosen = partners(cost)
        assert chosen.shape == cost.shape[:1]
        assert (np.diff(chosen) >= 0).all()


def test_what_cannot_be_aligned_is_named() -> None:
    with pytest.raises(MyoflowError, match=r"shape \(0, 4\): both sides need frames"):
        warp(np.empty((0, 4)))
    cost = np.ones((3, 4))
    cost[1, 2] = np.nan
    with pytest.raises(MyoflowError, match="frames 1 and 2 is nan"):
        warp(cost)
