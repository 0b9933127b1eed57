"""Prepare: which windows are cut, and what they are called."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoflow.data.cut import cut, without_straddlers
from myoflow.prepared import Prepared
from myoflow.spec import Spec
from myoflow.stages.window import Window

SPEC = Spec.signal(1, 100.0, labels=("a", "b"))


def signal(events: Sequence[tuple[int, int, int, int]], samples: int = 1000, name: str = "1") -> Prepared:
    """A recording whose sample n is n; events are (onset, length, label, repetition)."""
    columns = np.array(events, np.int64).reshape(-1, 4).T
    values = np.arange(samples, dtype=np.float32)[None]
    return Prepared(f"sub-{name}/ses-1/run-1", name, "1", "", values, *columns[:3], columns[3].astype(np.int16))


def stage(**fields: object) -> Window:
    return Window(**{"length": "100 ms", "stride": "50 ms", **fields})  # 10 and 5 samples


def test_windows_lie_on_the_live_grid_and_inside_one_event() -> None:
    windows = cut([signal([(12, 20, 1, 3)])], stage(), SPEC, training=False)
    assert windows.start.tolist() == [15, 20]  # 12..31: multiples of 5 from which 10 samples fit
    assert windows.label.tolist() == [1, 1]
    assert windows.repetition.tolist() == [3, 3]
    np.testing.assert_array_equal(windows.take(np.array([1]))[0, 0], np.arange(20, 30))


def test_anchor_event_starts_with_each_event() -> None:
    windows = cut([signal([(12, 20, 0, 1), (33, 10, 1, 1)])], stage(anchor="event"), SPEC, training=False)
    assert windows.start.tolist() == [12, 17, 22, 33]
    assert windows.label.tolist() == [0, 0, 0, 1]


def test_training_may_have_its_own_stride() -> None:
    data, window = [signal([(0, 40, 0, 1)])], stage(train_stride="10 ms")
    assert len(cut(data, window, SPEC, training=True)) == 31
    assert cut(data, window, SPEC, training=False).start.tolist() == [0, 5, 10, 15, 20, 25, 30]


def test_an_event_shorter_than_a_window_gives_none() -> None:
    assert len(cut([signal([(3, 9, 0, 1)])], stage(), SPEC, training=False)) == 0
    assert len(cut([], stage(), SPEC, training=False)) == 0


@settings(max_examples=60)
@given(
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 60)), max_size=6),
    share=st.sampled_from([0.6, 0.8, 1.0]),
    anchor=st.sampled_from(["recording", "event"]),
)
def test_every_window_has_its_share_of_one_event(spans: list[tuple[int, int]], share: float, anchor: str) -> None:
    events, at = [], 0
    for i, (gap, length) in enumerate(spans):
        events.append((at + gap, length, i % 2, i))
        at += gap + length
    recording = signal(events, samples=at + 7)
    windows = cut([recording], stage(label_share=share, anchor=anchor), SPEC, training=False)
    truth = np.full(at + 7, -1)
    for onset, length, label, _ in events:
        truth[onset : onset + length] = label
    for start, label in zip(windows.start, windows.label, strict=True):
        assert (truth[start : start + 10] == label).sum() >= np.ceil(share * 10)
    if anchor == "recording":
        owner = np.full(at + 7, -1)
        for i, (onset, length, *_) in enumerate(events):
            owner[onset : onset + length] = i
        expected = [
            start
            for start in range(0, at + 7 - 9, 5)
            if max((np.sum(owner[start : start + 10] == i) for i in range(len(events))), default=0)
            >= np.ceil(share * 10)
        ]
        assert windows.start.tolist() == expected


def test_a_repetition_split_drops_windows_that_touch_another_part() -> None:
    recording = signal([(0, 18, 0, 1), (18, 20, 0, 2)])
    windows = cut([recording], stage(label_share=0.6), SPEC, training=False)
    first = windows.select(windows.units("repetition") == "1")
    assert first.start.tolist() == [0, 5, 10]  # 10..19 has 8 of its samples in repetition 1
    assert without_straddlers(first, [recording], ["1"]).start.tolist() == [0, 5]


def test_units_and_order_over_recordings() -> None:
    windows = cut(
        [signal([(0, 20, 0, 1)], name="01"), signal([(0, 20, 1, 1)], name="02")], stage(), SPEC, training=False
    )
    assert windows.units("subject").tolist() == ["01"] * 3 + ["02"] * 3
    assert windows.units("session").tolist() == ["1"] * 6
    assert windows.select(windows.units("subject") == "02").label.tolist() == [1, 1, 1]


def test_shuffled_is_every_window_once_and_depends_on_the_seed_alone() -> None:
    windows = cut([signal([(0, 300, 0, 1)])], stage(), SPEC, training=False)

    def starts(seed: int) -> list[float]:
        rng = np.random.default_rng(seed)
        return [float(x[0, 0]) for batch, _ in windows.shuffled(7, rng) for x in batch]

    assert sorted(starts(1)) == windows.start.tolist()
    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert sum(len(x) for x, _ in windows.batches(7)) == len(windows)


def test_label_share_must_name_one_event() -> None:
    from myoflow.errors import PlanError

    with pytest.raises(PlanError, match="label_share"):
        stage(label_share=0.5).plan(SPEC)
