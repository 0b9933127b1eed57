"""Trouble on the way: numbers that are none, disks that fill up, sinks that die; the decoder goes on and says so."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import myoflow as mf
from myoflow.cli import app
from myoflow.errors import InputError, MyoflowError
from myoflow.live import frames
from myoflow.live.block import Block, Signal, match
from myoflow.live.chunks import Chunks
from myoflow.live.framed import Framed
from myoflow.live.outlets import Outlets
from myoflow.live.output import Notice
from myoflow.live.recorder import JOURNALS, Recorder
from myoflow.live.sink import SINKS, Quiet, Sink
from myoflow.live.source import Ended
from myoflow.live.timeline import Timeline
from myoflow.pipeline import Pipeline
from myoflow.run import Run
from myoflow.spec import Spec
from myoflow.typed import frozen

SIGNAL = Signal(("E1", "E2"), 1000.0, "uV", pace=None)
COUNTS = np.ones((2, 5), np.int16)
X = (100 * np.random.default_rng(0).standard_normal((2, 3000))).astype(np.float32)


def spoiled() -> tuple[np.ndarray, np.ndarray]:
    """A signal with numbers that are none, and what should stand in for them."""
    bad, held = X.copy(), X.copy()
    for channel, first, stop, what in (
        (0, 0, 2, np.nan),
        (1, 500, 501, np.inf),
        (0, 999, 1302, -np.inf),
        (1, 9, 12, 1e30),
    ):
        bad[channel, first:stop] = what
        held[channel, first:stop] = held[channel, first - 1] if first else 0.0
    return bad, held


def chunks(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for at in range(0, x.shape[1], size):
        yield x[:, at : at + size]


@pytest.mark.parametrize("size", [1, 7, 250, 3000])
def test_a_value_that_is_no_number_is_held_and_does_not_stay_in_a_filter(size: int) -> None:
    pipeline = Pipeline([mf.Bandpass(low="20 Hz", high="400 Hz")])
    bad, held = spoiled()
    told: list[Notice] = []
    found, expected = (
        np.concatenate([o.values for o in mf.stream(pipeline, Chunks(chunks(x, size), SIGNAL), notice=notice)], axis=1)
        for x, notice in ((bad, told.append), (held, None))
    )
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()
    assert {n.kind for n in told} == {"invalid"} and sum(n.count for n in told) == 2 + 1 + 303 + 3
    assert len(told) <= 4, "once a second"
    assert "no numbers (NaN, or beyond any electrode's); the last good one stands in for each" in told[0].text


def test_zero_stands_in_where_gaps_are_zero_and_whole_numbers_are_left_alone() -> None:
    bad, _ = spoiled()
    told: list[Notice] = []
    line = Timeline(SIGNAL, "zero", told.append)
    (piece,) = line.feed(Block(bad, 0.0))
    good = np.isfinite(bad) & (np.abs(bad) < 1e12)
    np.testing.assert_array_equal(piece.values, np.where(good, bad, 0))
    counts = np.full((2, 5), np.iinfo(np.int32).min, np.int32)
    assert line.feed(Block(counts, 0.1))[0].values is counts


def opened(*parts: bytes) -> Framed:
    """A source that sends these frames and then ends."""
    left = list(parts)

    def receive(timeout_s: float) -> bytes:
        if not left:
            raise Ended
        return left.pop(0)

    return Framed(receive, lambda: None, "test")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"gain": float("nan")}, "do not go together"),
        ({"gain": [1.0, 0.0]}, "do not go together"),
        ({"gain": [1.0]}, "do not go together"),
        ({"rate": float("inf")}, "do not go together"),
        ({"rate": "fast"}, "could not convert"),
        ({"channels": "E1"}, "channels must be a list of names"),
        ({"channels": ["E1", "E1"]}, "two channels have one name"),
        ({"channels": []}, "do not go together"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(told: dict[str, object], why: str) -> None:
    fields = {"channels": ["E1", "E2"], "rate": 1000.0, "units": "uV", "gain": 1.0, **told}
    with pytest.raises(InputError, match=f"test: its description .* is not one: .*{why}"):
        opened(frames._pack(frames.DESCRIPTION, json.dumps(fields).encode()), frames.samples(X[:, :5], 0))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            {"channels": ["E1", "E2"], "rate": 1000},
            "the source is in units that it does not tell, the pipeline takes V",
        ),
        ({"channels": ["E1", "E2"], "rate": 1000, "units": "V"}, r"whole numbers in V and no gain.*\?gain=2e-7"),
    ],
)
def test_units_and_the_size_of_a_count_are_not_guessed(told: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        source = opened(frames._pack(frames.DESCRIPTION, json.dumps(told).encode()), frames.samples(COUNTS, 0))
        match(source.signal, Spec.signal(("E1", "E2"), 1000.0, units="V"))
    fair = {**told, "units": "uV"}
    source = opened(frames._pack(frames.DESCRIPTION, json.dumps(fair).encode()), frames.samples(COUNTS, 0))
    fitted = match(source.signal, Spec.signal(("E1", "E2"), 1000.0, units="V"))
    np.testing.assert_allclose(fitted(COUNTS), 1e-6)


def test_counts_do_not_turn_into_other_numbers_on_the_way() -> None:
    hello = frames.description(("E1", "E2"), 1000.0, "uV", 0.5)
    counts = np.ones((2, 5), np.int16)
    source = opened(hello, frames.samples(counts, 0), frames.samples(X[:, :5], 5))
    assert source.read(0.1) is not None
    with pytest.raises(InputError, match="test sent float32 after int16"):
        source.read(0.1)


def test_channels_with_other_names_are_taken_in_order_and_told_but_not_for_each_other() -> None:
    wanted = Spec.signal(("E1", "E2", "E3"), 1000.0, units="uV")

    def named(*names: str) -> Signal:
        return Signal(names, 1000.0, "uV")

    assert (
        match(named("E3", "E1", "E2"), wanted).rows == (1, 2, 0) and match(named("E3", "E1", "E2"), wanted).told is None
    )
    other = match(named("a", "b", "c"), wanted)
    assert (
        other.rows == (0, 1, 2)
        and str(other.told) == "the source's channels (a, b, c) are taken for E1, E2, E3, in order"
    )
    with pytest.raises(InputError, match=r"a channel E2 where the pipeline takes E1, and not all of E1, E2, E3"):
        match(named("E2", "E1", "x"), wanted)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--seconds", "-1"), "--seconds must be above 0, got -1"),
        (("--seconds", "nan"), "--seconds must be above 0, got nan"),
        (("--patience", "-3 s"), "--patience: a time must not be below zero, got '-3 s'"),
        (("--lag", "-1 ms"), "--lag: a time must not be below zero, got '-1 ms'"),
    ],
)
def test_times_that_make_no_sense_are_refused(option: tuple[str, str], said: str, run: Run) -> None:
    done = CliRunner().invoke(app, ["stream", "plain", "--source", "replay?speed=max", "--sink", "jsonl:o", *option])
    assert isinstance(done.exception, InputError) and str(done.exception) == said


def test_an_array_that_is_filled_again_is_not_read_twice() -> None:
    """A driver's buffer, given over and over, while pieces wait for the decoder."""
    buffer = np.empty((2, 100), np.float32)

    def pieces() -> Iterator[np.ndarray]:
        for piece in chunks(X, 100):
            buffer[...] = piece
            yield buffer

    session = mf.stream(Pipeline([mf.Rectify()]), Chunks(pieces(), SIGNAL))
    np.testing.assert_array_equal(np.concatenate([output.values for output in session], axis=1), np.abs(X))


@pytest.mark.parametrize("piece", [np.zeros((2, 5), complex), np.array([["a"] * 5] * 2), np.zeros((2, 5), bool)])
def test_pieces_that_are_no_numbers_are_refused(piece: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected pieces of numbers, got"):
        list(mf.stream(Pipeline([mf.Rectify()]), Chunks([piece], SIGNAL)))


def test_a_policy_that_is_none_is_refused_in_python_too() -> None:
    with pytest.raises(InputError, match=r"gaps: there is no 'foo'\. Policies: hold, zero, restart"):
        mf.stream(Pipeline([mf.Rectify()]), Chunks(chunks(X, 100), SIGNAL), gaps="foo")  # type: ignore[arg-type]


class Full(io.BytesIO):
    """A file on a disk with room for so many bytes, then none."""

    def __init__(self, file: io.BufferedWriter, room: int) -> None:
        super().__init__()
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        part, self.room = data[: self.room], self.room - len(data)
        self.file.write(part)
        if self.room < 0:
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()


def test_a_full_disk_ends_the_recording_but_not_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Recorder.begin

    def full(self: Recorder, *args: object) -> None:
        begin(self, *args)  # type: ignore[arg-type]
        self._samples = Full(self._samples, 9000)  # type: ignore[assignment, arg-type]

    store, pipeline, told = tmp_path / "s.zarr", Pipeline([mf.Rectify()]), []
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "begin", full)
        session = mf.stream(pipeline, Chunks(chunks(X, 100), SIGNAL), record=store, notice=told.append)
        values = np.concatenate([output.values for output in session], axis=1)
    np.testing.assert_array_equal(values, np.abs(X))
    assert session.recorder is not None and session.recorder.ids == () and session.summary.reason == "the source ended"
    (notice,) = told
    assert notice.kind == "record" and "No space left on device; what was written is in" in notice.text
    assert list((store / JOURNALS).iterdir())
    recorder = Recorder(store)  # there is room again
    (identity,) = recorder.recovered
    kept = mf.open_store(store).raw(identity).emg
    assert 900 <= kept.shape[1] <= 1100 and np.array_equal(kept, X[:, : kept.shape[1]])


def test_no_room_for_the_recordings_keeps_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow.live import recorder as module

    def full(path: Path, journals: object) -> tuple[str, ...]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_keep", full)
        session = mf.stream(Pipeline([mf.Rectify()]), Chunks(chunks(X, 100), SIGNAL), record=tmp_path / "s.zarr")
        assert sum(output.values.shape[1] for output in session) == X.shape[1]
    assert "the journal could not be made into recordings" in str(session.recorder and session.recorder.failed)
    (identity,) = Recorder(tmp_path / "s.zarr").recovered
    assert np.array_equal(mf.open_store(tmp_path / "s.zarr").raw(identity).emg, X)


def test_a_place_that_cannot_be_written_is_told_before_the_stream(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*"):
        Recorder(tmp_path / "file" / "s.zarr")


@pytest.mark.parametrize("about", ["", "{", "[]", '{"subject": "a"}'])
def test_a_damaged_journal_is_told_with_its_place(about: str, tmp_path: Path) -> None:
    folder = tmp_path / "s.zarr" / JOURNALS / "20261126T080000"
    Recorder(tmp_path / "s.zarr")
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(about)
    with pytest.raises(InputError, match=r"20261126T080000 of a session that was killed does not say what it holds"):
        Recorder(tmp_path / "s.zarr")


@frozen
class Dies(Sink):
    """A sink that breaks at its third output."""

    address: str = "x"

    def open(self, taken: Spec, given: Spec) -> Quiet:
        class Channel(Quiet):
            count = 0
            closed = 0

            def write(self, output: object) -> None:
                self.count += 1
                if self.count == 3:
                    raise OSError(errno.EIO, "Input/output error")

            def close(self, summary: object) -> None:
                Channel.closed += 1
                raise OSError(errno.EIO, "Input/output error")

        return Channel()


Dies.name = "dies"


def test_a_sink_that_dies_leaves_the_others_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SINKS._found, "dies", Dies)
    words = ["stream", "plain", "--source", "replay?speed=max", "--sink", "dies:x", "--sink", "jsonl:rest.jsonl"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, MyoflowError) and done.exception.exit_code == 1
    assert str(done.exception) == "not everything was written: sink dies:x: Input/output error"
    assert "sink dies:x: Input/output error; nothing more goes there" in done.output
    lines = [json.loads(line) for line in Path("rest.jsonl").read_text().splitlines()]
    assert lines[-1]["type"] == "end" and lines[-1]["outputs"] == len(lines) - 2 > 50


def test_a_stream_that_nothing_takes_any_more_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SINKS._found, "dies", Dies)
    done = CliRunner().invoke(app, ["stream", "plain", "--source", "replay?speed=max", "--sink", "dies"])
    assert isinstance(done.exception, MyoflowError) and "nothing takes what is decoded any more" in done.output


def test_two_sinks_of_one_kind_are_told_apart() -> None:
    outlets = Outlets()
    spec = Spec.signal(2, 100.0)
    outlets.open([Dies(), Dies()], spec, spec)
    for _ in range(3):
        outlets.write(None)  # type: ignore[arg-type]
    assert outlets.broken == ["sink dies:x: Input/output error", "sink dies:x (2): Input/output error"]
    assert not outlets.left
