"""c3d: the analog channels of motion-capture files (.c3d) of Intel, DEC and MIPS order, in integers or floats.

Layout: The C3D File Format, a Technical User Guide (c3d.org).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, scaled, unique
from myoflow.readers.source import File

_BLOCK = 512
_ORDERS = {84: "<", 85: "vax", 86: ">"}
_KINDS = {-1: "S1", 1: "i1", 2: "i2", 4: "f4"}
Parameters = dict[str, npt.NDArray[Any]]


@frozen
class _Head:
    points: int
    per_frame: int  # analog values of one frame of points, all channels
    frames: int
    first: int
    floats: bool
    data_block: int
    rate: float


@FORMATS.add("c3d")
class C3d(Format):
    """Analog channels as `(counts - offset) * scale`; marker coordinates are not taken, the file's events are."""

    suffixes = (".c3d",)
    what = "a C3D file"

    def fits(self, data: bytes) -> bool:
        return data[1:2] == b"\x50"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if len(data) < 2 * _BLOCK or not self.fits(data):
            raise InputError(
                f"{file.where}: is not {self.what} (byte 1)" if data else f"{file.where}: the file is empty"
            )
        start = (data[0] - 1) * _BLOCK
        if not 0 <= start + 4 <= len(data):
            raise InputError(f"{file.where}: byte 0: its parameters would begin behind its end")
        order = _ORDERS.get(data[start + 3], "")
        if order == "vax":
            raise InputError(
                f"{file.where}: byte {start + 3}: is in DEC (VAX) floats, which are not read; save it anew"
            )
        if not order:
            raise InputError(f"{file.where}: byte {start + 3}: {data[start + 3]} is no processor that is known")
        parameters = _parameters(data, start, order)
        head = _head(data, order, parameters)
        return _signals(file.where, data, order, head, parameters)


def _head(data: bytes, order: str, parameters: Parameters) -> _Head:
    points, per_frame, first, last = struct.unpack_from(order + "4H", data, 2)
    scale, block = struct.unpack_from(order + "fH", data, 12)
    (rate,) = struct.unpack_from(order + "f", data, 20)
    start, end = (_wide(parameters, f"TRIAL:ACTUAL_{side}_FIELD") for side in ("START", "END"))
    # the header's 16 bits are too few for long recordings; then these parameters say it
    frames = end - start + 1 if start and end else last - first + 1
    block = int(_one(parameters, "POINT:DATA_START") or block)
    return _Head(
        points, per_frame, frames, start or first, scale < 0, block, float(_one(parameters, "POINT:RATE") or rate)
    )


def _signals(where: str, data: bytes, order: str, head: _Head, parameters: Parameters) -> Signals:
    count = int(_one(parameters, "ANALOG:USED"))
    if not count or not head.per_frame or head.per_frame % count:
        raise InputError(f"{where}: has no analog channels" if not count else f"{where}: byte 4: is damaged")
    item = 4 if head.floats else 2
    kind = np.dtype(order + ("f4" if head.floats else "i2"))
    width = 4 * head.points + head.per_frame
    start = (head.data_block - 1) * _BLOCK
    there = max(0, len(data) - start) // (item * width)
    if head.frames < 1 or there < head.frames:
        raise InputError(
            f"{where}: byte {len(data)}: {head.frames:,} frames are promised, {there:,} are there. Is the file whole?"
        )
    frames = np.frombuffer(data, kind, head.frames * width, start).reshape(head.frames, width)
    unsigned = b"".join(parameters.get("ANALOG:FORMAT", np.zeros(0, "S1")).ravel().tolist()).strip() == b"UNSIGNED"
    analog = frames[:, 4 * head.points :].reshape(-1, count).T
    if unsigned and not head.floats:
        analog = (
            analog.view(order + "u2") if analog.flags.c_contiguous else np.ascontiguousarray(analog).view(order + "u2")
        )
    general = float(_one(parameters, "ANALOG:GEN_SCALE") or 1.0)
    scale = _row(parameters, "ANALOG:SCALE", count, 1.0) * general
    offset = _row(parameters, "ANALOG:OFFSET", count, 0.0)
    if unsigned:
        offset %= 65536
    if head.floats:
        values, gain = ((analog - offset[:, None]) * scale[:, None]).astype(np.float32), np.ones(count)
    else:
        values, gain = scaled(analog, scale.tolist(), (-offset).tolist())
    rate = float(_one(parameters, "ANALOG:RATE") or head.rate * (head.per_frame // count))
    names = unique(_words(parameters, "ANALOG:LABELS", count))
    units = tuple(unit.replace("µ", "u") for unit in _words(parameters, "ANALOG:UNITS", count))
    return Signals(names, rate, units, values, gain, events=_events(head, parameters))


def _events(head: _Head, parameters: Parameters) -> tuple[Mark, ...]:
    """EVENT:TIMES are minutes and seconds from frame 1, which may be cut away."""
    times = parameters.get("EVENT:TIMES")
    if times is None or times.ndim != 2 or times.shape[1] != 2 or head.rate <= 0:
        return ()
    labels = _words(parameters, "EVENT:LABELS", len(times))
    sides = _words(parameters, "EVENT:CONTEXTS", len(times))
    start = (head.first - 1) / head.rate
    marks = []
    for (minutes, seconds), label, side in zip(times.tolist(), labels, sides, strict=True):
        marks.append(Mark(60 * minutes + seconds - start, 0.0, f"{side} {label}".strip() or "event"))
    return tuple(sorted(marks, key=lambda mark: mark.onset_s))


def _parameters(data: bytes, start: int, order: str) -> Parameters:
    """All parameters by `GROUP:NAME`; arrays have C3D's dimensions the other way round, fastest last."""
    groups: dict[int, str] = {}
    found: list[tuple[int, str, npt.NDArray[Any]]] = []
    at, end = start + 4, start + data[start + 2] * _BLOCK
    while at + 2 <= min(end, len(data)):
        length, group = abs(struct.unpack_from("b", data, at)[0]), struct.unpack_from("b", data, at + 1)[0]
        if not length or not group:
            break
        name = data[at + 2 : at + 2 + length].decode("latin-1").strip().upper()
        body = at + 2 + length
        (step,) = struct.unpack_from(order + "H", data, body)
        if group < 0:
            groups[-group] = name
        else:
            found.append((group, name, _value(data, body + 2, order)))
        if not step:
            break
        at = body + step
    return {f"{groups.get(group, '')}:{name}": value for group, name, value in found}


def _value(data: bytes, at: int, order: str) -> npt.NDArray[Any]:
    kind = _KINDS.get(struct.unpack_from("b", data, at)[0], "")
    if not kind:
        raise ValueError(f"byte {at}: a parameter of unknown type")
    dims = [int(size) for size in data[at + 2 : at + 2 + data[at + 1]]]
    count = int(np.prod(dims)) if dims else 1
    item = np.dtype(kind if kind[1] == "1" else order + kind)
    if count > 1 << 24:
        raise ValueError(f"byte {at}: a parameter of {count:,} values")
    return np.frombuffer(data, item, count, at + 2 + len(dims)).reshape(dims[::-1])


def _one(parameters: Parameters, name: str) -> float:
    value = parameters.get(name)
    if value is None or not value.size or value.dtype.kind == "S":
        return 0.0
    number = float(value.ravel()[0])
    return number + 65536 if value.dtype.itemsize == 2 and number < 0 else number


def _wide(parameters: Parameters, name: str) -> int:
    """A number in two 16-bit words, low one first."""
    value = parameters.get(name)
    if value is None or value.size != 2 or value.dtype.kind != "i":
        return 0
    low, high = (int(word) & 0xFFFF for word in value.ravel())
    return low | high << 16


def _row(parameters: Parameters, name: str, count: int, default: float) -> npt.NDArray[np.float64]:
    """Numbers, one per channel; those that are missing are `default`."""
    value = parameters.get(name, np.zeros(0)).ravel()
    known = value[:count].astype(np.float64) if value.dtype.kind != "S" else np.zeros(0)
    return np.concatenate((known, np.full(count - len(known), default)))


def _words(parameters: Parameters, name: str, count: int) -> list[str]:
    """Texts, one per channel, with those that run over into `NAME2`; what is missing is empty."""
    out: list[str] = []
    for key in (name, f"{name}2", f"{name}3"):
        value = parameters.get(key)
        if value is not None and value.dtype.kind == "S" and value.ndim == 2:
            out += [
                b"".join(letter or b" " for letter in row.tolist()).decode("utf-8", "replace").strip() for row in value
            ]
    return (out + [""] * count)[:count]
