"""opensignals: PLUX's text and HDF5 files (biosignalsplux, BITalino), and the simple text of BIOSPPy, in raw counts."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import numpy as np

from myoflow.errors import InputError
from myoflow.formats import text
from myoflow.formats.base import FORMATS, Beside, Format, Signals, joined, plain, smallest, unique
from myoflow.formats.hdf5 import opened
from myoflow.readers.source import File

_SIMPLE = re.compile(r"^#\s*(Sampling Rate \(Hz\)|Resolution|Labels)\s*:=\s*(.*)$", re.I)
_MOST_HEAD = 60


@FORMATS.add("opensignals")
class OpenSignals(Format):
    """Analog channels as the converter's counts, whose bits stand in the attribute `resolution_bits`.

    What a count is in volts depends on the sensor, so the unit is left to whoever knows it.
    """

    suffixes = (".txt", ".h5", ".hdf5")
    rank = 2
    what = "an OpenSignals file"

    def fits(self, data: bytes) -> bool:
        if data.startswith(b"\x89HDF"):
            return b"sampling rate" in data and b"macaddress" in data
        head = data[:200].lstrip(b"\xef\xbb\xbf")
        return head.startswith((b"# OpenSignals Text File", b"# Simple Text Format", b"# JSON Text File Format"))

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if data.startswith(b"\x89HDF"):
            with opened(file) as root:
                return _hdf5(file.where, root, variable)
        if not self.fits(data):
            raise InputError(f"{file.where}:1: is not {self.what}" if data else f"{file.where}: the file is empty")
        content = text.decode(data, file.where)
        lines = content.split("\n", _MOST_HEAD)[:_MOST_HEAD]
        start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
        if start is None:
            raise InputError(f"{file.where}: has no samples below its header")
        if "simple text" in lines[0].lower():
            return _simple(file.where, content, lines[:start])
        return _plux(file.where, content, lines[:start], variable)


def _plux(where: str, content: str, head: list[str], variable: str | None) -> Signals:
    """The header's second line is JSON: an entry per device, whose columns stand side by side."""
    try:
        devices = json.loads(head[1].lstrip("# "))
        entries = [(name, dict(device)) for name, device in devices.items()]
        columns = [(name, str(column)) for name, device in entries for column in device["column"]]
        rates = {float(device["sampling rate"]) for _, device in entries}
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise InputError(f"{where}:2: the header's JSON cannot be read: {error}") from error
    if len(rates) != 1:
        raise InputError(f"{where}:2: its devices have different rates; give one file a device")
    first = content.split("\n", len(head) + 1)[len(head)]
    width = len(text.cells(first.rstrip("\t "), "\t"))
    if width != len(columns):
        raise InputError(f"{where}:{len(head) + 1}: has {width} fields, the header names {len(columns)} columns")
    body = "\n".join(line.rstrip("\t ") for line in content.split("\n"))
    numbers = text.table(body, where, "\t", len(head), width)
    analog, names, bits = [], [], []
    for device_name, device in entries:
        labels = [str(label) for label in device.get("label", [])]
        sensors = [str(sensor) for sensor in device.get("sensor", [])]
        depth = list(device.get("resolution", []))
        for k, label in enumerate(labels):
            spot = next(
                (i for i, (name, column) in enumerate(columns) if name == device_name and column == label), None
            )
            if spot is not None:
                analog.append(spot)
                names.append(f"{sensors[k]} {label}" if k < len(sensors) and sensors[k] not in ("", "RAW") else label)
                bits.append(depth[len(depth) - len(labels) + k] if len(depth) >= len(labels) else None)
    if not analog:
        raise InputError(f"{where}:2: the header names no analog column")
    main = plain(names, rates.pop(), "", numbers[:, analog].T, attrs={"resolution_bits": bits})
    rest = [i for i in range(width) if i not in analog]
    other = plain([columns[i][1] for i in rest], main.rate_hz, "", numbers[:, rest].T) if rest else None
    return attrs.evolve(main, streams={"other": other} if other else {})


def _simple(where: str, content: str, head: list[str]) -> Signals:
    known = {match[1].lower(): match[2].strip() for line in head if (match := _SIMPLE.match(line))}
    try:
        rate = float(known["sampling rate (hz)"])
    except (KeyError, ValueError):
        raise InputError(f"{where}:1: its header gives no sampling rate") from None
    first = content.split("\n", len(head) + 1)[len(head)]
    separator = text.separator_of([first]) if len(text.cells(first, "\t")) == 1 and "," in first else "\t"
    numbers = text.table(content, where, separator, len(head), len(text.cells(first, separator)))
    labels = [label.strip() for label in re.split(r"[,\t]", known.get("labels", "")) if label.strip()]
    names = labels if len(labels) == numbers.shape[1] else [f"column{i + 1}" for i in range(numbers.shape[1])]
    more = {"attrs": {"resolution_bits": known["resolution"]}} if "resolution" in known else {}
    return plain(names, rate, "", numbers.T, **more)


def _hdf5(where: str, root: Any, variable: str | None) -> Signals:
    """A group per device; `raw` holds a column per channel, `digital` the lines."""
    blocks = []
    for name in root:
        device = root[name]
        if (variable is not None and name != variable) or "raw" not in device or "sampling rate" not in device.attrs:
            continue
        rate = float(device.attrs["sampling rate"])
        raw = device["raw"]
        channels = sorted((key for key in raw if key.startswith("channel_")), key=lambda key: int(key[8:]))
        if not channels:
            continue
        table = np.stack([np.asarray(raw[key][()]).ravel() for key in channels])
        words = [str(raw[key].attrs.get("sensor", "")).strip() for key in channels]
        names = unique(
            [f"{word} {key}" if word and word != "RAW" else key for word, key in zip(words, channels, strict=True)]
        )
        bits = np.ravel(device.attrs.get("resolution", [])).tolist()
        values = smallest(table.astype(np.int64)) if table.dtype.kind in "iu" else table.astype(np.float32)
        ones = np.ones(len(names))
        blocks.append((name, Signals(names, rate, ("",) * len(names), values, ones, attrs={"resolution_bits": bits})))
    if not blocks:
        raise InputError(f"{where}: has no device with raw channels")
    return joined(blocks)
