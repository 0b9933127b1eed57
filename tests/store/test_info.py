"""Info: totals and the table."""

import io

import pytest
from make_recordings import ORIGIN, events, full, recording
from rich.console import Console

from myoflow.store import Tally, Writer, info, info_table, open_store

ATTRIBUTES = {
    "dataset": "toy",
    "title": "Toy gestures",
    "licence": "CC BY 4.0",
    "labels": ["unmarked", "rest", "fist"],
    "unmarked": "unmarked",
}


@pytest.fixture
def store(tmp_path):
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d1") as writer:
        writer.add(recording("01"), ORIGIN)
        writer.add(recording("01", "02", rate_hz=500.0), ORIGIN)
        writer.add(recording("02", samples=3_600_000 // 100, events=events()), ORIGIN)
    return open_store(tmp_path / "s.zarr")


def printed(store):
    console = Console(width=200, file=io.StringIO())
    console.print(info_table(store))
    return console.file.getvalue()


def test_totals(store):
    found = info(store)
    assert (found.subjects, found.sessions, found.recordings, found.samples) == (2, 3, 3, 76_000)
    assert found.hours == pytest.approx((20 + 40 + 36) / 3600)
    assert found.channels == {3: 3}
    assert found.rates_hz == {500.0: 1, 1000.0: 2}
    assert found.labels == {"unmarked": Tally(0, 58_000), "rest": Tally(2, 8_000), "fist": Tally(2, 10_000)}


def test_hours_are_by_the_clock(tmp_path):
    made = full()
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d1") as writer:
        writer.add(made, ORIGIN)
    span = int(made.timestamp_ms[-1]) - int(made.timestamp_ms[0])
    assert info(open_store(tmp_path / "s.zarr")).hours == pytest.approx(span / 3.6e6)


def test_samples_outside_events_count_even_where_no_label_is_for_them(tmp_path):
    with Writer(tmp_path / "s.zarr", {"dataset": "toy", "labels": ["rest", "fist"]}, "d1") as writer:
        writer.add(recording(), ORIGIN)
    assert info(open_store(tmp_path / "s.zarr")).labels["unmarked"] == Tally(0, 11_000)


def test_table_says_it_all(store):
    text = printed(store)
    for words in (
        "toy: Toy gestures",
        "CC BY 4.0",
        "76,000",
        "500 Hz (1 recordings), 1000 Hz (2 recordings)",
        "58,000",
        "76.3%",
    ):
        assert words in text


def test_an_empty_store_has_a_table(tmp_path):
    Writer(tmp_path / "s.zarr", {"dataset": "toy"}, "d1").close()
    assert "not stated" in printed(open_store(tmp_path / "s.zarr"))
