"""Receivers that stand still: the decoder goes on, whole messages are left out, and it is told."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.live import outbox
from myoflow.live.outbox import to_file
from myoflow.live.outlets import Outlets
from myoflow.live.sink import Quiet, Sink
from myoflow.run import Run
from myoflow.spec import Spec

MESSAGE = b"x" * 99 + b"\n"
LONG_S = 120.0  # what never takes as long, unless it hangs


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe with a reader that reads when the test does."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def read(reader: int) -> bytes:
    """What is there."""
    got = b""
    while True:
        try:
            part = os.read(reader, 1 << 16)
        except BlockingIOError:
            return got
        if not part:
            return got
        got += part


def test_what_finds_no_room_is_left_out_whole_and_the_order_stays(pipe: tuple[Path, int], monkeypatch: Any) -> None:
    monkeypatch.setattr(outbox, "MOST", 1000)
    path, reader = pipe
    box = to_file(path)
    sent = 0
    while box.left_out < 5:
        box.put(b"%099d\n" % sent)
        sent += 1
    assert box.waiting <= 1000 and not box.went
    got = read(reader)
    box.put(b"%099d\n" % sent)
    got += read(reader)
    lines = [int(line) for line in got.splitlines()]
    assert got.endswith(b"\n") and lines == [*range(sent - 5), sent], "those that found no room, and no others"
    assert box.went and not box.waiting and box.left_out == 5
    box.close()


def test_where_the_source_waits_nothing_is_left_out(pipe: tuple[Path, int], monkeypatch: Any) -> None:
    monkeypatch.setattr(outbox, "MOST", 1000)
    path, reader = pipe
    monkeypatch.setattr(outbox, "CLOSING_S", LONG_S)
    box = to_file(path)
    box.patient = lambda: True
    wanted = 3000  # more than a pipe holds
    got = bytearray()

    def late() -> None:
        while len(got) < wanted * len(MESSAGE):
            got.extend(read(reader))

    thread = threading.Thread(target=late, daemon=True)
    thread.start()
    for _ in range(wanted):
        box.put(MESSAGE)
    box.close()
    thread.join(LONG_S)
    assert bytes(got) == MESSAGE * wanted and box.left_out == 0


def test_a_reader_that_went_away_breaks_the_sink(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    box = to_file(tmp_path / "pipe")
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        box.put(MESSAGE)


def test_a_pipe_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is a pipe that nobody reads; start its reader first"):
        to_file(tmp_path / "pipe")


class Slow(Sink):
    """A sink whose receiver takes something while `open_` is set."""

    name = "slow"
    takes = True

    def open(self, taken: Spec, given: Spec) -> Quiet:
        sink = self

        class Channel(Quiet):
            outbox = outbox.Outbox(lambda data: len(data) if sink.takes else 0)

            def write(self, output: object) -> None:
                self.outbox.put(MESSAGE)

        return Channel()


def test_a_receiver_that_stands_still_is_told_once_and_again_when_it_goes_on(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(outbox, "MOST", 1000)
    told: list[tuple[str, str, int]] = []
    outlets, sink, spec = Outlets(), Slow(), Spec.signal(2, 100.0)
    outlets.tell = lambda *what: told.append(what)
    outlets.open([sink], spec, spec)
    sink.takes = False
    for _ in range(25):
        outlets.write(None)  # type: ignore[arg-type]
    sink.takes = True
    outlets.write(None)  # type: ignore[arg-type]
    sink.takes = False
    for _ in range(12):
        outlets.write(None)  # type: ignore[arg-type]
    outlets.settle()
    outlets.close(None)
    assert told == [
        ("slow", "sink slow takes nothing; what comes now is left out", 1),
        ("slow", "sink slow takes messages again", 14),
        ("slow", "sink slow takes nothing; what comes now is left out", 1),
        ("slow", "sink slow takes nothing to the end", 1),
    ]
    assert outlets.left_out == {"sink slow": 17} and not outlets.broken
    assert capsys.readouterr().err.count("takes nothing; what comes now is left out") == 2


def test_a_stalled_pipe_stops_neither_the_decoder_nor_the_other_sinks(
    run: Run, pipe: tuple[Path, int], monkeypatch: Any
) -> None:
    monkeypatch.setattr(outbox, "MOST", 1000)
    monkeypatch.setattr(outbox, "CLOSING_S", 0.0)
    words = [
        "stream",
        "plain",
        "--source",
        "replay?speed=50",
        "--lag",
        "600 s",
        "--sink",
        f"jsonl:{pipe[0]}",
        "--sink",
        "jsonl:all.jsonl",
    ]
    assert (
        CliRunner().invoke(app, ["stream", "plain", "--source", "replay?speed=max", "--sink", "file:a.csv"]).exit_code
        == 0
    )
    filled = to_file(pipe[0])
    while filled.waiting == 0:
        filled.put(MESSAGE)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    decided = [line for line in lines if line["type"] == "decision"]
    assert len(decided) == len(Path("a.csv").read_text().splitlines()) - 1
    assert lines[-1]["events"]["slow"] == 2 and lines[-1]["samples"]["slow"] > len(decided) // 2
    assert f"sink jsonl:{pipe[0]} takes nothing; what comes now is left out" in done.output
    assert "messages were left out, because nobody took them" in done.output


def test_what_a_receiver_has_not_taken_at_the_end_is_counted_and_said_to_no_closed_sink(
    pipe: tuple[Path, int], tmp_path: Path, monkeypatch: Any
) -> None:
    """There was room for all of it until then, so that nothing was told before."""
    from myoflow.live.address import parse
    from myoflow.live.output import Notice
    from myoflow.live.sink import SINKS

    monkeypatch.setattr(outbox, "CLOSING_S", 0.0)
    filled = to_file(pipe[0])
    while filled.waiting == 0:
        filled.put(MESSAGE)
    outlets, spec = Outlets(), Spec.signal(2, 100.0)
    outlets.tell = lambda kind, text, count: outlets.notice(Notice(kind, 0.0, text, count))
    outlets.open([parse(f"jsonl:{place}", SINKS) for place in (tmp_path / "all.jsonl", pipe[0])], spec, spec)
    outlets.notice(Notice("gap", 0.0, "3 samples were lost"))
    outlets.close(None)
    assert outlets.left_out == {f"sink jsonl:{pipe[0]}": 2} and not outlets.broken
    filled.lose()
    filled.close()
