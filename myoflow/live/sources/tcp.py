"""tcp: frames from a socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from myoflow.errors import InputError
from myoflow.live.framed import Framed
from myoflow.live.source import SOURCES, Connection, Context, Lost, Source
from myoflow.typed import Hz, Seconds, frozen

if TYPE_CHECKING:
    from collections.abc import Callable


@SOURCES.add("tcp")
@frozen
class Tcp(Source):
    """Frames (docs/live.md) from `HOST:PORT`, or with `listen=true` from whoever connects to `PORT` here.

    A connection that breaks is opened again. `rate`, `units` and `gain` stand in for a description that the sender
    does not send; `channels` chooses, as in `1..8` or `E1,E3`.
    """

    address: str
    listen: bool = False
    timeout: Seconds = 5.0
    rate: Hz | None = None
    units: str | None = None
    gain: float | None = None
    channels: str | None = None

    def open(self, context: Context) -> Connection:
        host, port = host_and_port(self.address, "" if self.listen else None)
        place = f"tcp:{self.address}"
        connection = self._accept(host, port, place) if self.listen else self._connect(host, port, place)
        return Framed(
            receiver(connection, place),
            connection.close,
            place,
            rate=self.rate,
            units=self.units,
            gain=self.gain,
            channels=self.channels,
        )

    def _connect(self, host: str, port: int, place: str) -> socket.socket:
        try:
            return socket.create_connection((host, port), self.timeout)
        except OSError as error:
            raise Lost(f"{place} does not answer ({error.strerror or error})") from None

    def _accept(self, host: str, port: int, place: str) -> socket.socket:
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((host, port))
            except OSError as error:
                raise InputError(f"{place}: cannot listen there ({error.strerror or error})") from None
            server.listen(1)
            server.settimeout(self.timeout)
            try:
                return server.accept()[0]
            except TimeoutError:
                raise Lost(f"{place}: nobody connected within {self.timeout:g} s") from None


def host_and_port(address: str, default: str | None) -> tuple[str, int]:
    """`HOST:PORT` in parts; `PORT` alone where there is a default host. Raises InputError."""
    host, _, port = address.rpartition(":")
    if not host and default is not None:
        host = default
    if not port.isdigit() or not 0 < int(port) < 65536 or (not host and default is None):
        raise InputError(f"'{address}' is no address; write HOST:PORT, such as 192.168.4.1:9000")
    return host.strip("[]"), int(port)


def receiver(connection: socket.socket, place: str) -> Callable[[float], bytes]:
    """A function that gives the next bytes of a socket, none after the timeout."""

    def receive(timeout_s: float) -> bytes:
        connection.settimeout(max(timeout_s, 1e-3))
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            return b""
        except OSError as error:
            raise Lost(f"{place} broke off ({error.strerror or error})") from None
        if not data:
            raise Lost(f"{place} was closed by the sender")
        return data

    return receive
