"""tcp: lines of JSON to a program that listens."""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from myoflow.live.lines import line_of
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.live.sources.tcp import host_and_port
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.live.output import Notice, Output
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec

MOST = 1 << 20  # bytes that may wait for a slow receiver
RETRY_S = 1.0


@SINKS.add("tcp")
@frozen
class TcpLines(Sink):
    """The lines of the `jsonl` sink to `HOST:PORT`, with notices and the summary.

    The decoder never waits for the receiver: it is connected to again every second while it is away, and lines that it
    is too slow for are left out, whole; how many is said at the end.
    """

    address: str

    def open(self, taken: Spec, given: Spec) -> Channel:
        return _Lines(host_and_port(self.address, "127.0.0.1"))


class _Lines(Quiet):
    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place
        self._socket: socket.socket | None = None
        self._waiting = bytearray()
        self._tried = -RETRY_S
        self._left_out = 0

    def write(self, output: Output) -> None:
        self._say(line_of(output))

    def notice(self, notice: Notice) -> None:
        self._say({"type": "notice", "kind": notice.kind, "time": notice.at_s, "text": notice.text})

    def close(self, summary: Summary | None) -> None:
        if summary is not None:
            self._say({"type": "end", **summary.plain()})
        if self._socket is not None:
            self._socket.settimeout(1.0)
            try:
                self._socket.sendall(self._waiting)
            except OSError:
                self._left_out += self._waiting.count(b"\n")
            self._socket.close()
        if self._left_out:
            host, port = self._place
            print(f"sink tcp: {self._left_out} lines did not reach {host}:{port}", file=sys.stderr)

    def _say(self, value: dict[str, Any]) -> None:
        line = json.dumps(value).encode() + b"\n"
        if not self._connected() or len(self._waiting) + len(line) > MOST:
            self._left_out += 1
        else:
            self._waiting += line
        self._send()

    def _connected(self) -> bool:
        now = time.monotonic()
        if self._socket is None and now - self._tried >= RETRY_S:
            self._tried = now
            try:
                self._socket = socket.create_connection(self._place, timeout=0.2)
                self._socket.setblocking(False)
            except OSError:
                self._socket = None
        return self._socket is not None

    def _send(self) -> None:
        if self._socket is None or not self._waiting:
            return
        try:
            sent = self._socket.send(self._waiting)
            del self._waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            # What was handed to the system before may be lost as well; nobody can know.
            self._left_out += self._waiting.count(b"\n")
            self._waiting.clear()
            self._socket.close()
            self._socket = None
