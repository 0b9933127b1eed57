"""Frames: samples over a wire or a pipe, in packets that show when some were lost or damaged.

    offset size  little-endian
         0    2  A5 5A
         2    1  version, 1
         3    1  kind: 0 description, 1 int16, 2 int32, 3 float32, 4 end of the signal
         4    2  channels
         6    2  samples in this frame
         8    8  number of its first sample, counted by the sender from anywhere
        16    8  time of its last sample in microseconds of the sender's clock; -2^63: it has none
        24    4  bytes of payload
        28    4  CRC-32 (zlib's) of bytes 0 to 27
        32    n  payload: sample after sample, in each all channels; of a description, JSON in UTF-8
      32+n    4  CRC-32 of the payload

A description is `{"channels": ["E1", ...], "rate": 1000.0, "units": "uV", "gain": 0.195}`; `gain` (a number, or one a
channel) makes counts into units. It comes first, and again at the start of every connection.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

SYNC = b"\xa5\x5a"
VERSION = 1
DESCRIPTION, END = 0, 4
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i2"), 2: np.dtype("<i4"), 3: np.dtype("<f4")}
NO_TIME = -(1 << 63)
MOST = 1 << 24  # bytes of payload

_HEADER = struct.Struct("<2sBBHHQqI")
_CRC = struct.Struct("<I")
_START = _HEADER.size + _CRC.size


@frozen(eq=False)
class Frame:
    """A whole frame. `values` are `(channel, time)`; of a description, `told` is what its JSON says."""

    kind: int
    first: int = 0
    stamp_s: float | None = None
    values: Array | None = None
    told: dict[str, Any] | None = None


def samples(values: Array, first: int, stamp_s: float | None = None) -> bytes:
    """A frame of samples `(channel, time)` of int16, int32 or float32; the first has number `first`."""
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if little.dtype not in kinds:
        raise ValueError(f"a frame holds int16, int32 or float32, not {values.dtype}")
    channels, count = values.shape
    if max(channels, count) > 0xFFFF:
        raise ValueError(f"a frame holds up to 65535 channels and samples, got {values.shape}")
    stamp = NO_TIME if stamp_s is None else round(stamp_s * 1e6)
    return _pack(kinds[little.dtype], little.T.tobytes(), channels, count, first, stamp)


def description(
    channels: Sequence[str], rate_hz: float, units: str, gain: float | Sequence[float] = 1.0, **more: Any
) -> bytes:
    """The frame that says what the samples are."""
    told = {"channels": list(channels), "rate": rate_hz, "units": units, "gain": gain, **more}
    return _pack(DESCRIPTION, json.dumps(told).encode(), len(channels))


def end() -> bytes:
    """The frame that says that there will be no more."""
    return _pack(END, b"")


def _pack(kind: int, payload: bytes, channels: int = 0, count: int = 0, first: int = 0, stamp: int = NO_TIME) -> bytes:
    header = _HEADER.pack(SYNC, VERSION, kind, channels, count, first, stamp, len(payload))
    return b"".join((header, _CRC.pack(zlib.crc32(header)), payload, _CRC.pack(zlib.crc32(payload))))


class Unpacker:
    """Frames out of bytes that come in any pieces; what is no whole frame is passed over, and counted.

    `damaged` counts the bytes passed over.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self.damaged = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are whole now."""
        self._kept += data
        found: list[Frame] = []
        at = 0
        while True:
            start = self._kept.find(SYNC, at)
            if start < 0:  # half a sync may stand at the end
                start = len(self._kept) - (1 if self._kept.endswith(SYNC[:1]) else 0)
                start = max(start, at)
                self.damaged += start - at
                at = start
                break
            self.damaged += start - at
            at = start
            size = self._size(at)
            if size is None:
                self.damaged += 1
                at += 1
            elif len(self._kept) - at < size:
                break
            else:
                frame = self._frame(at, size)
                if frame is None:
                    self.damaged += 1
                    at += 1
                else:
                    found.append(frame)
                    at += size
        del self._kept[:at]
        return found

    def _size(self, at: int) -> int | None:
        """Bytes of the frame that begins at `at`; None when none does."""
        if len(self._kept) - at < _START:
            return _START
        header = bytes(self._kept[at : at + _HEADER.size])
        (crc,) = _CRC.unpack_from(self._kept, at + _HEADER.size)
        _, version, kind, channels, count, _, _, length = _HEADER.unpack(header)
        if crc != zlib.crc32(header) or version != VERSION or length > MOST:
            return None
        if kind in DTYPES and length != channels * count * DTYPES[kind].itemsize:
            return None
        return int(_START + length + _CRC.size)

    def _frame(self, at: int, size: int) -> Frame | None:
        _, _, kind, channels, count, first, stamp, length = _HEADER.unpack_from(self._kept, at)
        payload = bytes(self._kept[at + _START : at + _START + length])
        (crc,) = _CRC.unpack_from(self._kept, at + size - _CRC.size)
        if crc != zlib.crc32(payload):
            return None
        if kind in DTYPES:
            values = np.frombuffer(payload, DTYPES[kind]).reshape(count, channels).T
            return Frame(kind, first, None if stamp == NO_TIME else stamp / 1e6, values)
        if kind == DESCRIPTION:
            try:
                told = json.loads(payload)
            except ValueError:
                return None
            return Frame(kind, told=told) if isinstance(told, dict) else None
        return Frame(kind) if kind == END else None
