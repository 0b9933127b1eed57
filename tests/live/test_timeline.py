"""The even grid: whatever a source loses, swaps or repeats, samples stand where they belong, and it is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoflow.live.block import Block, Signal
from myoflow.live.output import Notice
from myoflow.live.timeline import PATIENCE_S, Piece, Timeline

RATE = 1000.0
COUNTED = Signal(("a", "b"), RATE, clock="count")
STAMPED = Signal(("a", "b"), RATE, clock="stamp")


def block(first: int, count: int, *, arrived: float | None = None, stamp: float | None = None) -> Block:
    """Samples whose values are their numbers, counted from 7000 by the source."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    at = (first + count) / RATE if arrived is None else arrived
    if stamp is not None:
        return Block(np.stack([numbers, -numbers]), at, stamp_s=stamp)
    return Block(np.stack([numbers, -numbers]), at, first=7000 + first)


def run(blocks: list[Block], signal: Signal = COUNTED, policy: str = "hold") -> tuple[list[Piece], list[Notice]]:
    told: list[Notice] = []
    timeline = Timeline(signal, policy, told.append)  # type: ignore[arg-type]
    pieces = [piece for one in blocks for piece in timeline.feed(one)]
    return pieces + timeline.flush(), told


def grid(pieces: list[Piece]) -> np.ndarray:
    """Channel a of all pieces on one grid; a hole is an error unless a restart is told there."""
    out: list[float] = []
    for piece in pieces:
        if piece.restart:
            out += [np.nan] * (piece.start - len(out))
        assert piece.start == len(out)
        out += piece.values[0].tolist()
    return np.array(out)


def test_a_gap_is_held_zeroed_or_begun_anew() -> None:
    blocks = [block(0, 20), block(30, 20), block(50, 10)]
    held, told = run(blocks)
    assert grid(held).tolist() == [*range(20), *[19] * 10, *range(30, 60)]
    assert [(n.kind, n.count, n.at_s) for n in told] == [("gap", 10, 0.02)]
    assert told[0].text == "10 samples (0.010 s) were lost; filled by hold"
    assert [piece.made for piece in held] == [False, True, False, False]
    assert grid(run(blocks, policy="zero")[0])[20:30].tolist() == [0] * 10
    anew, told = run(blocks, policy="restart")
    assert [(piece.start, piece.restart) for piece in anew] == [(0, False), (30, True), (50, False)]
    assert "begins anew" in told[0].text


def test_a_long_gap_is_never_filled() -> None:
    pieces, told = run([block(0, 20), block(1500, 20)])
    assert [(piece.start, piece.restart) for piece in pieces] == [(0, False), (1500, True)]
    assert told[0].count == 1480


def test_order_is_put_right_within_patience() -> None:
    blocks = [block(0, 10, arrived=0.01), block(20, 10, arrived=0.02), block(10, 10, arrived=0.03)]
    pieces, told = run(blocks)
    assert grid(pieces).tolist() == list(range(30))
    assert [n.kind for n in told] == ["reordered"]


def test_too_late_is_told_apart_from_twice() -> None:
    late = 0.02 + PATIENCE_S
    blocks = [block(0, 10, arrived=0.01), block(20, 10, arrived=0.02), block(30, 10, arrived=late + 0.01)]
    pieces, told = run([*blocks, block(10, 10, arrived=late + 0.02), block(35, 10, arrived=late + 0.03)])
    assert grid(pieces).tolist() == [*range(10), *[9] * 10, *range(20, 45)]
    assert [(n.kind, n.count) for n in told] == [("gap", 10), ("late", 10), ("duplicate", 5)]


def test_a_sender_that_counts_anew_is_placed_by_the_clock() -> None:
    first = [block(20_000 + i, 10, arrived=0.01 * (1 + i // 10)) for i in range(0, 100, 10)]
    anew = [Block(block(i, 10).values, 0.6 + i / RATE, first=i) for i in range(0, 50, 10)]
    pieces, told = run([*first, *anew])
    assert [n.kind for n in told] == ["count", "gap"]
    assert told[1].count == 490
    assert pieces[-1].start + 10 == 100 + 490 + 50


def test_stamps_show_a_gap_through_jitter_and_drift() -> None:
    rng = np.random.default_rng(0)
    blocks, number = [], 0
    for step in range(400):
        if step == 300:
            number += 250  # a quarter of a second is lost
        true = (number + 20) / RATE * (1 + 200e-6)
        blocks.append(block(number, 20, arrived=true, stamp=500 + true + rng.uniform(0, 0.02)))
        number += 20
    pieces, told = run(blocks, STAMPED)
    gaps = [n for n in told if n.kind == "gap"]
    assert [n.kind for n in told] == ["gap"] and abs(gaps[0].count - 250) <= 25
    assert sum(piece.values.shape[1] for piece in pieces) == 8000 + gaps[0].count


def test_a_clock_that_jumps_back_loses_nothing() -> None:
    stamps = [0.02 * (i + 1) - (5.0 if i >= 20 else 0.0) for i in range(40)]
    pieces, told = run([block(20 * i, 20, stamp=stamp) for i, stamp in enumerate(stamps)], STAMPED)
    assert grid(pieces).tolist() == list(range(800))
    assert [n.kind for n in told] == ["clock"] and "5 s" in told[0].text


@pytest.mark.parametrize("ppm", [200, -200])
def test_drift_is_measured_through_bursts(ppm: int) -> None:
    """Samples come in bursts of half a second, at random delays; the rate is off by 200 ppm."""
    rng = np.random.default_rng(1)
    told: list[Notice] = []
    timeline = Timeline(COUNTED, "hold", told.append)
    for i in range(600):
        stop = 500 * (i + 1)
        timeline.feed(block(stop - 500, 500, arrived=stop / RATE / (1 + ppm * 1e-6) + rng.exponential(0.003)))
    found = timeline.drift.ppm()
    assert found is not None and abs(found[0] - ppm) < 15 and abs(found[0] - ppm) < 5 * found[1]
    assert [n.kind for n in told] == ["drift"]
    assert ("fast" if ppm > 0 else "slow") in told[0].text


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_happens_the_grid_is_whole_and_right(data: st.DataObject) -> None:
    """Blocks lost, swapped, repeated: no hole, and every sample that is not marked as made is in its place."""
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=30))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    order = list(range(len(sizes)))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(order) - 1))
        order.insert(data.draw(st.integers(max(0, at - 2), at)), order.pop(at))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(order)))
        order.insert(at, data.draw(st.sampled_from(range(len(sizes)))))
    kept = [i for i in order if data.draw(st.integers(0, 9))] or [0]
    arrivals = np.cumsum([data.draw(st.floats(0.001, 0.06)) for _ in kept])
    policy = data.draw(st.sampled_from(["hold", "zero", "restart"]))
    blocks = [block(int(starts[i]), sizes[i], arrived=float(at)) for i, at in zip(kept, arrivals, strict=True)]
    pieces, told = run(blocks, policy=policy)
    base = int(starts[kept[0]])
    made = sum(n.count for n in told if n.kind == "gap")
    real = 0
    for piece, values in ((piece, piece.values[0]) for piece in pieces):
        if not piece.made:
            assert values.tolist() == list(range(base + piece.start, base + piece.start + len(values)))
            real += len(values)
    grid(pieces)
    got = {number for i in kept for number in range(starts[i], starts[i + 1]) if number >= base}
    late = sum(n.count for n in told if n.kind == "late")
    assert real + made == pieces[-1].start + pieces[-1].values.shape[1]
    assert real >= len(got) - late


def test_a_loss_inside_what_came_at_once_is_found_where_it_is() -> None:
    from myoflow.live.block import stamped

    numbers = np.concatenate([np.arange(100), np.arange(400, 500)]).astype(np.float32)
    stamps = 50 + (numbers + 1) / RATE
    blocks = stamped(np.stack([numbers, -numbers]), stamps, 0.6, STAMPED)
    assert [b.values.shape[1] for b in blocks] == [100, 100]
    pieces, told = run(blocks, STAMPED)
    assert grid(pieces).tolist() == [*range(100), *[99] * 300, *range(400, 500)]
    assert [(n.kind, n.count) for n in told] == [("gap", 300)]
