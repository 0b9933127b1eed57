"""Intake: a thread that takes blocks from a source at once, so that a slow decoder does not stop it."""

from __future__ import annotations

import threading
import time
from collections import deque

from attrs import evolve, frozen

from myoflow.errors import InputError, MyoflowError
from myoflow.live.block import Block, Signal
from myoflow.live.source import Connection, Context, Ended, Lost, Source

QUEUE_S = 10.0  # signal that may wait here; above it the newest is thrown away, and counted
AHEAD_S = 1.0  # a source that waits for us is asked for no more than this in advance
POLL_S = 0.05
RETRY_S = 0.5


@frozen
class Returned:
    """The source was gone for `seconds` and has come back."""

    seconds: float


@frozen
class Gone:
    """The source is gone; it is being looked for."""

    why: str


Item = Block | Returned | Gone


class Intake:
    """Reads `source` in a thread from `start` on; `take` gives what has come since.

    A source that is lost is opened again every half second, for up to `patience_s`.
    """

    def __init__(self, source: Source, connection: Connection, context: Context, patience_s: float = 30.0) -> None:
        self.source, self._connection, self._context = source, connection, context
        self.signal: Signal = connection.signal
        self._patience = patience_s
        self._items: deque[Item] = deque()
        self._samples = 0
        self._changed = threading.Condition()
        self._stop = False
        self._over = False
        self._error: Exception | None = None
        self.lost = 0  # samples thrown away since the last block that found room
        limit = AHEAD_S if source.waits else QUEUE_S
        self._limit = max(1, round(limit * self.signal.rate_hz * (self.signal.pace or 1.0)))
        self._thread = threading.Thread(target=self._run, name=f"myoflow source {source.name}", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def take(self, timeout_s: float = POLL_S) -> list[Item] | None:
        """What has come, at most a second of signal; empty after the timeout, None when there will be nothing more.

        Raises:
            MyoflowError: the source broke.
        """
        with self._changed:
            if not self._items and not self._over:
                self._changed.wait(timeout_s)
            found: list[Item] = []
            samples, most = 0, self.signal.rate_hz * (self.signal.pace or 1.0)
            while self._items and samples < most:
                item = self._items.popleft()
                samples += item.values.shape[1] if isinstance(item, Block) else 0
                found.append(item)
            self._samples -= samples
            if samples:
                self._changed.notify_all()
            if found or not self._over:
                return found
        if self._error is not None:
            raise self._error
        return None

    @property
    def backlog(self) -> bool:
        """Whether more waits than `take` has given."""
        return bool(self._items)

    def close(self) -> None:
        """Stop reading and let go of the source."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        self._connection.close()

    def _run(self) -> None:
        try:
            while not self._stop:
                try:
                    block = self._connection.read(POLL_S)
                except Lost as error:
                    self._put(Gone(str(error)))
                    self._return(error)
                    continue
                if block is None or not block.values.shape[1]:
                    continue
                self._add(block)
        except Ended:
            pass
        except Exception as error:  # told where the stream is read, not in this thread
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _add(self, block: Block) -> None:
        """Queue a block, or wait, or throw it away where nobody can wait."""
        count = int(block.values.shape[1])
        with self._changed:
            if self.source.waits:
                while self._samples and self._samples + count > self._limit and not self._stop:
                    self._changed.wait(POLL_S)
            elif self._samples and self._samples + count > self._limit:
                self.lost += count
                return
            self._items.append(evolve(block, lost=self.lost) if self.lost else block)
            self.lost = 0
            self._samples += count
            self._changed.notify_all()

    def _put(self, item: Item) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def _return(self, reason: Lost) -> None:
        """Open the source again. Raises MyoflowError when it stays away."""
        self._connection.close()
        since = time.perf_counter()
        while not self._stop:
            if time.perf_counter() - since > self._patience:
                raise MyoflowError(f"{reason}, and did not come back within {self._patience:g} s")
            try:
                connection = self.source.open(self._context)
            except Lost:
                time.sleep(RETRY_S)
                continue
            self._connection = connection
            # What the numbers are stored as may not be known before the first of them has come.
            if evolve(connection.signal, dtype=self.signal.dtype) != self.signal:
                raise InputError(f"{reason}, and came back as something else: {connection.signal}")
            self._put(Returned(time.perf_counter() - since))
            return
