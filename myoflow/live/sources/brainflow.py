"""brainflow: boards that BrainFlow knows, and its synthetic one."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from attrs import evolve

from myoflow.errors import InputError, did_you_mean
from myoflow.live.block import Block, Signal, choose, stamped
from myoflow.live.source import SOURCES, Connection, Context, Lost, Source
from myoflow.typed import Hz, Seconds, frozen

if TYPE_CHECKING:
    from types import ModuleType

    from myoflow.dsp.kernel import Array

# Boards that number their packets from 0 to 255 and over again, one packet a sample.
COUNTED = {"SYNTHETIC_BOARD": 256, "CYTON_BOARD": 256}


@SOURCES.add("brainflow")
@frozen
class Brainflow(Source):
    """A board by its BrainFlow name, such as `cyton` or `synthetic`; `port`, `mac`, `ip` as the board needs them.

    The board's EMG channels, in microvolts; `channels` chooses among them, as in `1..4`. Samples are asked for every
    `poll`. Boards that number their packets show every lost sample, others by their time stamps.
    """

    address: str
    port: str = ""
    mac: str = ""
    ip: str = ""
    ip_port: int = 0
    poll: Seconds = 0.02
    rate: Hz | None = None
    channels: str | None = None

    def open(self, context: Context) -> Connection:
        try:
            from brainflow import board_shim
        except ImportError:
            raise InputError("boards need brainflow: pip install 'myoflow[live]'") from None
        names = {board.name for board in board_shim.BoardIds}
        wanted = self.address.upper()
        name = wanted if wanted in names else f"{wanted}_BOARD"
        if name not in names:
            short = [n.removesuffix("_BOARD").lower() for n in names]
            raise InputError(f"BrainFlow has no board '{self.address}'{did_you_mean(self.address.lower(), short)}")
        return _Board(board_shim, self, name)


class _Board:
    def __init__(self, shim: ModuleType, source: Brainflow, name: str) -> None:
        shim.BoardShim.disable_board_logger()
        number = shim.BoardIds[name].value
        told: dict[str, Any] = shim.BoardShim.get_board_descr(number)
        self._rows = told.get("emg_channels") or told.get("exg_channels") or []
        if not self._rows:
            raise InputError(f"BrainFlow's board {name} has no EMG channels")
        parameters = shim.BrainFlowInputParams()
        parameters.serial_port, parameters.mac_address = source.port, source.mac
        parameters.ip_address, parameters.ip_port = source.ip, source.ip_port
        self._error = shim.BrainFlowError
        self._name, self._poll = name, source.poll
        self._stamp, self._packet = told.get("timestamp_channel"), told.get("package_num_channel")
        self._wrap = COUNTED.get(name) if self._packet is not None else None
        self._next: int | None = None
        self._board = shim.BoardShim(number, parameters)
        try:
            self._board.prepare_session()
            self._board.start_stream()
        except self._error as error:
            self.close()
            raise Lost(f"the board {name} does not answer ({error})") from None
        channels = tuple(f"ch{i + 1}" for i in range(len(self._rows)))
        signal = Signal(
            channels,
            float(source.rate or told["sampling_rate"]),
            "uV",
            clock="count" if self._wrap else "stamp",
        )
        if source.channels is not None:
            rows = choose(signal, source.channels)
            self._rows = [self._rows[row] for row in rows]
            signal = evolve(signal, channels=tuple(channels[row] for row in rows), gain=(1.0,) * len(rows))
        self.signal = signal
        self._pieces: list[Block] = []

    def read(self, timeout_s: float) -> Block | None:
        if self._pieces:
            return self._pieces.pop(0)
        until = time.perf_counter() + timeout_s
        while True:
            time.sleep(min(self._poll, timeout_s))
            try:
                data = self._board.get_board_data()
            except self._error as error:
                raise Lost(f"the board {self._name} is gone ({error})") from None
            if data.shape[1]:
                self._pieces = self._blocks(data, time.perf_counter())
                return self._pieces.pop(0)
            if time.perf_counter() >= until:
                return None

    def close(self) -> None:
        if self._board.is_prepared():
            self._board.release_session()

    def _blocks(self, data: Array, arrived_s: float) -> list[Block]:
        """Blocks without a hole inside: packets that do not follow on one another part them."""
        import numpy as np

        values = np.ascontiguousarray(data[self._rows], np.float32)
        stamps = data[self._stamp] if self._stamp is not None else None
        if self._wrap is None or self._packet is None:
            if stamps is None:
                return [Block(values, arrived_s)]
            return stamped(values, stamps, arrived_s, self.signal)
        packets = data[self._packet].astype(np.int64)
        before = packets[0] - 1 if self._next is None else self._next - 1
        numbers = before + np.cumsum((np.diff(packets, prepend=before) - 1) % self._wrap + 1)
        self._next = int(numbers[-1]) + 1
        edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        return [Block(values[:, a:b], arrived_s, first=int(numbers[a])) for a, b in pairwise(edges)]
