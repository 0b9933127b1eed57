"""tcp: lines of JSON to a program that listens."""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from myoflow.errors import InputError
from myoflow.live.lines import line_of
from myoflow.live.outbox import Outbox
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.live.sources.tcp import host_and_port
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.live.output import Notice, Output
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec

FIRST_S = 0.2  # that the first connection may take
RETRY_S = 1.0


@SINKS.add("tcp")
@frozen
class TcpLines(Sink):
    """The lines of the `jsonl` sink to `HOST:PORT`, with notices and the summary.

    The decoder never waits for the receiver: it is connected to again every second while it is away, and lines that it
    is too slow for are left out, whole, and told.
    """

    address: str

    def open(self, taken: Spec, given: Spec) -> Channel:
        host, port = host_and_port(self.address, "127.0.0.1")
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise InputError(f"sink tcp: there is no host '{host}' ({error.strerror or error})") from None
        return _Lines(_Receiver(places))


class _Lines(Quiet):
    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self.outbox = Outbox(self._send, receiver.close)
        receiver.first(FIRST_S)

    def write(self, output: Output) -> None:
        self._say(line_of(output))

    def notice(self, notice: Notice) -> None:
        self._say({"type": "notice", "kind": notice.kind, "time": notice.at_s, "text": notice.text})

    def close(self, summary: Summary | None) -> None:
        if summary is not None:
            self._say({"type": "end", **summary.plain()})
        self.outbox.close()

    def _say(self, value: dict[str, Any]) -> None:
        if self._receiver.there():
            self.outbox.put(json.dumps(value).encode() + b"\n")
        else:
            self.outbox.lose()
            self.outbox.leave_out()

    def _send(self, data: bytes) -> int:
        try:
            return self._receiver.send(data)
        except OSError:
            # What was handed to the system before may be lost as well; nobody can know.
            self._receiver.close()
            self.outbox.lose()
            return 0


class _Receiver:
    """A connection that nobody waits for: it is asked for every RETRY_S while there is none."""

    def __init__(self, places: Sequence[tuple[Any, ...]]) -> None:
        self._places = deque(places)  # a name may stand for several, of which one answers
        self._socket: socket.socket | None = None
        self._joining = False
        self._tried = 0.0

    def first(self, patience_s: float) -> None:
        """Ask each place for a connection, and wait so long for it."""
        for _ in range(len(self._places)):
            self._connect(patience_s)
            if self._socket is not None:
                return

    def _connect(self, patience_s: float) -> None:
        family, kind, protocol, _, place = self._places[0]
        self._places.rotate(-1)
        self._tried, self._joining = time.monotonic(), True
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(patience_s)
        try:
            self._socket.connect(place)
            self._joining = False
        except (BlockingIOError, TimeoutError):
            pass  # it may still come
        except OSError:
            self.close()
        if self._socket is not None:
            self._socket.setblocking(False)

    def there(self) -> bool:
        """Whether there is a connection, or one is on its way."""
        if self._socket is None and time.monotonic() - self._tried >= RETRY_S:
            self._connect(0.0)
        if self._socket is not None and self._joining and self._writable():
            self._joining = False
            if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
        return self._socket is not None

    def send(self, data: bytes) -> int:
        """How many bytes went. Raises OSError: the connection is gone."""
        if not self.there() or self._joining or self._socket is None:
            return 0
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _writable(self) -> bool:
        poll = select.poll()
        poll.register(self._socket or -1, select.POLLOUT)
        return bool(poll.poll(0))
