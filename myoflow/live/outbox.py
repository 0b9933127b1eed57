"""Outbox: what a sink has said and its receiver has not yet taken; the decoder does not wait for that."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from myoflow.errors import InputError

MOST = 1 << 20  # bytes that may wait for a slow receiver
CLOSING_S = 1.0  # that a receiver has at the end
_FILE, _TERMINAL = 1 << 16, 256  # bytes at a time; a terminal that is ready may have room for no more
_LOOK_S = 0.005


def _never() -> bool:
    return False


class Outbox:
    """Messages in their order, each whole or left out. `send` takes some bytes and gives how many went, 0 if none can.

    Up to MOST bytes wait. What finds no room is left out and counted (`left_out`), unless `patient()` says that the
    source waits for us: then its signal waits as well, and nothing is lost.
    """

    def __init__(self, send: Callable[[bytes], int], close: Callable[[], None] = lambda: None) -> None:
        self._send, self._close = send, close
        self._waiting = bytearray()
        self._sizes: deque[int] = deque()
        self._closed = False
        self.left_out = 0
        self.went = True  # the newest message, or it waits
        self.patient: Callable[[], bool] = _never

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return len(self._waiting)

    def put(self, message: bytes) -> None:
        """Send a message, or let it wait. Raises OSError when the receiver is gone."""
        if self._closed:  # its file's number may be another's by now
            self.leave_out()
            return
        self.push()
        while self._full(message) and self.patient():
            time.sleep(_LOOK_S)
            self.push()
        if self._full(message):
            self.leave_out()
            return
        self.went = True
        self._waiting += message
        self._sizes.append(len(message))
        self.push()

    def push(self) -> None:
        """Send of what waits what the receiver takes. Raises OSError when it is gone."""
        while self._waiting:
            sent = self._send(bytes(self._waiting[:_FILE]))
            if not sent:
                return
            del self._waiting[:sent]
            while self._sizes and sent >= self._sizes[0]:
                sent -= self._sizes.popleft()
            if sent:
                self._sizes[0] -= sent

    def leave_out(self) -> None:
        """A message that nobody takes."""
        self.left_out += 1
        self.went = False

    def lose(self) -> None:
        """What waits has no receiver any more."""
        self.left_out += len(self._sizes)
        self._waiting.clear()
        self._sizes.clear()

    def close(self) -> None:
        """Give the receiver a last moment, then let go of it. Raises OSError when it is gone."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + CLOSING_S
        try:
            self.push()
            while self._waiting and time.monotonic() < until:
                time.sleep(_LOOK_S)
                self.push()
        finally:
            self.lose()
            self._close()

    def _full(self, message: bytes) -> bool:
        return bool(self._waiting) and len(self._waiting) + len(message) > MOST


def to_stdout() -> Outbox:
    """The standard output, be it a terminal, a file, or a pipe whose reader may stand still."""
    return _to(sys.stdout)


def to_file(path: Path, *, append: bool = False) -> Outbox:
    """A file, or a named pipe. Folders above it are made.

    Raises:
        InputError: it cannot be written, or is a pipe that nobody reads.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | (os.O_APPEND if append else os.O_TRUNC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo() and not _read(path):
            raise InputError(f"{path}: is a pipe that nobody reads; start its reader first")
        number = os.open(path, flags, 0o666)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return Outbox(_sender(number), lambda: os.close(number))


def ready(stream: IO[str]) -> bool:
    """Whether a stream takes something at once; one of Python's own always does."""
    try:
        return bool(_poll(stream.fileno()).poll(0))
    except (OSError, ValueError):
        return True


def aside(text: str) -> None:
    """A line on the standard error, which may be the very pipe whose reader stands still: then it is left out."""
    if ready(sys.stderr):
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _to(stream: IO[str]) -> Outbox:
    with contextlib.suppress(OSError):
        stream.flush()
    try:
        return Outbox(_sender(stream.fileno()))
    except (OSError, ValueError):  # Python's own, in notebooks and tests
        return Outbox(lambda data: _written(stream, data))


def _written(stream: IO[str], data: bytes) -> int:
    stream.write(data.decode("utf-8", errors="replace"))
    stream.flush()
    return len(data)


def _sender(number: int) -> Callable[[bytes], int]:
    """What writes to a file's number as much as it takes without waiting."""
    kind, poll = os.fstat(number).st_mode, _poll(number)
    # A pipe that is ready takes so much at least. (Not by O_NONBLOCK: others hold the same terminal or pipe.)
    most = _FILE if stat.S_ISREG(kind) else select.PIPE_BUF if stat.S_ISFIFO(kind) else _TERMINAL

    def send(data: bytes) -> int:
        if not poll.poll(0):
            return 0
        try:
            return os.write(number, data[:most])
        except BlockingIOError:
            return 0

    return send


def _poll(number: int) -> select.poll:
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return poll


def _read(path: Path) -> bool:
    """Whether somebody has opened a named pipe for reading."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
