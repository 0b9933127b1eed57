"""udp: one packet of JSON for every decision."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from myoflow.errors import InputError
from myoflow.live.lines import line_of
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.live.sources.tcp import host_and_port
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.live.output import Output
    from myoflow.spec import Spec


@SINKS.add("udp")
@frozen
class Udp(Sink):
    """The lines of the `jsonl` sink as packets to `HOST:PORT`: a game, a prosthesis. Nobody need listen.

    Outputs that fit no packet (above 60 kB) are refused at the start.
    """

    address: str

    def open(self, taken: Spec, given: Spec) -> Channel:
        host, port = host_and_port(self.address, "127.0.0.1")
        size = 24
        for number in given.sizes:
            size *= number or 1
        if size > 60_000:
            raise InputError(f"sink udp: an output of {given.describe()} does not fit into a packet; use tcp")
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise InputError(f"sink udp: there is no host '{host}' ({error.strerror or error})") from None
        return _Packets(socket.socket(family, kind, protocol), place)


class _Packets(Quiet):
    def __init__(self, opened: socket.socket, place: Any) -> None:
        self._socket, self._place = opened, place
        self._socket.setblocking(False)

    def write(self, output: Output) -> None:
        with contextlib.suppress(OSError):  # nobody there, or no room: the next one is newer anyway
            self._socket.sendto(json.dumps(line_of(output)).encode(), self._place)

    def close(self, summary: object) -> None:
        self._socket.close()
