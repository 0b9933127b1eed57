"""brainvision: Brain Products' triple of header (.vhdr), markers (.vmrk) and samples (.eeg), binary only."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from myoflow.errors import InputError
from myoflow.formats import text
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, unique
from myoflow.readers.source import File

_KINDS = {"INT_16": "i2", "UINT_16": "u2", "INT_32": "i4", "IEEE_FLOAT_32": "f4"}
_ENTRY = re.compile(r"^\s*([^=;]+?)\s*=(.*)$")
_UNITS = {"µV": "uV", "μV": "uV", "": "uV"}  # the format's own default
Sections = dict[str, dict[str, str]]


@FORMATS.add("brainvision")
class BrainVision(Format):
    """Channels with the resolution that the header gives them, markers as events; `New Segment` is no event.

    Files that were renamed together still point to each other by their old names; then the one of the same stem counts.
    """

    suffixes = (".vhdr", ".ahdr")
    what = "a BrainVision header"

    def fits(self, data: bytes) -> bool:
        return b"Brain" in data[:40] and b"Header" in data[:80]

    def companions(self, file: File, names: Sequence[str]) -> tuple[str, ...]:
        common = _sections(text.decode(file.read(), file.where)).get("common infos", {})
        found = (_partner(file.name, common.get(key, ""), names, ends) for key, ends in _PARTNERS)
        return tuple(name for name in found if name)

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        content = text.decode(file.read(), file.where)
        if not self.fits(content[:80].encode()):
            raise InputError(f"{file.where}:1: is not {self.what}: '{content[:40].splitlines()[0]}'")
        sections = _sections(content)
        common = sections.get("common infos", {})
        if common.get("dataformat", "BINARY").upper() != "BINARY":
            raise InputError(f"{file.where}: its samples are in text (DataFormat=ASCII); export them as BINARY")
        kind = _KINDS.get(sections.get("binary infos", {}).get("binaryformat", "INT_16").upper())
        if kind is None:
            raise InputError(f"{file.where}: BinaryFormat is none of {', '.join(_KINDS)}")
        order = ">" if sections.get("binary infos", {}).get("usebigendianorder", "NO").upper() == "YES" else "<"
        count = int(common["numberofchannels"])
        rate = 1e6 / float(common["samplinginterval"])
        names, units, gain = _channels(file.where, sections.get("channel infos", {}), count)
        data_name = _partner(file.name, common.get("datafile", ""), tuple(beside), _PARTNERS[0][1])
        if data_name is None:
            raise InputError(f"{file.where}: its samples ({common.get('datafile') or 'DataFile'}) are not beside it")
        data = beside[data_name].read()
        item = np.dtype(order + kind)
        if not data or len(data) % (item.itemsize * count):
            raise InputError(
                f"{beside[data_name].where}: byte {len(data)}: ends inside a sample of {count} channels; it is cut off"
            )
        flat = np.frombuffer(data, item)
        vector = common.get("dataorientation", "MULTIPLEXED").upper() == "VECTORIZED"
        table = flat.reshape(count, -1) if vector else flat.reshape(-1, count).T
        values = table.astype({"i2": np.int16, "u2": np.int32, "i4": np.int32, "f4": np.float32}[kind])
        marker = _partner(file.name, common.get("markerfile", ""), tuple(beside), _PARTNERS[1][1])
        events = _markers(beside[marker], rate) if marker else ()
        return Signals(names, float(f"{rate:.10g}"), units, values, np.array(gain), events=events)


_PARTNERS = (("datafile", (".eeg", ".dat", ".avg", ".seg")), ("markerfile", (".vmrk", ".amrk")))


def _partner(own: str, given: str, names: Sequence[str], ends: tuple[str, ...]) -> str | None:
    """The file that a header points to, by name or, where that is gone, of the header's own stem."""
    base, stem = given.strip().replace("$b", own.rsplit("/", 1)[-1].rsplit(".", 1)[0]), own.rsplit(".", 1)[0]
    wanted = {name.rsplit("/", 1)[-1]: name for name in names}
    if base in wanted:
        return wanted[base]
    return next(
        (name for name in names for end in ends if name.rsplit("/", 1)[-1] == stem.rsplit("/", 1)[-1] + end), None
    )


def _sections(content: str) -> Sections:
    """The INI file with lower-case keys; the section [Comment] is free text."""
    found: Sections = {}
    name = ""
    for line in content.split("\n"):
        if line.startswith("[") and "]" in line:
            name = line[1 : line.index("]")].strip().lower()
        elif name != "comment" and (match := _ENTRY.match(line)):
            found.setdefault(name, {})[match[1].lower()] = match[2].strip()
    return found


def _channels(where: str, entries: dict[str, str], count: int) -> tuple[tuple[str, ...], tuple[str, ...], list[float]]:
    """Names, units and gains from `ChN=name,reference,resolution,unit`."""
    if not 1 <= count <= 100_000:
        raise InputError(f"{where}: NumberOfChannels={count} cannot be")
    names, units, gain = [], [], []
    for i in range(count):
        parts = [*entries.get(f"ch{i + 1}", "").split(","), "", "", "", ""]
        try:
            factor = float(parts[2]) if parts[2].strip() else 1.0
        except ValueError:
            raise InputError(f"{where}: Ch{i + 1}: resolution '{parts[2][:20]}' is not a number") from None
        names.append(parts[0].replace("\\1", ","))
        units.append(_UNITS.get(parts[3].strip(), parts[3].strip()))
        gain.append(factor)
    return unique(names), tuple(units), gain


def _markers(file: File, rate: float) -> tuple[Mark, ...]:
    """`MkN=type,description,position,size,channel`; positions count from 1."""
    entries = _sections(text.decode(file.read(), file.where)).get("marker infos", {})
    marks = []
    for key, entry in entries.items():
        parts = entry.split(",")
        try:
            position, size = float(parts[2]), float(parts[3] or 0)
        except (IndexError, ValueError):
            raise InputError(f"{file.where}: {key}: '{entry[:40]}' has no position and size") from None
        if parts[0] != "New Segment":
            word = parts[1].strip().replace("\\1", ",") or parts[0]
            marks.append(Mark((position - 1) / rate, (size if size > 1 else 0.0) / rate, word))
    return tuple(sorted(marks, key=lambda mark: mark.onset_s))
