"""Recording: what was streamed is in the store, whole; what a killed process had written is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import myoflow as mf
from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.live.block import Signal
from myoflow.live.chunks import Chunks
from myoflow.live.recorder import JOURNALS, recover
from myoflow.pipeline import Pipeline
from myoflow.run import Run

ROOT = Path(__file__).parents[2]
SIGNAL = Signal(("E1", "E2"), 1000.0, "uV", (0.5, 0.25), "int16", pace=None)
X = np.random.default_rng(0).integers(-3000, 3000, (2, 5000)).astype(np.int16)


def pieces() -> Iterator[np.ndarray]:
    for at in range(0, X.shape[1], 170):
        yield X[:, at : at + 170]


def test_counts_gain_and_units_are_kept(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    for _ in range(2):
        session = mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), SIGNAL), record=store, subject="anna")
        for _ in session:
            pass
    opened = mf.open_store(store)
    assert [row.subject for row in opened.rows] == ["anna", "anna"] and not (store / JOURNALS).exists()
    recording = opened.raw(opened.rows[1].id)
    assert recording.emg.dtype == np.int16 and np.array_equal(recording.emg, X)
    assert recording.units == "uV" and recording.gain.tolist() == [0.5, 0.25] and recording.channels == ("E1", "E2")
    assert xr.open_zarr(store / opened.rows[0].id, mask_and_scale=False)["emg"].shape == X.shape


def test_decisions_stand_beside_the_signal(run: Run, tmp_path: Path) -> None:
    live = list(mf.stream(run, "replay?speed=max", record=tmp_path / "mine.zarr"))
    opened = mf.open_store(tmp_path / "mine.zarr")
    recording = opened.raw(opened.rows[0].id)
    stream = recording.streams["decisions"]
    assert stream.channels == ("end_s", "latency_s", "score_rest", "score_fist", "score_flexion")
    assert stream.rate_hz == pytest.approx(10) and stream.values.shape == (5, len(live))
    np.testing.assert_allclose(stream.values[0], [o.end_s for o in live], rtol=1e-6)
    assert np.array_equal(stream.values[2:].T, np.stack([o.values for o in live]))
    assert len(recording.events.onset) == 0, "decisions are no truth"


KILLED = """
import sys, time
import numpy as np
import myoflow as mf
from myoflow.live.block import Signal
from myoflow.live.chunks import Chunks
from myoflow.pipeline import Pipeline
x = np.random.default_rng(0).integers(-3000, 3000, (2, 5000)).astype(np.int16)
def pieces():
    for at in range(0, 4000, 50):
        yield x[:, at:at + 50]
    time.sleep(3600)  # until it is killed
signal = Signal(("E1", "E2"), 1000.0, "uV", (0.5, 0.25), "int16", pace=None)
seen = 0
for output in mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), signal), record=sys.argv[1]):
    seen += output.values.shape[1]
    print(seen, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(store)], env=env, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    seen = 0
    while seen < 1000:
        line = child.stdout.readline()
        assert line, f"it ended by itself with {child.wait()}"
        seen = int(line)
    child.send_signal(signal.SIGKILL)
    seen = max([seen, *(int(line) for line in child.stdout.read().split())])
    child.wait()
    assert mf.open_store(store).rows == (), "the store opens, and holds whole recordings only"
    (journal,) = (store / JOURNALS).iterdir()
    with (journal / "samples.frames").open("ab") as file:
        file.write(b"\xa5\x5a\x01\x01half a frame")
    info = CliRunner().invoke(app, ["info", str(store)])
    assert f"not in it yet: {journal.name} of `stream --record` sessions" in " ".join(info.output.split())
    (identity,) = recover(store)
    assert "not in it yet" not in CliRunner().invoke(app, ["info", str(store)]).output
    recording = mf.open_store(store).raw(identity)
    assert seen <= recording.emg.shape[1] <= 4000
    assert np.array_equal(recording.emg, X[:, : recording.emg.shape[1]])
    assert not (store / JOURNALS).exists() and recover(store) == ()


def test_a_journal_being_written_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    session = mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), SIGNAL), record=store)
    for number, _ in enumerate(session):
        if number == 3:
            assert recover(store) == ()
    assert np.array_equal(mf.open_store(store).raw(session.recorder.ids[0]).emg, X)  # type: ignore[union-attr]


def test_a_session_that_begins_or_ends_is_left_alone_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever another one looks for journals of killed processes, those of living ones are not taken."""
    from myoflow.live import recorder as module

    store, found = tmp_path / "mine.zarr", []
    for name in ("write_json", "_named", "_keep"):  # as a journal is begun, gets its name, and becomes recordings
        real = getattr(module, name)

        def other(*arguments: object, real=real, name=name) -> object:  # type: ignore[no-untyped-def]
            monkeypatch.setattr(module, name, real)
            found.append(recover(store))
            return real(*arguments)

        session = mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), SIGNAL), record=store)
        monkeypatch.setattr(module, name, other)
        for _ in session:
            pass
        assert session.recorder is not None and session.recorder.failed is None
        assert np.array_equal(mf.open_store(store).raw(session.recorder.ids[0]).emg, X)
    assert found == [()] * 3 and not (store / JOURNALS).exists()


def test_two_that_find_the_same_journal_make_it_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow.live import recorder as module

    store, real = tmp_path / "mine.zarr", module.Writer
    with monkeypatch.context() as patch:
        patch.setattr(module, "_keep", lambda path, journals: ())  # as if killed
        for _ in mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), SIGNAL), record=store):
            pass
    first: list[tuple[str, ...]] = []

    def slow(*arguments: object) -> object:
        monkeypatch.setattr(module, "Writer", real)
        first.append(recover(store))  # while this one waits for the store
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "Writer", slow)
    assert recover(store) == () and len(first[0]) == 1
    assert np.array_equal(mf.open_store(store).raw(first[0][0]).emg, X) and not (store / JOURNALS).exists()


def test_a_gap_that_is_not_filled_parts_recordings(tmp_path: Path) -> None:
    from myoflow.live.block import Block
    from myoflow.live.recorder import Recorder
    from myoflow.live.timeline import Timeline

    recorder = Recorder(tmp_path / "mine.zarr", subject="bo")
    recorder.begin(SIGNAL, None, ("rest", "fist"))
    timeline = Timeline(SIGNAL, "hold", lambda notice: None)
    for first, start in ((0, 0), (200, 100), (330, 200), (4000, 300)):  # 0, 100 and then 30 missing; then far too much
        for piece in timeline.feed(Block(X[:, start : start + 100], 0.001 * first, first=first)):
            recorder.piece(piece)
    for piece in timeline.flush():
        recorder.piece(piece)
    recorder.event(1, 10, 60, 1)
    recorder.event(0, 4010, 4090, 1)
    recorder.end(["a note"])
    opened = mf.open_store(tmp_path / "mine.zarr")
    first_, second = (opened.raw(identity) for identity in recorder.ids)
    assert first_.emg.shape[1] == 430 and second.emg.shape[1] == 100
    assert np.array_equal(second.emg, X[:, 300:400])
    assert first_.repairs == (
        "100 lost samples at 0.100 s were filled in",
        "30 lost samples at 0.300 s were filled in",
    )
    assert first_.events.onset.tolist() == [10] and second.events.onset.tolist() == [10]
    assert second.attrs["live_start_s"] == 4.0 and first_.attrs["live_notes"] == ["a note"]


def test_places_that_are_something_else_are_refused(tmp_path: Path, place: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("x")
    pipeline = Pipeline([mf.Rectify()])
    with pytest.raises(InputError, match="is not a myoflow store"):
        mf.stream(pipeline, Chunks(pieces(), SIGNAL), record=tmp_path / "notes")
    with pytest.raises(InputError, match="was written from dataset tiny"):
        mf.stream(pipeline, Chunks(pieces(), SIGNAL), record=place / "data" / "tiny.zarr")
    with pytest.raises(InputError, match="letters and digits"):
        mf.stream(pipeline, Chunks(pieces(), SIGNAL), record=tmp_path / "s.zarr", subject="anna k")
