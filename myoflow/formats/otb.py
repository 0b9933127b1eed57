"""otb: OT Bioelettronica's OTB+ and OTB4 files: a tar of samples (.sig) and XML that describes them.

Scaling after the vendor's MATLAB scripts: a count is 3.3 V / 2^bits / gain in OTB+, ADC_Range / 2^bits / gain in OTB4.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Signals, joined, smallest, unique
from myoflow.readers.source import File

_SUPPLY_V = 3.3
_MOST = 1 << 34  # bytes in all
_MOST_XML = 16 << 20
_SIZES = {2: "<i2", 4: "<i4"}


@FORMATS.add("otb")
class Otb(Format):
    """One device's adapters as channels in the recorder's counts, scaled to volts."""

    suffixes = (".otb+", ".otb4", ".otb")
    what = "an OTB+ or OTB4 file"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if not data:
            raise InputError(f"{file.where}: the file is empty; expected {self.what}")
        parts: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            for member in packed:
                if member.isfile() and member.name.lower().endswith((".sig", ".xml")):
                    if sum(map(len, parts.values())) + member.size > _MOST:
                        raise InputError(f"{file.where}: unpacks to over {_MOST >> 30} GiB")
                    stream = packed.extractfile(member)
                    parts[member.name.rsplit("/", 1)[-1]] = stream.read() if stream else b""
        tracks = [name for name in parts if name.lower().startswith("tracks") and name.lower().endswith(".xml")]
        if tracks:
            return _otb4(file.where, parts, tracks)
        signals = sorted(name for name in parts if name.lower().endswith(".sig"))
        if not signals:
            raise InputError(f"{file.where}: holds no samples (.sig)")
        return joined([(name[:-4], _otb_plus(file.where, parts, name)) for name in signals])


def _otb_plus(where: str, parts: dict[str, bytes], name: str) -> Signals:
    described = name[:-4] + ".xml"
    if described not in parts:
        raise InputError(f"{where}: holds {name}, but not {described} that describes it")
    device = _tree(where, described, parts[described])
    bits, rate = int(device.attrib["ad_bits"]), float(device.attrib["SampleFrequency"])
    count = int(device.attrib["DeviceTotalChannels"])
    if bits != 16:
        raise InputError(f"{where}: {described}: samples of {bits} bits are not read in OTB+, only of 16")
    table = _table(where, name, parts[name], "<i2", count)
    gain, names = np.ones(count), [f"channel{i + 1}" for i in range(count)]
    for adapter in device.iter("Adapter"):
        start, factor = int(adapter.attrib["ChannelStartIndex"]), float(adapter.attrib["Gain"])
        for channel in adapter.iter("Channel"):
            spot = start + int(channel.attrib["Index"])
            if not 0 <= spot < count:
                raise InputError(
                    f"{where}: {described}: adapter {adapter.attrib.get('ID', '')} goes beyond channel {count}"
                )
            gain[spot] = factor
            names[spot] = f"{adapter.attrib.get('ID', '')} {channel.attrib.get('ID', spot + 1)}"
    scale = _SUPPLY_V / 2**bits / gain
    attributes = {"ManufacturersModelName": device.attrib.get("Name", ""), "Manufacturer": "OT Bioelettronica"}
    return Signals(unique(names), rate, ("V",) * count, smallest(table), scale, attrs=attributes)


def _otb4(where: str, parts: dict[str, bytes], documents: list[str]) -> Signals:
    blocks: dict[tuple[str, float], list[tuple[str, npt.NDArray[Any], float]]] = {}
    for document in sorted(documents):
        for track in _tree(where, document, parts[document]).iter("TrackInfo"):
            path = _word(where, track, "SignalStreamPath").replace("\\", "/").rsplit("/", 1)[-1]
            if path not in parts:
                raise InputError(f"{where}: {document} names {path}, which is not in it")
            bits, size = int(_word(where, track, "ADC_Nbits")), int(track.findtext("SampleSize") or 2)
            total, first, count = (
                int(_word(where, track, key))
                for key in ("TotalChannelsInFile", "AcquisitionChannel", "NumberOfChannels")
            )
            if size not in _SIZES or not 1 <= bits <= 32:
                raise InputError(f"{where}: {document}: samples of {size} bytes and {bits} bits are not read")
            if not 0 <= first < first + count <= total:
                raise InputError(f"{where}: {document}: channels {first} to {first + count} of {total} cannot be")
            table = _table(where, path, parts[path], _SIZES[size], total)[first : first + count]
            scale = float(_word(where, track, "ADC_Range")) / 2**bits / float(_word(where, track, "Gain"))
            title = track.findtext("SubTitle") or track.findtext("Title") or "track"
            rate = float(_word(where, track, "SamplingFrequency"))
            group = blocks.setdefault((path, rate), [])
            group += [(f"{title} {i + 1}", row, scale) for i, row in enumerate(table)]
    if not blocks:
        raise InputError(f"{where}: {documents[0]} describes no tracks")
    found = []
    for (path, rate), rows in blocks.items():
        names = unique([name for name, _, _ in rows])
        values = smallest(np.stack([row for _, row, _ in rows]))
        found.append((path, Signals(names, rate, ("V",) * len(rows), values, np.array([s for _, _, s in rows]))))
    return joined(found)


def _tree(where: str, name: str, data: bytes) -> ElementTree.Element:
    if len(data) > _MOST_XML or b"<!ENTITY" in data:
        raise InputError(f"{where}: {name} is no plain description (it is huge, or defines entities)")
    return ElementTree.fromstring(data)


def _word(where: str, track: ElementTree.Element, key: str) -> str:
    word = track.findtext(key)
    if not word:
        raise InputError(f"{where}: a track has no {key}")
    return word


def _table(where: str, name: str, data: bytes, kind: str, count: int) -> npt.NDArray[Any]:
    row = np.dtype(kind).itemsize * count
    if count < 1 or not data or len(data) % row:
        raise InputError(f"{where}: {name}: byte {len(data)}: ends inside a sample of {count} channels; it is cut off")
    return np.frombuffer(data, kind).reshape(-1, count).T
