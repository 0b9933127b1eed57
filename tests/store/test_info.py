"""Info: totals and the table."""

import io
from pathlib import Path

import pytest
from counting import calls
from make_recordings import ORIGIN, events, full, recording
from rich.console import Console

from myoflow.store import Row, Tally, Writer, index, info, info_table, open_store

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


def many(path, count):
    """A store of so many recordings that has nothing but its index."""
    labels = {"rest": Tally(60, 120_000), "fist": Tally(60, 120_000)}
    rows = [
        Row(
            id=f"sub-{n // 20:03}/ses-{n % 20:02}/run-1",
            subject=f"{n // 20:03}",
            session=f"{n % 20:02}",
            run="1",
            samples=360_000,
            rate_hz=2000.0,
            seconds=180.0,
            channels=tuple(f"channel{i}" for i in range(1, 17)),
            units="V",
            labels=labels,
            checksum=f"{n:064x}",
        )
        for n in range(count)
    ]
    Writer(path, ATTRIBUTES, "d1").close()
    (path / "index.json").write_text(index.dumps(rows))
    return path


def test_ten_thousand_recordings_are_told_from_the_index_alone(tmp_path, monkeypatch):
    path, tenth = many(tmp_path / "s.zarr", 10_000), many(tmp_path / "tenth.zarr", 1000)
    touched = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: touched.append(self.name) or real(self, *a, **k))
    found = info(open_store(path))
    assert (found.recordings, found.subjects, found.hours) == (10_000, 500, pytest.approx(500))
    assert found.labels["fist"] == Tally(600_000, 1_200_000_000)
    assert set(touched) <= {"zarr.json", "index.json"} and len(touched) < 10
    # each is gone through a few times, and not once for every other one
    assert calls(lambda: info(open_store(path))) < 12 * calls(lambda: info(open_store(tenth)))
