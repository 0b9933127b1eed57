"""wfdb: PhysioNet's records, a header in text (.hea) and samples beside it, with their checksums proven.

Layout: https://physionet.org/physiotools/wag/header-5.htm and signal-5.htm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.formats import text
from myoflow.formats.base import FORMATS, Beside, Format, Signals, scaled, unique
from myoflow.readers.source import File

Counts = npt.NDArray[np.int64]
_GAIN = re.compile(r"^([\d.eE+-]+)(?:\((-?\d+)\))?(?:/(\S+))?$")
_FORMAT = re.compile(r"^(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?$")
_UNITS = {"mv": "mV", "uv": "uV", "v": "V"}
_DEFAULT_GAIN = 200.0


@frozen
class _Signal:
    file: str
    kind: str
    skip: int
    gain: float
    baseline: int
    units: str
    checksum: int | None
    name: str


@FORMATS.add("wfdb")
class Wfdb(Format):
    """All signals of a record of one segment in formats 16, 24, 32, 61, 80, 160 and 212, each once a frame."""

    suffixes = (".hea",)
    what = "a WFDB header"

    def companions(self, file: File, names: Sequence[str]) -> tuple[str, ...]:
        _, _, signals = _header(file)
        wanted = {signal.file for signal in signals}
        return tuple(name for name in names if name.rsplit("/", 1)[-1] in wanted)

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        rate, samples, signals = _header(file)
        at_hand = {name.rsplit("/", 1)[-1]: other for name, other in beside.items()}
        columns: list[Counts] = []
        for name in dict.fromkeys(signal.file for signal in signals):
            members = [signal for signal in signals if signal.file == name]
            if name not in at_hand:
                raise InputError(f"{file.where}: its samples ({name}) are not beside it")
            columns += list(_samples(at_hand[name], members, samples))
        if len({len(column) for column in columns}) > 1:
            raise InputError(f"{file.where}: its files hold different numbers of samples")
        for signal, column in zip(signals, columns, strict=True):
            if signal.checksum is not None and samples and (int(column.sum()) - signal.checksum) % 65536:
                raise InputError(
                    f"{file.where}: signal '{signal.name}': its samples do not agree with the header's checksum: "
                    "a file is damaged"
                )
        table = np.stack(columns)
        gain, shift = [1 / signal.gain for signal in signals], [-signal.baseline for signal in signals]
        values, factor = scaled(table, gain, shift)
        gaps = table == np.array([[_MISSING[signal.kind]] for signal in signals])
        if gaps.any():
            values = np.where(gaps, np.nan, values).astype(np.float32)
        names = unique([signal.name for signal in signals])
        return Signals(names, rate, tuple(signal.units for signal in signals), values, factor)


_MISSING = {
    "16": -(1 << 15),
    "212": -(1 << 11),
    "24": -(1 << 23),
    "32": -(1 << 31),
    "80": -128,
    "160": -(1 << 15),
    "61": -(1 << 15),
}


def _header(file: File) -> tuple[float, int, list[_Signal]]:
    """Rate, number of samples (0: not said) and signals."""
    content = text.decode(file.read(), file.where)
    lines = [(i, line.split()) for i, line in enumerate(content.split("\n"), 1) if line.strip() and line[0] != "#"]
    if not lines:
        raise InputError(f"{file.where}:1: has no record line")
    number, words = lines[0]
    try:
        if "/" in words[0]:
            raise InputError(f"{file.where}:{number}: is a record of several segments; give the segments' headers")
        count = int(words[1])
        rate = float(words[2].split("/")[0].split("(")[0]) if len(words) > 2 else 250.0
        samples = int(words[3]) if len(words) > 3 else 0
    except (IndexError, ValueError) as error:
        raise InputError(f"{file.where}:{number}: is no record line: {' '.join(words)[:60]}") from error
    if not 0 < count <= 10_000 or samples < 0:
        raise InputError(f"{file.where}:{number}: {count} signals of {samples} samples cannot be")
    if len(lines) - 1 < count:
        raise InputError(f"{file.where}:{number}: promises {count} signals, has {len(lines) - 1}")
    return rate, samples, [_signal(file.where, i, words) for i, words in lines[1 : count + 1]]


def _signal(where: str, number: int, words: list[str]) -> _Signal:
    kind = _FORMAT.match(words[1]) if len(words) > 1 else None
    gain = _GAIN.match(words[2]) if len(words) > 2 else None
    if kind is None or (len(words) > 2 and gain is None):
        raise InputError(f"{where}:{number}: is no signal line: {' '.join(words)[:60]}")
    if kind[1] not in _READ:
        raise InputError(f"{where}:{number}: format {kind[1]} is not read; it is one of {', '.join(_READ)}")
    if int(kind[2] or 1) != 1 or int(kind[3] or 0):
        raise InputError(f"{where}:{number}: several samples a frame, and skew, are not read")
    try:
        zero = int(words[4]) if len(words) > 4 else 0
        checksum = int(words[6]) if len(words) > 6 else None
        factor = float(gain[1]) if gain else 0.0
    except ValueError as error:
        raise InputError(f"{where}:{number}: is no signal line: {' '.join(words)[:60]}") from error
    units = gain[3] if gain and gain[3] else "mV"
    base = int(gain[2]) if gain and gain[2] else zero
    name = " ".join(words[8:]) or words[0]
    return _Signal(
        words[0],
        kind[1],
        int(kind[4] or 0),
        factor or _DEFAULT_GAIN,
        base,
        _UNITS.get(units.lower(), units),
        checksum,
        name,
    )


def _samples(file: File, signals: list[_Signal], samples: int) -> Counts:
    """`(signal, time)` of one file."""
    if len({signal.kind for signal in signals}) > 1:
        raise InputError(f"{file.where}: has signals of different formats, which is not read")
    data = file.read()[signals[0].skip :]
    width, decode = _READ[signals[0].kind]
    there = int(len(data) / width)
    wanted = samples * len(signals) if samples else there // len(signals) * len(signals)
    if there < wanted or not wanted:
        raise InputError(
            f"{file.where}: byte {len(data)}: {wanted:,} samples are promised, {there:,} are there. "
            "Is the download complete?"
        )
    table: Counts = decode(data, wanted).reshape(-1, len(signals)).T
    return table


def _plain(kind: str, shift: int = 0) -> Callable[[bytes, int], Counts]:
    def decode(data: bytes, count: int) -> Counts:
        return np.frombuffer(data, kind, count).astype(np.int64) - shift

    return decode


def _three(data: bytes, count: int) -> Counts:
    wide = np.frombuffer(data, np.uint8, 3 * count).reshape(-1, 3).astype(np.int64)
    value = wide[:, 0] | wide[:, 1] << 8 | wide[:, 2] << 16
    return np.where(value >= 1 << 23, value - (1 << 24), value)


def _twelve(data: bytes, count: int) -> Counts:
    """Two samples of 12 bits in three bytes; the middle one holds the high bits of both."""
    whole = -(-count // 2) * 3
    padded = np.frombuffer(data[:whole].ljust(whole, b"\0"), np.uint8).reshape(-1, 3).astype(np.int64)
    pair = np.stack([padded[:, 0] | (padded[:, 1] & 15) << 8, padded[:, 2] | (padded[:, 1] >> 4) << 8], axis=1).ravel()
    value = pair[:count]
    return np.where(value >= 1 << 11, value - (1 << 12), value)


_READ: dict[str, tuple[float, Any]] = {
    "16": (2, _plain("<i2")),
    "24": (3, _three),
    "32": (4, _plain("<i4")),
    "61": (2, _plain(">i2")),
    "80": (1, _plain("u1", 128)),
    "160": (2, _plain("<u2", 32768)),
    "212": (1.5, _twelve),
}
