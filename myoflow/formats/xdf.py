"""xdf: recordings of the Lab Streaming Layer, through pyxdf, which puts all streams on one clock."""

from __future__ import annotations

import io
import logging
import struct
from typing import Any

import attrs
import numpy as np

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, missing, plain
from myoflow.readers.source import File

_UNITS = {"microvolts": "uV", "microvolt": "uV", "µV": "uV", "uv": "uV", "millivolts": "mV", "volts": "V"}
_TAGS = range(1, 7)


@FORMATS.add("xdf")
class Xdf(Format):
    """The stream that is EMG by type or name, else that of most values; text streams are events.

    The rate is the stream's nominal one. An event stands at the sample that was taken when it came, so drift between
    the clocks does not move it. `variable` names another stream.
    """

    suffixes = (".xdf",)
    what = "an XDF file"

    def fits(self, data: bytes) -> bool:
        return data[:4] == b"XDF:"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        try:
            import pyxdf
        except ImportError as error:
            raise missing(file.where, "XDF", "pyxdf") from error
        data = file.read()
        if not self.fits(data):
            raise InputError(
                f"{file.where}: is not {self.what} (byte 0)" if data else f"{file.where}: the file is empty"
            )
        _walk(file.where, data)
        log = logging.getLogger("pyxdf")
        level = log.level
        log.setLevel(logging.CRITICAL)  # what is wrong is told here, by name
        try:
            streams, _ = pyxdf.load_xdf(io.BytesIO(data))
        finally:
            log.setLevel(level)
        return _signals(file.where, streams, variable)


def _walk(where: str, data: bytes) -> None:
    """Every chunk's length leads to the next chunk, so a file that was cut off or damaged is told with its place."""
    at = 4
    while at < len(data):
        width = data[at]
        if width not in (1, 4, 8) or at + 1 + width > len(data):
            raise InputError(f"{where}: byte {at}: no chunk begins here: the file is damaged or cut off")
        length = int.from_bytes(data[at + 1 : at + 1 + width], "little")
        start = at + 1 + width
        if length < 2 or start + length > len(data):
            raise InputError(
                f"{where}: byte {at}: a chunk of {length:,} bytes, {len(data) - start:,} follow. Is it whole?"
            )
        (tag,) = struct.unpack_from("<H", data, start)
        if tag not in _TAGS:
            raise InputError(f"{where}: byte {start}: a chunk of unknown kind {tag}: the file is damaged")
        at = start + length


def _signals(where: str, streams: list[dict[str, Any]], variable: str | None) -> Signals:
    numeric = [s for s in streams if isinstance(s["time_series"], np.ndarray) and len(s["time_series"])]
    named = {_first(stream, "name"): stream for stream in numeric}
    if not numeric:
        raise InputError(f"{where}: has no stream of numbers with samples")
    if variable is not None and variable not in named:
        raise InputError(f"{where}: has no stream '{variable}'; it has {', '.join(named)}")

    def worth(stream: dict[str, Any]) -> tuple[bool, bool, int]:
        words = f"{_first(stream, 'type')} {_first(stream, 'name')}".lower()
        return ("emg" in words, float(_first(stream, "nominal_srate") or 0) > 0, stream["time_series"].size)

    main = named[variable] if variable is not None else max(numeric, key=worth)
    base = _block(main)
    times = np.asarray(main["time_stamps"], np.float64)
    rate = base.rate_hz
    if rate is None:
        base = attrs.evolve(base, time_s=times)
    marks, others, notes = [], {}, []
    for stream in streams:
        name = _first(stream, "name") or "stream"
        when = np.asarray(stream["time_stamps"], np.float64)
        if not isinstance(stream["time_series"], np.ndarray):
            spots = np.searchsorted(times, when) / rate if rate else when - times[0]
            spots = np.where(when < times[0] - (1 / rate if rate else 0), when - times[0], spots)
            words = [" ".join(str(word) for word in row).strip() for row in stream["time_series"]]
            marks += [Mark(float(spot), 0.0, word) for spot, word in zip(spots, words, strict=True) if word]
        elif stream is not main and len(when):
            begin = int(np.searchsorted(when, times[0]))
            other = _block(stream)
            if begin == len(when) or (other.rate_hz and when[begin] - times[0] > 1.5 / other.rate_hz):
                notes.append(f"stream {name} does not cover the start and is left out")
            else:
                others[name] = attrs.evolve(other, values=other.values[:, begin:])
    breaks = len(main.get("info", {}).get("segments", [])) - 1
    if breaks > 0:
        notes.append(f"stream {_first(main, 'name')} was interrupted {breaks} times; its samples are joined")
    marks.sort(key=lambda mark: mark.onset_s)
    return attrs.evolve(base, events=tuple(marks), streams=others, notes=tuple(notes))


def _block(stream: dict[str, Any]) -> Signals:
    table = stream["time_series"].T
    rate = float(_first(stream, "nominal_srate") or 0)
    labels, units = [""] * len(table), [""] * len(table)
    described = _first(stream, "desc") or {}
    listed = _dig(described, "channels", "channel") or []
    for i, entry in enumerate(listed[: len(table)]):
        labels[i] = str(_dig(entry, "label") or "")
        unit = str(_dig(entry, "unit") or "")
        units[i] = _UNITS.get(unit.lower(), _UNITS.get(unit, unit))
    name = _first(stream, "name") or "channel"
    labels = [label or f"{name}{i + 1}" for i, label in enumerate(labels)]
    return plain(labels, rate if rate > 0 else None, units, table)


def _first(stream: dict[str, Any], key: str) -> Any:
    """pyxdf keeps each entry of the header as a list of one."""
    value = stream["info"].get(key)
    return value[0] if isinstance(value, list) and value else value if isinstance(value, str) else None


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = (
            value[0]
            if isinstance(value, list) and len(value) and key != keys[-1] and isinstance(value[0], dict)
            else value
        )
        value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, list) and len(value) == 1 and key != "channel":
            value = value[0]
    return value
