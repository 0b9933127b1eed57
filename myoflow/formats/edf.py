"""edf: EDF, EDF+, BDF and BDF+, the European and BioSemi's data formats, with their annotations and triggers.

Layout after Kemp and Olivan (2003), EDF+: https://www.edfplus.info/specs/edfplus.html, and BioSemi's page on BDF.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Scaling, Signals, joined, scaling, unique
from myoflow.readers.source import File
from myoflow.recording import in_blocks

_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_HEAD = 256
_BLOCK = 4 << 20  # bytes read at once
_LONG = 16 << 20  # a file with more bytes of samples comes in blocks where they are welcome
_TEXTS = ("EDF Annotations", "BDF Annotations")
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14((?:[^\x00\x14]*\x14)*)\x00")
_UNITS = {"µV": "uV", "μV": "uV", "uv": "uV", "mv": "mV", "v": "V"}


@frozen
class _Channel:
    label: str
    units: str
    gain: float
    offset: float  # counts to add before the gain
    samples: int  # in a record


@frozen
class _Layout:
    file: File
    width: int  # bytes of a sample
    channels: tuple[_Channel, ...]
    records: int
    seconds: float  # of a record
    start: int
    size: int  # bytes of a record
    recorded: str

    def part(self, raw: npt.NDArray[np.uint8], i: int) -> npt.NDArray[np.uint8]:
        """The bytes of channel `i` in records."""
        at = self.width * sum(channel.samples for channel in self.channels[:i])
        return raw[:, at : at + self.width * self.channels[i].samples]


@FORMATS.add("edf")
class Edf(Format):
    """Channels in their counts with gain; those of another rate are streams; annotations and BDF triggers are events.

    An EDF+D file whose records leave gaps is refused: a recording here has no gaps.
    """

    head = _HEAD
    suffixes = (".edf", ".bdf", ".edf+", ".bdf+", ".rec")
    what = "an EDF or BDF file"

    def fits(self, data: bytes) -> bool:
        return data[:8].strip() == b"0" or data[:8] == b"\xffBIOSEMI"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        return _loaded(_signals(self._layout(file)))

    def parse_long(self, file: File, beside: Beside, variable: str | None) -> Signals:
        layout = self._layout(file)
        signals = _signals(layout)
        return signals if layout.records * layout.size > _LONG else _loaded(signals)

    def _layout(self, file: File) -> _Layout:
        """What the header says, checked against the file's size."""
        with file.open() as stream:
            data = stream.read(_HEAD)
            if not self.fits(data):
                raise InputError(
                    f"{file.where}: is not {self.what} (byte 0)" if data else f"{file.where}: the file is empty"
                )
            more = data[252:256].strip()
            data += stream.read(_HEAD * int(more) if more.isdigit() else 0)
            length = stream.seek(0, os.SEEK_END)
        width = 3 if data[0] == 0xFF else 2
        channels, records, seconds = _header(file.where, data)
        start = _HEAD * (len(channels) + 1)
        size = width * sum(channel.samples for channel in channels)
        if not size:
            raise InputError(f"{file.where}: its records are empty")
        there = (length - start) // size
        if records == -1:  # a recorder that was switched off leaves it so
            records = there
        if there < records:
            raise InputError(
                f"{file.where}: byte {length}: {records} records of {size:,} bytes are promised, {there} are there. "
                "Is the download complete?"
            )
        recorded = data[168:184].decode("latin-1").strip()
        return _Layout(file, width, tuple(channels), records, seconds, start, size, recorded)


def _signals(layout: _Layout) -> Signals:
    """All channels as `Blocks`. The file is read once here, for its events and for the type that holds its values."""
    found = _scan(layout)
    groups: dict[int, list[int]] = {}
    for i, channel in enumerate(layout.channels):
        if channel.label not in _TEXTS:
            groups.setdefault(channel.samples, []).append(i)
    blocks = []
    for samples, rows in groups.items():
        members = [layout.channels[i] for i in rows]
        how = scaling(
            found.low[rows],
            found.high[rows],
            [channel.gain for channel in members],
            [channel.offset for channel in members],
        )
        shape = (len(rows), layout.records * samples)
        values = in_blocks(shape, how.dtype, partial(_values, layout, rows, how))
        names = unique([channel.label for channel in members])
        units = tuple(channel.units for channel in members)
        rate = float(f"{samples / layout.seconds:.10g}")
        blocks.append((f"{rate:g}Hz", Signals(names, rate, units, values, how.gain)))
    marks = tuple(sorted(found.marks, key=lambda mark: mark.onset_s))
    return joined(blocks, events=marks, attrs={"recorded": layout.recorded})


def _loaded(signals: Signals) -> Signals:
    streams = {name: _loaded(block) for name, block in signals.streams.items()}
    return attrs.evolve(signals, values=np.asarray(signals.values), streams=streams)


def _records(layout: _Layout) -> Iterator[npt.NDArray[np.uint8]]:
    """The file's bytes `(record, byte)`, some records at a time."""
    step = max(1, _BLOCK // layout.size)
    with layout.file.open() as stream:
        stream.seek(layout.start)
        for first in range(0, layout.records, step):
            count = min(step, layout.records - first)
            data = stream.read(count * layout.size)
            if len(data) < count * layout.size:
                raise InputError(f"{layout.file.where}: became shorter while it was read")
            yield np.frombuffer(data, np.uint8).reshape(count, layout.size)


def _values(layout: _Layout, rows: list[int], how: Scaling) -> Iterator[npt.NDArray[Any]]:
    """Blocks `(channel, time)` of some channels of one rate."""
    samples = layout.channels[rows[0]].samples
    for raw in _records(layout):
        counts = np.empty((len(rows), len(raw) * samples), np.int16 if layout.width == 2 else np.int32)
        for k, i in enumerate(rows):
            counts[k].reshape(len(raw), samples)[...] = _counts(layout.part(raw, i), layout.width)
        yield how.apply(counts)


@frozen
class _Scan:
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    marks: list[Mark]


def _scan(layout: _Layout) -> _Scan:
    """One pass: the least and greatest count of each channel, annotations and triggers."""
    count = len(layout.channels)
    low, high = np.zeros(count, np.int64), np.zeros(count, np.int64)
    texts: dict[int, list[npt.NDArray[np.uint8]]] = {}
    lines: dict[int, list[tuple[int, int]]] = {}
    done = 0
    for raw in _records(layout):
        for i, channel in enumerate(layout.channels):
            part = layout.part(raw, i)
            if channel.label in _TEXTS:
                texts.setdefault(i, []).append(part.copy())
                continue
            counts = _counts(part, layout.width)
            if counts.size:
                ends = int(counts.min()), int(counts.max())
                low[i] = min(ends[0], low[i]) if done else ends[0]
                high[i] = max(ends[1], high[i]) if done else ends[1]
            if channel.label == "Status" and layout.width == 3:
                _changes(lines.setdefault(i, []), counts.ravel() & 0xFFFF, done * channel.samples)
        done += len(raw)
    marks: list[Mark] = []
    for parts in texts.values():
        marks += _annotations(layout.file.where, np.concatenate(parts), layout.seconds)
    for i, found in lines.items():
        samples = layout.channels[i].samples
        marks += _triggers(found, layout.records * samples, samples / layout.seconds)
    return _Scan(low, high, marks)


def _header(where: str, data: bytes) -> tuple[list[_Channel], int, float]:
    if len(data) < _HEAD:
        raise InputError(f"{where}: byte {len(data)}: ends inside the header of {_HEAD} bytes")
    records, seconds = int(_number(where, data, 236, 8)), _number(where, data, 244, 8)
    count = int(_number(where, data, 252, 4))
    if not 1 <= count <= 9999 or records < -1:
        raise InputError(f"{where}: byte 236: {records} records and {count} channels cannot be")
    if len(data) < _HEAD * (count + 1):
        raise InputError(f"{where}: byte {len(data)}: ends inside the header of {_HEAD * (count + 1):,} bytes")
    starts = [_HEAD + count * sum(_FIELDS[:i]) for i in range(len(_FIELDS))]
    channels = []
    for i in range(count):
        where_is = [(starts[k] + i * _FIELDS[k], _FIELDS[k]) for k in range(len(_FIELDS))]
        label = data[where_is[0][0] : sum(where_is[0])].decode("utf-8", "replace").strip()
        units = data[where_is[2][0] : sum(where_is[2])].decode("latin-1").strip()
        low, high, bottom, top, samples = (_number(where, data, *where_is[k]) for k in (3, 4, 5, 6, 8))
        if not 0 <= samples <= 1e8 or samples != int(samples):
            raise InputError(f"{where}: byte {where_is[8][0]}: {samples:g} samples a record cannot be")
        if "Annotations" in label:
            low, high, bottom, top = -1.0, 1.0, -1.0, 1.0
        if top == bottom or low == high:
            raise InputError(f"{where}: byte {where_is[3][0]}: channel '{label}' has an empty range")
        gain = (high - low) / (top - bottom)
        channels.append(_Channel(label, _UNITS.get(units, units), gain, low / gain - bottom, int(samples)))
    if seconds <= 0:
        if any("Annotations" not in channel.label for channel in channels) or seconds < 0:
            raise InputError(f"{where}: byte 244: a record of {seconds:g} s cannot be")
        raise InputError(f"{where}: holds annotations only, no signal")
    return channels, records, seconds


def _number(where: str, data: bytes, at: int, size: int) -> float:
    word = data[at : at + size].decode("latin-1").strip(" \0")
    try:
        value = float(word.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: byte {at}: '{word}' is not a number; the header is damaged")
    return value


def _counts(part: npt.NDArray[np.uint8], width: int) -> npt.NDArray[Any]:
    """Counts `(record, sample)` of one channel's bytes."""
    if width == 2:
        return part.view("<i2")
    wide = part.reshape(len(part), -1, 3)
    counts = wide[..., 2].view(np.int8).astype(np.int32) << 16
    counts |= wide[..., 1].astype(np.int32) << 8
    counts |= wide[..., 0]
    return counts


def _annotations(where: str, part: npt.NDArray[np.uint8], seconds: float) -> list[Mark]:
    """Texts with their times. The first of a record has none and says when the record begins."""
    marks, first = [], None
    for i, row in enumerate(part):
        content = row.tobytes()
        for k, match in enumerate(_TAL.finditer(content)):
            onset = float(match[1])
            texts = match[3].decode("utf-8", "replace").split("\x14")[:-1]
            if k == 0 and texts[:1] == [""]:
                first = onset if first is None else first
                if abs(onset - first - i * seconds) > 0.5 * seconds:
                    raise InputError(
                        f"{where}: record {i + 1} begins at {onset:g} s: there are gaps (EDF+D); cut it there"
                    )
            marks += [
                Mark(onset - (first or 0.0), float(match[2] or 0), text.strip()) for text in texts if text.strip()
            ]
    return marks


def _changes(found: list[tuple[int, int]], lines: npt.NDArray[Any], start: int) -> None:
    """Add where BioSemi's 16 trigger lines change, and to what; `lines` begins at sample `start`."""
    if not lines.size:
        return
    if not found or found[-1][1] != lines[0]:
        found.append((start, int(lines[0])))
    for at in (np.flatnonzero(np.diff(lines)) + 1).tolist():
        found.append((start + at, int(lines[at])))


def _triggers(found: list[tuple[int, int]], total: int, rate: float) -> list[Mark]:
    """Where the trigger lines are other than zero, until they change again."""
    ends = [at for at, _ in found[1:]] + [total]
    return [Mark(a / rate, (b - a) / rate, str(line)) for (a, line), b in zip(found, ends, strict=True) if line]
