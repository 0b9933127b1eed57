"""Sinks: what comes out at the other end is what was decided."""

from __future__ import annotations

import importlib.util
import io
import json
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

import myoflow as mf
from myoflow.errors import InputError
from myoflow.live.address import parse
from myoflow.live.output import Latency, Notice, Output
from myoflow.live.sink import SINKS
from myoflow.live.summary import Tally
from myoflow.spec import SCORES, SIGNAL, WINDOWS, Spec

TAKEN = Spec.signal(("E1", "E2"), 1000.0, labels=("rest", "fist"))
WINDOW = TAKEN.evolve(dims=WINDOWS, sizes=(None, 2, 200), step_s=0.1, window_s=0.2)
GIVEN = WINDOW.evolve(dims=SCORES, sizes=(None, 2))
LONG_S = 120.0  # what never takes as long, unless it hangs
SCORED = [np.array([1 / 3, k / 10], np.float32) for k in range(6)]


def outputs() -> list[Output]:
    found = []
    for k, scores in enumerate(SCORED):
        end = 0.1 * k + 0.2
        found.append(Output(scores, GIVEN, end, end, Latency(0.2, 1e-4, 2e-4), filled=3 * (k == 1), dropped=k == 2))
    return found


def feed(address: str, given: Spec = GIVEN, what: list[Output] | None = None) -> Any:
    channel = parse(address, SINKS).open(TAKEN, given)
    tally = Tally(1000.0, 0.2)
    for output in outputs() if what is None else what:
        tally.output(output)
        channel.write(output)
    channel.notice(Notice("gap", 0.3, "3 samples were lost"))
    channel.close(tally.summary(700, 0.7, None, "the source ended"))
    return channel


def check(lines: list[dict[str, Any]]) -> None:
    """Decisions as they were written."""
    decided = [line for line in lines if line["type"] == "decision"]
    assert [line["label"] for line in decided] == [output.label for output in outputs()]
    for line, scores in zip(decided, SCORED, strict=True):
        assert np.array_equal(np.array(list(line["scores"].values()), np.float32), scores)
        assert line["latency"] == {"algorithmic": 0.2, "queue": 0.0001, "compute": 0.0002}
    assert decided[1]["filled"] == 3 and decided[2]["dropped"] == 1 and decided[3]["time"] == 0.5


def test_jsonl_to_a_file_and_to_the_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed(f"jsonl:{tmp_path}/deep/out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "deep" / "out.jsonl").read_text().splitlines()]
    check(lines)
    assert lines[0]["type"] == "start" and lines[0]["labels"] == ["rest", "fist"]
    assert lines[-2] == {"type": "notice", "kind": "gap", "time": 0.3, "text": "3 samples were lost"}
    assert lines[-1]["type"] == "end" and lines[-1]["outputs"] == 6 and lines[-1]["dropped"] == 1
    feed("jsonl")
    check([json.loads(line) for line in capsys.readouterr().out.splitlines()])


def test_file_is_a_table(tmp_path: Path) -> None:
    feed(f"file:{tmp_path}/out.csv")
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert rows[0] == ["time", "end", "latency", "filled", "dropped", "label", "rest", "fist"]
    assert [row[5] for row in rows[1:]] == [output.label for output in outputs()]
    assert np.array_equal(np.array([row[6:] for row in rows[1:]], np.float32), np.stack(SCORED))


def test_udp_sends_a_packet_a_decision() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(LONG_S)
        feed(f"udp:127.0.0.1:{listener.getsockname()[1]}")
        check([json.loads(listener.recv(65536)) for _ in SCORED])


def test_tcp_sends_lines_and_never_waits() -> None:
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    got.extend(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        feed(f"tcp:127.0.0.1:{port}")
        thread.join(LONG_S)
    lines = [json.loads(line) for line in got.splitlines()]
    check(lines)
    assert lines[-1]["type"] == "end"
    with socket.socket() as taken:  # by nobody who listens: the decoder goes on
        taken.bind(("127.0.0.1", 0))
        channel = feed(f"tcp:127.0.0.1:{taken.getsockname()[1]}")
    assert channel.outbox.left_out == 8


def test_tcp_does_not_wait_for_a_connection_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that answers no more callers, as a host behind a firewall, until it does."""
    monkeypatch.setattr("myoflow.live.sinks.tcp.FIRST_S", 0.0)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        callers = [socket.socket() for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(place)
        channel: Any = parse(f"tcp:127.0.0.1:{place[1]}", SINKS).open(TAKEN, GIVEN)
        for output in outputs()[:3]:
            channel.write(output)
        assert channel.outbox.waiting and not channel.outbox.left_out
        for caller in callers:
            caller.close()
        listener.settimeout(LONG_S)
        got = b""
        while not got:
            connection, _ = listener.accept()
            connection.settimeout(LONG_S)
            channel.write(outputs()[3])
            got = connection.recv(1 << 16)
    assert [json.loads(line)["label"] for line in got.splitlines()[:3]] == [o.label for o in outputs()[:3]]
    channel.close(None)


def test_tcp_to_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no host 'no\.such\.host\.invalid'"):
        parse("tcp:no.such.host.invalid:9000", SINKS).open(TAKEN, GIVEN)


def test_wav_holds_the_signal(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(scale=1e-5, size=(2, 900)).astype(np.float32)
    spec = Spec.signal(2, 1000.0)
    pieces = [Output(x[:, at : at + 7], spec, 0.0, 0.0, Latency(0, 0, 0)) for at in range(0, 900, 7)]
    feed(f"wav:{tmp_path}/out.wav?scale=1000", spec, pieces)
    rate, found = wavfile.read(tmp_path / "out.wav")
    assert rate == 1000 and found.dtype == np.float32 and np.array_equal(found.T, x * np.float32(1000))
    channel = parse(f"wav:{tmp_path}/open.wav", SINKS).open(spec, spec)
    for piece in pieces[:70]:
        channel.write(piece)
    rate, found = wavfile.read(tmp_path / "open.wav")  # never closed: the header was kept up to date
    assert len(found) >= 64 * 7
    with pytest.raises(InputError, match="/dev/null: a WAV file's header is written last; give the name of a file"):
        parse("wav:/dev/null", SINKS).open(spec, spec)
    with pytest.raises(InputError, match="stop before the windows with --until"):
        parse(f"wav:{tmp_path}/no.wav", SINKS).open(TAKEN, GIVEN)


@pytest.mark.skipif(importlib.util.find_spec("pylsl") is None, reason="needs pylsl")
def test_lsl_gives_scores_and_decisions() -> None:
    import pylsl

    name = f"out-{uuid.uuid4().hex[:8]}"
    channel = parse(f"lsl:{name}", SINKS).open(TAKEN, GIVEN)
    inlets = []
    for wanted in (name, f"{name}-decisions"):
        (info,) = pylsl.resolve_byprop("name", wanted, 1, LONG_S)
        inlets.append(pylsl.StreamInlet(info))
        inlets[-1].open_stream(timeout=LONG_S)
    assert inlets[0].info().nominal_srate() == pytest.approx(10)
    for outlet in (channel._outlet, channel._markers):  # type: ignore[attr-defined]
        assert outlet.wait_for_consumers(LONG_S)
    for output in outputs():
        channel.write(output)
    for output in outputs():
        scores, _ = inlets[0].pull_sample(timeout=LONG_S)
        marker, _ = inlets[1].pull_sample(timeout=LONG_S)
        assert np.array_equal(np.array(scores, np.float32), output.values) and marker == [output.label]
    for inlet in inlets:
        inlet.close_stream()
    channel.close(None)


def test_terminal_says_each_change_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    feed("terminal")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:2]] == ["rest", "fist"] and "gap: 3 samples were lost" in lines[2]


def test_terminal_draws_traces_decision_and_latency() -> None:
    from rich.console import Console

    from myoflow.live.sinks.terminal import View

    view = View(1.0, TAKEN, GIVEN)
    try:
        rng = np.random.default_rng(0)
        for output in outputs():
            view.signal(rng.normal(scale=1e-5, size=(2, 100)).astype(np.float32))
            view.write(output)
        view.notice(Notice("gap", 0.3, "3 samples were lost"))
        console = Console(width=140, record=True, file=io.StringIO())
        console.print(view.picture())
        text = console.export_text()
    finally:
        view.close(None)
    assert "E1" in text and "█" in text and "0.70 s  fist" in text and "3 samples were lost" in text
    assert "200 ms by design, added p50 0.30" in text and "1 windows dropped" in text


@pytest.mark.parametrize(
    "text, message",
    [
        ("jsnl:x", "there is no sink 'jsnl'; did you mean 'jsonl'?"),
        ("udp:here", "'here' is no address; write HOST:PORT"),
        ("wav", "sink wav needs an address"),
        ("file:/proc/nowhere/x.csv", "/proc/nowhere"),
        ("wav:x.wav?scale=0", "scale must be above 0"),
    ],
)
def test_wrong_sinks_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, SINKS).open(TAKEN, GIVEN)
    assert message in str(error.value)


def test_every_sink_takes_what_a_signal_pipeline_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of signal through each sink that writes files, from a real session."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    pipeline = mf.Pipeline([mf.Rectify()])
    for name in ("jsonl:a.jsonl", "file:a.csv", "wav:a.wav"):
        session = mf.stream(pipeline, iter([x[:, :100], x[:, 100:]]), spec=TAKEN)
        assert session.decoder.output.dims == SIGNAL
        channel = parse(name, SINKS).open(TAKEN, session.decoder.output)
        for output in session:
            channel.write(output)
        channel.close(session.summary)
    table = np.loadtxt("a.csv", delimiter=",", skiprows=1, dtype=np.float32)
    np.testing.assert_allclose(table[:, 0], np.arange(300) / 1000, atol=1e-6)
    assert np.array_equal(table[:, 1:].T, np.abs(x))
    lines = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    values = np.concatenate(
        [np.array(line["values"], np.float32) for line in lines if line["type"] == "signal"], axis=1
    )
    assert np.array_equal(values, np.abs(x))
    assert np.array_equal(wavfile.read("a.wav")[1].T, np.abs(x))
