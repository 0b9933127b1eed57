"""delsys: text exports of Delsys' EMGworks and Trigno Discover; their binary projects are refused with what to do."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats import clock, text
from myoflow.formats.base import FORMATS, Beside, Format, Signals, joined, plain
from myoflow.readers.source import File

_LABEL = re.compile(
    r"^\"?Label: (.+?) Sampling frequency: ([\d.eE+-]+) Number of points: (\d+) "
    r"start: ([\d.eE+-]+) Unit: (.*?) Domain Unit: s"
)
_RATED = re.compile(r"^(.*?)\s*\(([\d.]+)\)\s*$")


@FORMATS.add("delsys")
class Delsys(Format):
    """Channels grouped by rate, those with EMG first.

    EMGworks writes a line per channel (`Label: ... Sampling frequency: ...`) and then pairs of time and value;
    Discover writes the sensors, then `EMG 1 (1925.926)` and so on, and fills short columns up with zeros.
    """

    suffixes = (".csv", ".tsv", ".txt")
    rank = 3
    what = "a text export of Delsys EMGworks or Trigno Discover"

    def fits(self, data: bytes) -> bool:
        head = data[:20000].decode("latin-1").removeprefix("ï»¿").splitlines()[:2]
        if head and _LABEL.match(head[0]):
            return True
        titles = [cell for cell in head[1].split(",") if cell] if len(head) == 2 and "(" in head[0] else []
        return bool(titles) and all(_RATED.match(title) for title in titles)

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if data and not self.fits(data):
            raise InputError(f"{file.where}:1: is not {self.what}")
        content = text.decode(data, file.where)
        return (_emgworks if content.startswith(("Label:", '"Label:')) else _discover)(file.where, content)


def _emgworks(where: str, content: str) -> Signals:
    lines = content.split("\n", 4000)[:4000]
    found = []
    for line in lines:
        match = _LABEL.match(line)
        if match is None:
            break
        found.append((match[1], float(match[2]), int(match[3]), match[5]))
    start = next((i + 1 for i in range(len(found), len(lines)) if lines[i].startswith(("X[s]", '"X[s]'))), None)
    if start is None:
        raise InputError(f"{where}:{len(found) + 1}: no line of columns (X[s], ...) follows the channels")
    width = len(text.cells(lines[start - 1], ","))
    if width != 2 * len(found):
        raise InputError(
            f"{where}:{start}: has {width} columns for {len(found)} channels; expected a time and a value each"
        )
    numbers = text.table(content, where, ",", start, width)
    groups: dict[float, list[tuple[str, str, npt.NDArray[np.float64]]]] = {}
    notes = []
    for i, (name, rate, points, unit) in enumerate(found):
        column = numbers[:, 2 * i + 1]
        kept = _without_tail(column)
        if len(kept) != points:
            notes.append(f"{name}: {points:,} points are promised, {len(kept):,} are there")
        measured = clock.even_rate(numbers[: len(kept), 2 * i])
        if measured is not None and abs(measured - rate) > 0.01 * rate:
            raise InputError(f"{where}: {name}: rate {rate:g} Hz, but its times step at {measured:g} Hz")
        groups.setdefault(rate, []).append((name, unit, kept))
    return joined([_block(where, rate, members) for rate, members in groups.items()], notes=tuple(notes))


def _discover(where: str, content: str) -> Signals:
    lines = content.split("\n", 3)
    sensor, sensors = "", []
    for cell in text.cells(lines[0], ","):
        sensor = cell or sensor
        sensors.append(sensor)
    titles = text.cells(lines[1], ",")
    rated = [_RATED.match(title) for title in titles]
    numbers = text.table(content, where, ",", 2, len(titles))
    fastest = max(float(match[2]) for match in rated if match)
    groups: dict[float, list[tuple[str, str, npt.NDArray[np.float64]]]] = {}
    for i, match in enumerate(rated):
        if match is None:
            raise InputError(f"{where}:2: column {i + 1} has no rate in brackets: '{titles[i][:40]}'")
        rate = float(match[2])
        count = min(len(numbers), round(len(numbers) * rate / fastest))  # zeros fill the rest up
        tail = numbers[count:, i]
        if np.nan_to_num(tail).any():
            count += int(np.flatnonzero(np.nan_to_num(tail))[-1]) + 1
        unit = "g" if match[1].startswith("ACC") else "deg/s" if match[1].startswith("GYRO") else ""
        name = f"{sensors[i]} {match[1]}" if i < len(sensors) and len(set(sensors)) > 1 else match[1]
        groups.setdefault(rate, []).append((name, unit, numbers[:count, i]))
    return joined([_block(where, rate, members) for rate, members in groups.items()])


def _block(where: str, rate: float, members: list[tuple[str, str, npt.NDArray[np.float64]]]) -> tuple[str, Signals]:
    count = min(len(column) for _, _, column in members)
    if not count:
        raise InputError(f"{where}: {members[0][0]} has no samples")
    units = [unit.strip().replace("µ", "u").replace("μ", "u") for _, unit, _ in members]
    table = np.stack([column[:count] for _, _, column in members])
    return f"{rate:g}Hz", plain([name for name, _, _ in members], rate, units, table)


def _without_tail(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A column without the empty fields at its end."""
    there = np.flatnonzero(~np.isnan(column))
    return column[: there[-1] + 1] if len(there) else column[:0]


@FORMATS.add("delsys_project")
class DelsysProject(Format):
    """Projects of Trigno Discover and EMGworks, which only Delsys' programs open."""

    suffixes = (".shpf", ".delsys", ".hpf")
    what = "a Delsys project"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        raise InputError(
            f"{file.where}: Delsys' project files (.delsys, .shpf, .hpf) have no published layout and are not read; "
            "export the trial as CSV from Trigno Discover or EMGworks and give that"
        )
