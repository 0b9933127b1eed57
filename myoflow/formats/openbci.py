"""openbci: the text files of the OpenBCI GUI, old and new, in microvolts."""

from __future__ import annotations

import re

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats import text
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, plain
from myoflow.readers.source import File

_RATE = re.compile(r"^%\s*Sample Rate\s*=\s*([\d.]+)", re.I | re.M)
_COUNT = re.compile(r"^%\s*Number of channels\s*=\s*(\d+)", re.I | re.M)
_WRAPS = 256  # the board numbers its samples 0 to 255


@FORMATS.add("openbci")
class OpenBci(Format):
    """`EXG` columns in uV; accelerometer and other numbers are streams; the marker column gives events.

    Numbers of lost packets are noted: the board counts its samples.
    """

    suffixes = (".txt", ".csv")
    rank = 3
    what = "a text file of the OpenBCI GUI"

    def fits(self, data: bytes) -> bool:
        return data[:40].lstrip(b"\xef\xbb\xbf").startswith(b"%OpenBCI")

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        content = text.decode(file.read(), file.where)
        lines = content.split("\n", 60)[:60]
        start = next((i for i, line in enumerate(lines) if re.match(r"^\s*-?\d", line)), None)
        rate, count = _RATE.search(content[:4000]), _COUNT.search(content[:4000])
        if not content.startswith("%OpenBCI") or rate is None or count is None:
            raise InputError(f"{file.where}:1: is not {self.what}: no '%OpenBCI', channels and sample rate")
        if start is None:
            raise InputError(f"{file.where}: has no samples below its header")
        width = len(text.cells(lines[start], ","))
        names = text.cells(lines[start - 1], ",") if start and not lines[start - 1].startswith("%") else []
        if len(names) != width:
            names = ["Sample Index", *(f"EXG Channel {i}" for i in range(int(count[1])))]
            names += [f"column {i + 1}" for i in range(len(names), width)]
        numbers = _table(file.where, content, start, names)
        hertz = float(rate[1])
        exg = [i for i, name in enumerate(names) if name.startswith("EXG")]
        if not exg:
            raise InputError(f"{file.where}:{start}: has no EXG columns")
        main = plain([names[i] for i in exg], hertz, "uV", numbers[:, exg].T)
        accel = [i for i, name in enumerate(names) if name.startswith("Accel")]
        streams = {"accel": plain([names[i] for i in accel], hertz, "g", numbers[:, accel].T)} if accel else {}
        marks = _marks(numbers[:, names.index("Marker Channel")], hertz) if "Marker Channel" in names else ()
        index = numbers[:, 0]
        steps = np.diff(index) % _WRAPS
        lost = int(np.nansum(np.where(steps > 1, steps - 1, 0))) if names[0] == "Sample Index" else 0
        notes = (f"{lost} samples were lost on the radio link, by the board's own count",) if lost else ()
        return attrs.evolve(main, streams=streams, events=marks, notes=notes)


def _table(where: str, content: str, start: int, names: list[str]) -> npt.NDArray[np.float64]:
    """The numbers; the last column may be a time of day, which is dropped."""
    if not names[-1].startswith("Timestamp (Formatted") and ":" not in content.split("\n", start + 1)[start]:
        return text.table(content, where, ",", start, len(names))
    lines = content.split("\n")
    kept = [line.rpartition(",")[0] if line.strip() else line for line in lines[start:]]
    return text.table("\n".join(lines[:start] + kept), where, ",", start, len(names) - 1)


def _marks(column: npt.NDArray[np.float64], rate: float) -> tuple[Mark, ...]:
    spots = np.flatnonzero(np.nan_to_num(column))
    return tuple(Mark(int(i) / rate, 0.0, f"{column[i]:g}") for i in spots)
