"""rhd: Intan's RHD2000 files, from the vendor's description of the format (RHD2000 Data File Formats, 2022).

Amplifier channels are the signal; auxiliary inputs, supply, ADC, digital lines and temperature are streams.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, scaled, smallest, unique
from myoflow.readers.source import File

_MAGIC = 0xC6912702
_KINDS = ("amplifier", "aux", "supply", "adc", "digital_in", "digital_out")
_ADC = {0: (50.354e-6, 0), 1: (152.59e-6, -32768), 13: (312.5e-6, -32768)}  # volts a count, counts to add


@frozen
class _Header:
    version: tuple[int, int]
    rate: float
    temperatures: int
    board: int
    channels: dict[str, list[tuple[str, int]]]  # kind -> (name, native order)
    end: int


class _Cursor:
    """Reads on in bytes; at the end struct.error tells it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kinds: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + kinds, self.data, self.at)
        self.at += struct.calcsize("<" + kinds)
        return values

    def text(self) -> str:
        """Qt's string: bytes of length, then UTF-16; all ones is an empty one."""
        (length,) = self.take("I")
        if length == 0xFFFFFFFF:
            return ""
        if length > len(self.data) - self.at:
            raise ValueError(f"byte {self.at}: a text of {length:,} bytes")
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-16-le", "replace")


@FORMATS.add("rhd")
class Rhd(Format):
    """Amplifier channels in Intan's counts of 0.195 uV."""

    suffixes = (".rhd",)
    what = "an Intan RHD2000 file"

    def fits(self, data: bytes) -> bool:
        return data[:4] == struct.pack("<I", _MAGIC)

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if not self.fits(data):
            raise InputError(
                f"{file.where}: is not {self.what} (byte 0)" if data else f"{file.where}: the file is empty"
            )
        try:
            header = _header(data)
        except struct.error as error:
            raise InputError(f"{file.where}: byte {len(data)}: ends inside the header") from error
        layout = _layout(header)
        size = layout.itemsize
        whole, rest = divmod(len(data) - header.end, size)
        if not header.channels["amplifier"]:
            raise InputError(f"{file.where}: has no amplifier channels")
        if rest or not whole:
            where = header.end + whole * size
            raise InputError(
                f"{file.where}: byte {where}: the last block has {rest:,} of {size:,} bytes; it is cut off"
            )
        blocks = np.frombuffer(data, layout, whole, header.end)
        times = blocks["time"].ravel().astype(np.int64)
        gaps = int(np.count_nonzero(np.diff(times) != 1))
        notes = (f"its sample counter jumps {gaps} times",) if gaps else ()
        return _signals(header, blocks, notes)


def _header(data: bytes) -> _Header:
    cursor = _Cursor(data)
    _, main, minor, rate = cursor.take("Ihhf")
    cursor.take("h6fh2f")  # filters, notch, impedance test: of the recording, stand in its notes
    for _ in range(3):
        cursor.text()
    version = (main, minor)
    temperatures = cursor.take("h")[0] if version >= (1, 1) else 0
    board = cursor.take("h")[0] if version >= (1, 3) else 0
    if main > 1:
        cursor.text()
    channels: dict[str, list[tuple[str, int]]] = {kind: [] for kind in _KINDS}
    for _ in range(cursor.take("h")[0]):
        cursor.text()
        cursor.text()
        enabled, count, _ = cursor.take("hhh")
        if not enabled:
            continue
        for _ in range(count):
            native, custom = cursor.text(), cursor.text()
            order, _, kind, used = cursor.take("hhhh")
            cursor.take("hhhhhh2f")
            if not 0 <= kind < len(_KINDS):
                raise ValueError(f"byte {cursor.at}: a signal of unknown kind {kind}")
            if used:
                channels[_KINDS[kind]].append((custom or native, order))
    if not 0 <= temperatures < 1000 or not rate > 0:
        raise ValueError(f"{temperatures} temperature sensors at {rate:g} Hz cannot be")
    return _Header(version, float(rate), temperatures, board, channels, cursor.at)


def _layout(header: _Header) -> np.dtype[Any]:
    """One block: 60 samples (128 since version 2), kind after kind, channel after channel."""
    samples = 128 if header.version[0] > 1 else 60
    count = {kind: len(names) for kind, names in header.channels.items()}
    fields: list[tuple[Any, ...]] = [
        ("time", "<i4" if header.version >= (1, 2) else "<u4", (samples,)),
        ("amplifier", "<u2", (count["amplifier"], samples)),
        ("aux", "<u2", (count["aux"], samples // 4)),
        ("supply", "<u2", (count["supply"], 1)),
        ("temperature", "<i2", (header.temperatures, 1)),
        ("adc", "<u2", (count["adc"], samples)),
        ("digital_in", "<u2", (min(1, count["digital_in"]), samples)),
        ("digital_out", "<u2", (min(1, count["digital_out"]), samples)),
    ]
    return np.dtype(fields)


def _signals(header: _Header, blocks: npt.NDArray[Any], notes: tuple[str, ...]) -> Signals:
    samples = blocks["time"].shape[1]

    def block(field: str, names: list[str], units: str, gain: float, shift: int) -> Signals:
        raw = blocks[field]
        counts = raw.transpose(1, 0, 2).reshape(raw.shape[1], -1)
        values, factor = scaled(counts, [gain] * len(names), [shift] * len(names))
        return Signals(unique(names), header.rate * raw.shape[2] / samples, (units,) * len(names), values, factor)

    names = {kind: [name for name, _ in members] for kind, members in header.channels.items()}
    names["temperature"] = [f"temperature{i + 1}" for i in range(header.temperatures)]
    adc = _ADC.get(header.board, _ADC[0])
    scales = {"aux": ("V", 37.4e-6, 0), "supply": ("V", 74.8e-6, 0), "temperature": ("C", 0.01, 0), "adc": ("V", *adc)}
    streams = {kind: block(kind, names[kind], *scale) for kind, scale in scales.items() if names[kind]}
    events: list[Mark] = []
    for kind in ("digital_in", "digital_out"):
        if names[kind]:
            word = blocks[kind].ravel().astype(np.int64)
            lines = np.stack([(word >> order) & 1 for _, order in header.channels[kind]])
            streams[kind] = Signals(
                unique(names[kind]), header.rate, ("",) * len(lines), smallest(lines), np.ones(len(lines))
            )
            for name, line in zip(names[kind], lines, strict=True):
                events += _pulses(name, line, header.rate) if kind == "digital_in" else []
    main = block("amplifier", names["amplifier"], "uV", 0.195, -32768)
    return attrs.evolve(main, streams=streams, events=tuple(sorted(events, key=lambda m: m.onset_s)), notes=notes)


def _pulses(name: str, line: npt.NDArray[Any], rate: float) -> list[Mark]:
    """Where a line is high."""
    edge = np.flatnonzero(np.diff(np.concatenate(([0], line, [0]))))
    return [Mark(a / rate, (b - a) / rate, name) for a, b in edge.reshape(-1, 2).tolist()]
