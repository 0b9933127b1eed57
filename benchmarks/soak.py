"""Two bad sources at once: gaps, bursts, swapped and damaged frames, a clock that is off, senders that die and return.

    python benchmarks/soak.py [--minutes 10]

Two sessions run in one process, each from a real sender over loopback: one over TCP (8 channels at 1 kHz, a clock 200
ppm fast, frames that count), one over LSL (4 channels at 500 Hz, a clock 200 ppm slow, time stamps). The senders keep
books. At the end: were all lost samples told (TCP to the sample; LSL, which does not count samples, within its jitter),
are the times of outputs rising, does every window hold what was sent, was the drift found.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

sys.path.insert(0, str(Path(__file__).parents[1]))

import myoflow as mf
from myoflow.live import frames
from myoflow.live.output import Output
from myoflow.live.session import Session
from myoflow.pipeline import Pipeline

PPM = 200e-6
CHUNK_S = 0.02


@define
class Books:
    """What a sender did."""

    sent: int = 0
    lost: int = 0
    troubles: dict[str, int] = field(factory=dict)

    def note(self, kind: str, lost: int = 0) -> None:
        self.troubles[kind] = self.troubles.get(kind, 0) + 1
        self.lost += lost


def values(first: int, count: int, channels: int) -> np.ndarray:
    """`(channel, time)` whose numbers tell which samples they are: 20 bits of the count, in two channels and again."""
    number = np.arange(first, first + count)
    return np.stack([((number >> (10 * (c % 2))) & 1023) + 1 for c in range(channels)]).astype(np.int16)


def numbers(x: np.ndarray) -> np.ndarray:
    """The count of each sample (modulo 2^20)."""
    whole = np.rint(x[:2]).astype(np.int64) - 1
    return whole[0] + (whole[1] << 10)


class Sender(threading.Thread):
    """A device of `channels` at `rate`, whose clock is off by `ppm`, in trouble about every `each` seconds."""

    def __init__(self, rate: float, channels: int, ppm: float, seconds: float, each: float, dies: float) -> None:
        super().__init__(daemon=True)
        self.rate, self.channels, self.true_rate = rate, channels, rate * (1 + ppm)
        self.seconds, self.each, self.dies = seconds, each, dies
        self.rng = np.random.default_rng(round(rate))
        self.books, self.done = Books(), threading.Event()
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            self.connect()
            self.play()
        except Exception as error:  # told by the main thread
            self.failed = error
        finally:
            self.done.set()

    def play(self) -> None:
        """Chunk after chunk at the true rate, until the time is over."""
        began = time.perf_counter()
        count, chunk = 0, round(CHUNK_S * self.rate)
        trouble, death = began + self.next(self.each), began + self.next(self.dies)
        kinds = ("gap", "burst", *self.kinds)
        while count / self.rate < self.seconds:
            now = time.perf_counter()
            kind = ""
            if now > death:
                kind, death = "death", now + self.next(self.dies)
            elif now > trouble:
                kind, trouble = str(self.rng.choice(kinds)), now + self.next(self.each)
            if kind == "gap":
                lost = int(self.rng.uniform(0.15, 0.6) * self.rate)
                self.books.note(kind, lost)
                count += lost
            elif kind == "burst":
                self.books.note(kind)
                time.sleep(self.rng.uniform(0.1, 0.8))
            elif kind == "death":
                self.die()
                lost = max(0, int((time.perf_counter() - began) * self.true_rate) - count)
                self.books.note(kind, lost)
                count += lost
            part = values(count, chunk, self.channels)
            due = began + (count + chunk) / self.true_rate
            time.sleep(max(0.0, due - time.perf_counter()))
            self.send(part, count, due, kind)
            self.books.sent += chunk
            count += chunk
        self.finish()

    def next(self, mean: float) -> float:
        return float(mean * self.rng.uniform(0.5, 1.5))

    kinds: tuple[str, ...] = ()

    def connect(self) -> None: ...
    def die(self) -> None: ...
    def finish(self) -> None: ...
    def send(self, part: np.ndarray, first: int, due: float, kind: str) -> None: ...


class TcpSender(Sender):
    """Frames over TCP; swaps, repeats and damages some as well."""

    kinds = ("swap", "twice", "damage")

    def __init__(self, **settings: Any) -> None:
        super().__init__(rate=1000.0, channels=8, ppm=PPM, **settings)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.source = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        self.held: bytes | None = None

    def connect(self) -> None:
        self.listener.settimeout(60)
        self.connection, _ = self.listener.accept()
        hello = frames.description([f"E{i + 1}" for i in range(self.channels)], self.rate, "V")
        self.connection.sendall(hello)

    def die(self) -> None:
        self.flush()
        self.connection.close()
        time.sleep(self.rng.uniform(0.5, 2.5))
        self.connect()

    def flush(self) -> None:
        if self.held is not None:
            self.connection.sendall(self.held)
            self.held = None

    def send(self, part: np.ndarray, first: int, due: float, kind: str) -> None:
        wire = frames.samples(part, first)
        if kind == "swap":
            self.books.note(kind)
            self.held = wire  # goes behind the next one
            return
        if kind == "damage":
            self.books.note(kind, part.shape[1])
            at = int(self.rng.integers(len(wire)))
            wire = wire[:at] + bytes([wire[at] ^ 0xFF]) + wire[at + 1 :]
        self.connection.sendall(wire)
        if kind == "twice":
            self.books.note(kind)
            self.connection.sendall(wire)
        self.flush()

    def finish(self) -> None:
        self.flush()
        self.connection.sendall(frames.end())
        self.connection.close()


class LslSender(Sender):
    """An LSL outlet with stamps of its own clock; dies and returns as the same stream."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(rate=500.0, channels=4, ppm=-PPM, **settings)
        self.name = f"soak-{uuid.uuid4().hex[:8]}"
        self.source = f"lsl:{self.name}?timeout=60 s"
        self.ready = threading.Event()

    def connect(self) -> None:
        import pylsl

        info = pylsl.StreamInfo(self.name, "EMG", self.channels, self.rate, "int16", f"{self.name}-id")
        channels = info.desc().append_child("channels")
        for i in range(self.channels):
            channel = channels.append_child("channel")
            channel.append_child_value("label", f"E{i + 1}").append_child_value("unit", "V")
        self.outlet: Any = pylsl.StreamOutlet(info)
        self.ready.set()
        self.outlet.wait_for_consumers(60)
        self.offset = pylsl.local_clock() - time.perf_counter()

    def die(self) -> None:
        time.sleep(0.3)  # LSL gives what it has taken
        del self.outlet
        time.sleep(self.rng.uniform(0.5, 2.5))
        self.connect()

    def send(self, part: np.ndarray, first: int, due: float, kind: str) -> None:
        self.outlet.push_chunk(part.T.tolist(), due + self.offset)

    def finish(self) -> None:
        time.sleep(0.5)


@define
class Watch:
    """Follows one session, and checks every window."""

    sender: Sender
    session: Session
    outputs: int = 0
    checked: int = 0
    wrong: list[str] = field(factory=list)
    error: str = ""
    last_s: float = -1.0

    def run(self) -> None:
        threading.Thread(target=self._stop, daemon=True).start()
        try:
            for output in self.session:
                self.see(output)
        except Exception as error:  # a crash is what we look for
            self.error = f"{type(error).__name__}: {error}"

    def _stop(self) -> None:
        self.sender.done.wait()
        time.sleep(5.0)  # for what is on its way; frames over TCP have an end of their own
        self.session.stop()

    def see(self, output: Output) -> None:
        self.outputs += 1
        if output.time_s <= self.last_s:
            self.wrong.append(f"time fell from {self.last_s} to {output.time_s}")
        self.last_s = output.time_s
        if output.filled:
            return
        self.checked += 1
        steps = np.diff(numbers(output.values))
        if not np.all((steps == 1) | (steps == 1 - (1 << 20))):
            self.wrong.append(f"the window that ends at {output.end_s:.3f} s is not one stretch of what was sent")


def soak(seconds: float, each: float = 3.0, dies: float = 40.0, lsl: bool = True) -> list[Watch]:
    """Run both for `seconds`, with trouble every `each` and a death every `dies` seconds or so."""
    senders: list[Sender] = [TcpSender(seconds=seconds, each=each, dies=dies)]
    if lsl:
        senders.append(LslSender(seconds=seconds, each=each, dies=dies))
    watches = []
    for sender in senders:
        sender.start()
        if isinstance(sender, LslSender):
            sender.ready.wait(60)
        pipeline = Pipeline([mf.Window(length="100 ms", stride="50 ms")])
        session = mf.stream(pipeline, sender.source, notice=lambda notice: None)  # type: ignore[attr-defined]
        watches.append(Watch(sender, session))
    threads = [threading.Thread(target=watch.run) for watch in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
        assert not thread.is_alive(), "a session does not end"
    return watches


def report(watch: Watch) -> list[str]:
    """What happened to one source."""
    books, summary = watch.sender.books, watch.session.summary
    told = summary.samples.get("gap", 0)
    lines = [
        f"{type(watch.sender).__name__}: {summary.wall_s:.0f} s, sent {books.sent:,}, taken {summary.taken:,}, "
        f"troubles {books.troubles}",
        f"  lost {books.lost:,} samples, told {told:,} ({100 * (told / max(1, books.lost) - 1):+.2f} %); "
        f"events {summary.events}",
        f"  {watch.outputs:,} windows, {watch.checked:,} without filled samples all checked, {len(watch.wrong)} wrong; "
        f"dropped {summary.dropped}",
    ]
    if summary.drift_ppm is not None:
        lines.append(f"  drift {summary.drift_ppm:+.0f} ± {summary.drift_error_ppm:.0f} ppm")
    lines += [f"  {wrong}" for wrong in watch.wrong[:5]]
    if watch.error or watch.sender.failed:
        lines.append(f"  broke: {watch.error or watch.sender.failed}")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        for one in soak(60 * given.minutes):
            print("\n".join(report(one)))
