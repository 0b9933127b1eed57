"""edf: EDF, EDF+, BDF and BDF+, the European and BioSemi's data formats, with their annotations and triggers.

Layout after Kemp and Olivan (2003), EDF+: https://www.edfplus.info/specs/edfplus.html, and BioSemi's page on BDF.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, joined, scaled, unique
from myoflow.readers.source import File

_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_HEAD = 256
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14((?:[^\x00\x14]*\x14)*)\x00")
_UNITS = {"µV": "uV", "μV": "uV", "uv": "uV", "mv": "mV", "v": "V"}


@frozen
class _Channel:
    label: str
    units: str
    gain: float
    offset: float  # counts to add before the gain
    samples: int  # in a record


@FORMATS.add("edf")
class Edf(Format):
    """Channels in their counts with gain; those of another rate are streams; annotations and BDF triggers are events.

    An EDF+D file whose records leave gaps is refused: a recording here has no gaps.
    """

    suffixes = (".edf", ".bdf", ".edf+", ".bdf+", ".rec")
    what = "an EDF or BDF file"

    def fits(self, data: bytes) -> bool:
        return data[:8].strip() == b"0" or data[:8] == b"\xffBIOSEMI"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if not self.fits(data):
            raise InputError(
                f"{file.where}: is not {self.what} (byte 0)" if data else f"{file.where}: the file is empty"
            )
        width = 3 if data[0] == 0xFF else 2
        channels, records, seconds = _header(file.where, data)
        start = _HEAD * (len(channels) + 1)
        size = width * sum(channel.samples for channel in channels)
        if not size:
            raise InputError(f"{file.where}: its records are empty")
        there = (len(data) - start) // size
        if records == -1:  # a recorder that was switched off leaves it so
            records = there
        if there < records:
            raise InputError(
                f"{file.where}: byte {len(data)}: {records} records of {size:,} bytes are promised, {there} are there. "
                "Is the download complete?"
            )
        raw = np.frombuffer(data, np.uint8, records * size, start).reshape(records, size)
        return _signals(file.where, data, raw, width, channels, seconds)


def _signals(
    where: str, data: bytes, raw: npt.NDArray[np.uint8], width: int, channels: list[_Channel], seconds: float
) -> Signals:
    at = 0
    groups: dict[int, list[tuple[_Channel, npt.NDArray[Any]]]] = {}
    marks: list[Mark] = []
    for channel in channels:
        part = raw[:, at : at + width * channel.samples]
        at += width * channel.samples
        if channel.label in ("EDF Annotations", "BDF Annotations"):
            marks += _annotations(where, part, seconds)
            continue
        counts = _counts(part, width)
        if channel.label == "Status" and width == 3:
            marks += _triggers(counts, channel.samples / seconds)
        groups.setdefault(channel.samples, []).append((channel, counts))
    blocks = []
    for samples, members in groups.items():
        values, gain = scaled(
            np.stack([counts for _, counts in members]),
            [channel.gain for channel, _ in members],
            [channel.offset for channel, _ in members],
        )
        names = unique([channel.label for channel, _ in members])
        units = tuple(channel.units for channel, _ in members)
        rate = float(f"{samples / seconds:.10g}")
        blocks.append((f"{rate:g}Hz", Signals(names, rate, units, values, gain)))
    attributes = {"recorded": data[168:184].decode("latin-1").strip()}
    return joined(blocks, events=tuple(sorted(marks, key=lambda mark: mark.onset_s)), attrs=attributes)


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
    if width == 2:
        return np.ascontiguousarray(part).view("<i2").ravel()
    wide = np.ascontiguousarray(part).reshape(-1, 3).astype(np.int32)
    counts = wide[:, 0] | wide[:, 1] << 8 | wide[:, 2] << 16
    return np.where(counts >= 1 << 23, counts - (1 << 24), counts)


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


def _triggers(counts: npt.NDArray[Any], rate: float) -> list[Mark]:
    """Where BioSemi's 16 trigger lines change to other than zero, until they change again."""
    lines = counts & 0xFFFF
    change = np.concatenate(([0], np.flatnonzero(np.diff(lines)) + 1, [len(lines)]))
    spans = zip(change[:-1].tolist(), change[1:].tolist(), strict=True)
    return [Mark(a / rate, (b - a) / rate, str(int(lines[a]))) for a, b in spans if b > a and lines[a]]
