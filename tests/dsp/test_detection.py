"""Detection: threshold crossings, bounces, and the alignment of moments against every possible one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoflow.dsp.detection import Detector, Moments, Overlap, Track, cler, crossings, debounce, match, tally
from myoflow.errors import MyoflowError

EARLY, LATE = -0.05, 0.25


def moments(*rows: tuple[float, int]) -> Moments:
    return Moments(np.array([t for t, _ in rows], float), np.array([label for _, label in rows], int))


def test_a_moment_is_where_a_probability_rises_to_the_threshold() -> None:
    probability = np.array([[0.5, 0.4, 0.1, 0.35, 0.9, 0.2], [0, 0.1, 0.36, 0.1, 0.2, 0.4]])
    found = crossings(probability, np.arange(6) / 10)
    assert found.time_s.tolist() == [0.0, 0.2, 0.3, 0.5]
    assert found.label.tolist() == [0, 1, 0, 1]


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MyoflowError, match="2 probabilities are no numbers"):
        crossings(np.array([[0.1, np.nan, np.nan]]), np.arange(3.0))
    with pytest.raises(MyoflowError, match="3 probabilities for 4 times"):
        crossings(np.zeros((1, 3)), np.arange(4.0))


def test_bounces_go_but_a_release_may_follow_its_press_at_once() -> None:
    press, release, click = 0, 1, 2
    given_ = moments((1.0, press), (1.02, click), (1.04, release), (1.06, release), (1.07, press), (1.2, click))
    kept = debounce(given_, releases={release})
    assert list(zip(kept.time_s.tolist(), kept.label.tolist(), strict=True)) == [
        (1.0, press), (1.04, release), (1.07, press), (1.2, click),
    ]  # fmt: skip


def test_without_releases_only_the_first_of_a_burst_stays() -> None:
    kept = debounce(moments((0.0, 0), (0.03, 1), (0.049, 2), (0.05, 1)))
    assert kept.time_s.tolist() == [0.0, 0.05]


def test_frames_of_overlapping_windows_come_from_the_first_that_has_them() -> None:
    logits = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    overlap = Overlap(20)
    (first, start), (second, due) = overlap.feed(logits[0], 50), overlap.feed(logits[1], 70)
    assert (start, due) == (50, 110) and first[:, 0].tolist() == [0, 1, 2] and second[:, 0].tolist() == [5]
    overlap = Overlap(20)
    overlap.feed(logits[0], 50)
    apart, due = overlap.feed(logits[1], 150)
    assert due == 110 and apart[:, 0].tolist() == [-30, -30, 3, 4, 5], "frames that no window has are silent"


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_a_detector_says_window_by_window_what_it_says_of_all(seed: int, frames: int) -> None:
    """Against crossings and bounces of the whole row, which the windows are cut from."""
    rng = np.random.default_rng(seed)
    row = (3 * rng.standard_normal((60, 2))).astype(np.float32)
    detector, said = Detector(4, 10, 100.0, 0.35, {1}, 0.25), []
    at, starts = 0, []
    while at + frames <= len(row):
        said.append(detector.window(row[at : at + frames], 10 * at))
        starts.append(at)
        at += int(rng.integers(1, frames + 1))
    stop = starts[-1] + frames
    time_s = (4 + 10 * np.arange(stop)) / 100
    whole = debounce(crossings(1 / (1 + np.exp(-row[:stop].T.astype(float))), time_s), {1}, 0.25)
    assert np.concatenate([m.time_s for m in said]).tolist() == whole.time_s.tolist()
    assert np.concatenate([m.label for m in said]).tolist() == whole.label.tolist()
    windows = np.stack([row[at : at + frames] for at in starts])
    again = Track.of(windows, 10 * np.array(starts), 4, 10, 100.0).moments(0.35, {1}, 0.25)
    assert again.time_s.tolist() == whole.time_s.tolist() and again.label.tolist() == whole.label.tolist()


def test_table_of_a_detector_with_every_kind_of_fault() -> None:
    truth = moments((1, 0), (2, 1), (3, 2), (4, 0))
    found = moments((1.1, 0), (2.05, 2), (3.3, 2), (4.2, 0), (9, 1))
    partner = match(truth, found)
    assert partner.tolist() == [0, 1, -1, 3]  # the third came too late: a miss and a false alarm
    table = tally(truth, found, partner, 3)
    assert table.tolist() == [[2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    assert cler(table) == 0.5  # one label always right, one never; the missed one does not count


def test_nothing_detected_has_no_error_rate() -> None:
    truth, nothing = moments((1, 0)), moments()
    table = tally(truth, nothing, match(truth, nothing), 2)
    assert table.sum() == 1 and table[0, 2] == 1
    assert np.isnan(cler(table))


def best_of_all(truth: Moments, found: Moments) -> tuple[int, float]:
    """Fewest faults, then least time, over every pairing that keeps both orders."""
    costs = []
    for k in range(min(len(truth), len(found)) + 1):
        for rows in combinations(range(len(truth)), k):
            for columns in combinations(range(len(found)), k):
                gaps = found.time_s[list(columns)] - truth.time_s[list(rows)]
                if ((gaps < EARLY) | (gaps > LATE)).any():
                    continue
                wrong = int((truth.label[list(rows)] != found.label[list(columns)]).sum())
                costs.append((len(truth) + len(found) - 2 * k + wrong, round(float(np.abs(gaps).sum()), 9)))
    return min(costs)


rows = st.lists(st.tuples(st.integers(0, 40).map(lambda t: t / 32), st.integers(0, 2)), max_size=5).map(sorted)


@given(rows, rows)
@settings(max_examples=150)
def test_the_alignment_is_the_best_of_all(one: list[tuple[float, int]], two: list[tuple[float, int]]) -> None:
    truth, found = moments(*one), moments(*two)
    partner = match(truth, found)
    pairs = np.flatnonzero(partner >= 0)
    gaps = found.time_s[partner[pairs]] - truth.time_s[pairs]
    wrong = int((truth.label[pairs] != found.label[partner[pairs]]).sum())
    cost = len(truth) + len(found) - 2 * len(pairs) + wrong, round(float(np.abs(gaps).sum()), 9)
    assert cost == best_of_all(truth, found)
    assert (np.diff(partner[pairs]) > 0).all()
    table = tally(truth, found, partner, 3)
    assert table[:-1].sum() == len(truth) and table[:, :-1].sum() == len(found)
