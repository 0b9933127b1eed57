"""Sources that really run: sockets, a pseudo-terminal, a pipe, LSL and BrainFlow over loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import myoflow as mf
from myoflow.errors import InputError
from myoflow.live import framed, frames
from myoflow.live.address import parse
from myoflow.live.output import Notice
from myoflow.live.source import SOURCES, Context, Ended, Lost
from myoflow.pipeline import Pipeline
from myoflow.run import Run

WINDOWS = Pipeline([mf.Window(length="50 ms", stride="50 ms")])
RATE = 1000.0
HELLO = frames.description(["E1", "E2", "E3"], RATE, "uV", 0.5)
X = np.random.default_rng(0).integers(-2000, 2000, (3, 2000)).astype(np.int16)
VOLTS = X.astype(np.float32) * np.float32(0.5)
PATIENT = {"lag_s": 600.0, "notice": lambda notice: None}  # on a busy machine a window may wait; none is dropped here
LONG_S = 120.0  # what never takes as long, unless it hangs


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender on a busy machine may take long for its description."""
    monkeypatch.setattr(framed, "HELLO_S", LONG_S)


def wire(start: int = 0, stop: int = X.shape[1], size: int = 40) -> list[bytes]:
    return [frames.samples(X[:, at : min(at + size, stop)], 500 + at) for at in range(start, stop, size)]


@contextlib.contextmanager
def server(*conversations: list[bytes]) -> Iterator[int]:
    """Says one conversation to each that connects, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LONG_S)

    def serve() -> None:
        for said in conversations:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                for part in said:
                    connection.sendall(part)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(LONG_S)


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port that is taken, so that nothing else can come to listen there, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_tcp_gives_every_sample_once() -> None:
    with server([HELLO, *wire(), frames.end()]) as port:
        session = mf.stream(WINDOWS, f"tcp:127.0.0.1:{port}", **PATIENT)
        assert session.signal.channels == ("E1", "E2", "E3") and session.signal.gain == (0.5,) * 3
        outputs = list(session)
    assert np.array_equal(np.concatenate([o.values for o in outputs], axis=1), VOLTS)
    assert not set(session.summary.events) - {"silence"} and session.summary.reason == "the source ended"


def test_tcp_through_damage_and_a_dead_sender() -> None:
    """A frame is damaged, one is missing; the sender dies and returns with a new connection and a new count."""
    told: list[Notice] = []
    first = wire(0, 1000)
    damaged = bytearray(first[10])
    damaged[50] ^= 1
    first[10] = bytes(damaged)
    del first[20]
    second = [frames.samples(X[:, at : at + 40], at - 1000) for at in range(1000, 2000, 40)]
    with server([HELLO, *first], [HELLO, *second, frames.end()]) as port:
        session = mf.stream(WINDOWS, f"tcp:127.0.0.1:{port}", gaps="restart", lag_s=600.0, notice=told.append)
        outputs = list(session)
    assert [n.kind for n in told if n.kind in ("gap", "lost", "returned")][:4] == ["gap", "gap", "lost", "returned"]
    assert [n.count for n in told if n.kind == "gap"][:2] == [40, 40]
    times = [o.time_s for o in outputs]
    assert times == sorted(times)
    flat = [tuple(o.values[:, 0]) for o in outputs]
    places = {tuple(VOLTS[:, i]): i for i in range(VOLTS.shape[1])}
    for output, key in zip(outputs, flat, strict=True):  # no window holds anything but what was sent, in order
        at = places[key]
        assert np.array_equal(output.values, VOLTS[:, at : at + 50])


def test_tcp_listens_for_a_device_that_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Heard(socket.socket):
        """A device knows the moment from which it can connect, and the source takes whichever port is free."""

        def bind(self, address: tuple[str, int]) -> None:
            super().bind((address[0], 0))

        def listen(self, *backlog: int) -> None:
            super().listen(*backlog)
            threads.append(threading.Thread(target=device, args=(self.getsockname(),), daemon=True))
            threads[0].start()

    def device(place: tuple[str, int]) -> None:
        with socket.create_connection(place, LONG_S) as connection, contextlib.suppress(ConnectionResetError):
            connection.sendall(b"".join([*wire(), frames.end()]))
            while connection.recv(1):  # hangs up behind the other one
                pass

    address = f"tcp:127.0.0.1:9?listen=true&timeout={LONG_S} s&rate=1000 Hz&units=uV&gain=0.5&channels=3,1"
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Heard)
        session = mf.stream(WINDOWS, address, **PATIENT)
    outputs = list(session)
    threads[0].join(LONG_S)
    assert np.array_equal(np.concatenate([o.values for o in outputs], axis=1), VOLTS[[2, 0]])


def test_serial_over_a_pseudo_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    serial = pytest.importorskip("serial")
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)

    def device() -> None:
        for part in [HELLO, *wire(), frames.end()]:
            os.write(master, part)

    thread = threading.Thread(target=device, daemon=True)
    real = serial.serial_for_url

    def opened(*place: object, **options: object) -> object:
        port = real(*place, **options)
        thread.start()  # not before: opening a port throws away what came until then
        return port

    monkeypatch.setattr(serial, "serial_for_url", opened)
    outputs = list(mf.stream(WINDOWS, f"serial:{os.ttyname(slave)}", **PATIENT))
    thread.join(LONG_S)
    os.close(master), os.close(slave)
    assert np.array_equal(np.concatenate([o.values for o in outputs], axis=1), VOLTS)


@contextlib.contextmanager
def piped(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The standard input of this process is a pipe that another thread writes to."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file, contextlib.suppress(BrokenPipeError):
            file.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    with os.fdopen(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield
    thread.join(LONG_S)


def test_stdin_as_lines_of_numbers_decides_as_predict(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = mf.open_store(place / "data" / "tiny.zarr")
    emg = store.emg(next(row.id for row in store.rows if row.subject == "04"))
    text = "\n".join(",".join(f"{value:.9g}" for value in sample) for sample in emg.values.T)
    with piped(text.encode(), monkeypatch):
        live = list(mf.stream(run, "stdin?format=text"))
    assert [o.label for o in live] == run.predict(emg).idxmax("label").values.tolist()


def test_stdin_as_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(b"".join([HELLO, *wire(), frames.end()]), monkeypatch):
        outputs = list(mf.stream(WINDOWS, "stdin"))
    assert np.array_equal(np.concatenate([o.values for o in outputs], axis=1), VOLTS)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1,2,3\n1,x,3\n", "stdin, line 2: '1,x,3' is not a line of numbers"),
        ("1 2 3\n\n1 2\n", "stdin, line 3: 2 numbers, but 3 before"),
        ("", "stdin ended before there was a line of numbers"),
        ("1" * 1_200_000, "stdin, line 1: 1,048,576 bytes without an end are no line of numbers"),
    ],
)
def test_stdin_says_which_line_is_wrong(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(text.encode(), monkeypatch), pytest.raises(InputError) as error:
        list(mf.stream(WINDOWS, "stdin?format=text&rate=1000 Hz"))
    assert message in str(error.value)


@pytest.mark.skipif(importlib.util.find_spec("pylsl") is None, reason="needs pylsl")
def test_lsl_over_loopback_and_an_outlet_that_dies_and_returns() -> None:
    """Real outlets and inlets. Every sample arrives once and in order; the death is a gap in time."""
    import pylsl

    name = f"myoflow-{uuid.uuid4().hex[:8]}"

    def outlet() -> pylsl.StreamOutlet:
        info = pylsl.StreamInfo(name, "EMG", 3, RATE, "float32", f"{name}-id")
        channels = info.desc().append_child("channels")
        for label in ("E1", "E2", "E3"):
            channels.append_child("channel").append_child_value("label", label).append_child_value("unit", "uV")
        return pylsl.StreamOutlet(info)

    ended = threading.Event()

    held = [outlet()]

    def device() -> None:
        first = held.pop()
        first.wait_for_consumers(LONG_S)
        push(first, 0, 1000)
        del first
        time.sleep(0.3)
        second = outlet()
        second.wait_for_consumers(LONG_S)
        push(second, 1000, 2000)
        ended.wait(LONG_S)

    def push(out: pylsl.StreamOutlet, start: int, stop: int) -> None:
        began = time.perf_counter()
        for at in range(start, stop, 40):
            out.push_chunk(VOLTS[:, at : at + 40].T.tolist())
            time.sleep(max(0.0, began + (at + 40 - start) / RATE - time.perf_counter()))

    thread = threading.Thread(target=device, daemon=True)
    session = mf.stream(WINDOWS, f"lsl:{name}?timeout={LONG_S} s", gaps="restart", patience_s=LONG_S, **PATIENT)
    assert session.signal.channels == ("E1", "E2", "E3") and session.signal.units == "uV"
    thread.start()
    outputs = []
    places = {tuple(VOLTS[:, i]): i for i in range(VOLTS.shape[1])}
    for output in session:
        outputs.append(output)
        if places[tuple(output.values[:, 0])] >= 1900:
            break
    ended.set()
    thread.join(LONG_S)
    starts = [places[tuple(o.values[:, 0])] for o in outputs]
    for output, at in zip(outputs, starts, strict=True):
        assert np.array_equal(output.values, VOLTS[:, at : at + 50])
    assert starts == sorted(starts) and starts[-1] > 1000, "the second outlet was found again"
    times = [o.time_s for o in outputs]
    assert times == sorted(times) and times[-1] - times[0] > 1.9
    assert "gap" in session.summary.events


@pytest.mark.skipif(importlib.util.find_spec("pylsl") is None, reason="needs pylsl")
def test_an_lsl_stream_that_is_let_go_of_is_not_looked_for_any_more() -> None:
    import pylsl

    name = f"myoflow-{uuid.uuid4().hex[:8]}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EMG", 2, RATE, "float32", f"{name}-id"))
    connection = parse(f"lsl:{name}?timeout={LONG_S} s&units=uV", SOURCES).open(Context())
    held = weakref.ref(connection._inlet)  # type: ignore[attr-defined]
    connection.close()
    connection.close()
    assert held() is None
    with pytest.raises(Ended):
        connection.read(0.01)
    del outlet


@pytest.mark.skipif(importlib.util.find_spec("brainflow") is None, reason="needs brainflow")
def test_brainflow_synthetic_board() -> None:
    pipeline = Pipeline([mf.Highpass(cut=20.0), mf.Window(length="100 ms", stride="100 ms"), mf.Features()])
    session = mf.stream(pipeline, "brainflow:synthetic?channels=1..4", **PATIENT)
    assert session.signal.rate_hz == 250 and session.signal.units == "uV" and len(session.signal.channels) == 4
    session.stop_after(1.5)
    outputs = list(session)
    assert len(outputs) >= 13 and all(np.isfinite(o.values).all() and o.values.any() for o in outputs)
    assert [o.end_s for o in outputs] == pytest.approx([0.1 * (k + 1) for k in range(len(outputs))])
    assert session.summary.taken >= 375 and session.summary.made == 0


def test_brainflow_counts_packets_over_their_wrap() -> None:
    """Packet numbers from 0 to 255 and over again; three are missing."""
    pytest.importorskip("brainflow")
    source = parse("brainflow:synthetic", SOURCES)
    board = source.open(Context())
    try:
        data = np.zeros((40, 300))
        numbers = np.delete(np.arange(250, 553), [100, 101, 102])
        data[board._packet] = numbers % 256  # type: ignore[attr-defined]
        found = board._blocks(data, 0.0)  # type: ignore[attr-defined]
    finally:
        board.close()
    assert [(b.first, b.values.shape[1]) for b in found] == [(250, 100), (353, 200)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("rplay:x", "there is no source 'rplay'; did you mean 'replay'?"),
        ("tcp:nowhere", "'nowhere' is no address; write HOST:PORT"),
        ("tcp", "source tcp needs an address"),
        ("serial:/dev/x?buad=9", "source serial has no option 'buad'; did you mean 'baud'?"),
        ("serial:/dev/x?baud=fast", "source serial: baud: expected a whole number, got 'fast'"),
        ("replay?chunk=20", "source replay: chunk: '20' has no unit"),
        ("replay?speed=0", "source replay: speed must be above 0"),
        ("replay:/nowhere", "there is no store at /nowhere"),
        ("brainflow:synthetik", "BrainFlow has no board 'synthetik'; did you mean 'synthetic'?"),
    ],
)
def test_wrong_addresses_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, SOURCES).open(Context())
    assert message in str(error.value)


def test_a_source_that_does_not_answer_is_lost() -> None:
    with nobody() as port, pytest.raises(Lost, match="does not answer"):
        parse(f"tcp:127.0.0.1:{port}", SOURCES).open(Context())
    with server([b"not a frame" * 10]) as port, pytest.raises(Lost, match="closed by the sender"):
        parse(f"tcp:127.0.0.1:{port}", SOURCES).open(Context())


def test_third_parties_add_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class registered under a name is found by that name, with its options checked."""
    from myoflow.live.sources.replay import Replay
    from myoflow.registry import Registry

    class Point:
        name = "glove"

        def load(self) -> type[Replay]:
            return type("Glove", (Replay,), {"__doc__": "glove: a test."})

    monkeypatch.setattr("myoflow.registry.entry_points", lambda group: [Point()] if "sources" in group else [])
    registry = Registry[Replay]("source", "myoflow.live.sources")
    assert type(parse("glove:x?speed=2", registry)).__name__ == "Glove"


def test_the_listing_names_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    from myoflow import tables

    tables.listing("sources")
    tables.show("sources.tcp")
    out = capsys.readouterr().out
    for name in SOURCES:
        assert name in out
    assert "listen" in out and "5 s" in out


def test_a_recording_of_many_chunks_is_replayed_sample_for_sample(tmp_path: Path) -> None:
    from myoflow.recording import Events, Recording
    from myoflow.store.layout import Origin
    from myoflow.store.write import Writer

    x = np.random.default_rng(1).integers(-2000, 2000, (3, 20_001)).astype(np.int16)  # three chunks, the last is short
    none = np.empty(0, np.int64)
    events = Events(none, none, none.astype(np.int16), none.astype(np.int16), ("rest",))
    recording = Recording(
        "01", "01", "1", x, np.full(3, 1e-7, np.float32), rate_hz=RATE, channels=("E1", "E2", "E3"), events=events
    )
    with Writer(tmp_path / "s.zarr", {"dataset": "x"}, "x") as writer:
        writer.add(recording, Origin("x", "x", "1"))
    for samples in (1, 37, 8192, 9000, 30_000):
        source = parse(f"replay:{tmp_path / 's.zarr'}?speed=max&chunk={samples / RATE} s", SOURCES)
        connection = source.open(Context())
        assert connection.signal.channels == ("E1", "E2", "E3") and connection.signal.dtype == "int16"
        assert connection.signal.gain == tuple(float(g) for g in recording.gain)
        assert connection.signal.labels == ("rest",)
        blocks = []
        with contextlib.suppress(Ended):
            while samples > 1 or len(blocks) < 500:
                blocks.append(connection.read(1.0))
        assert all(block.values.base is None for block in blocks)  # nobody else writes there
        found = np.concatenate([block.values for block in blocks], axis=1)
        np.testing.assert_array_equal(found, x[:, : found.shape[1]])
        assert found.shape[1] == (500 if samples == 1 else x.shape[1])
