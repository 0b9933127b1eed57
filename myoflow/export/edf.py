"""edf: writes EDF (16 bits) and BDF (24 bits).

Layout after Kemp and others (1992), https://www.edfplus.info/specs/edf.html, and BioSemi's page on BDF. Numbers of the
header have 8 characters, so a channel's range is chosen where that many say its gain best: to a hundredth of a count at
the greatest value, or to one part in a million where a channel uses its whole range.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import MyoflowError

_MOST = {2: (1 << 15) - 1, 3: (1 << 23) - 1}
_RECORD = 61440  # bytes, the most that EDF advises
_TRIED = 2000  # ranges, to find one that 8 characters hold exactly
_PIECE = 4 << 20  # bytes written at once
_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}


@frozen
class Written:
    """`padding` samples at the end repeat the last one, to fill a record; `units` is what the file's numbers are in.

    `quantum` is one step of each channel in `units`; `rounded` says that values had to be rounded to such steps.
    """

    path: Path
    units: str
    padding: int
    quantum: tuple[float, ...]
    rounded: bool


@frozen
class _Range:
    digital: int
    text: str  # of the physical value that `digital` stands for

    @property
    def gain(self) -> float:
        return float(self.text) / self.digital


def write_edf(
    stem: Path,
    values: npt.NDArray[Any],
    gain: npt.NDArray[np.float32],
    units: str,
    rate_hz: float,
    channels: tuple[str, ...],
) -> Written:
    """Write `values * gain[:, None]`, `(channel, time)` in `units`, to `stem` with `.edf`, or `.bdf` where 16 bits are
    too few. Integers up to 24 bits keep their counts; other numbers are rounded to 24 bits of their channel's range.

    Raises:
        MyoflowError: a value is no number, or too small or great for the header's 8 characters.
        OSError: the disk.
    """
    if not values.size:
        raise MyoflowError(f"{stem.name}: has no samples; EDF cannot say that")
    peak = [int(max(-int(row.min()), int(row.max()))) if row.dtype.kind == "i" else 0 for row in values]
    whole = values.dtype.kind == "i" and max(peak) <= _MOST[3]
    width = 2 if whole and max(peak) <= _MOST[2] else 3
    if not whole:
        values = values.astype(np.float64) * gain.astype(np.float64)[:, None]
        if not np.isfinite(values).all():
            raise MyoflowError(f"{stem.name}: channel '{channels[int(np.argmin(np.isfinite(values).all(1)))]}' has NaN")
        top = np.abs(values).max(axis=1)
        steps = [float(x) / _MOST[3] * (1 + 1e-4) or 1e-12 for x in top]
    else:
        steps = [float(x) for x in gain]
    unit, factor = _unit(units, max(abs(step) for step in steps) * _MOST[width])
    try:
        least = [max(high, _MOST[width] - _TRIED) for high in peak]
        ranges = [_range(step * factor, low, width) for step, low in zip(steps, least, strict=True)]
    except ValueError as error:
        raise MyoflowError(f"{stem.name}: the range of a channel does not fit EDF's header: {error}") from None
    if not whole:
        values = np.rint(values * factor / np.array([found.gain for found in ranges])[:, None]).astype(np.int32)
    samples = values.shape[1]
    record, seconds = _record(samples, rate_hz, max(1, _RECORD // (width * len(channels))))
    path = stem.with_name(stem.name + (".edf" if width == 2 else ".bdf"))
    with path.open("wb") as file:
        file.write(_header(width, ranges, unit, channels, -(-samples // record), record, seconds))
        step = record * max(1, _PIECE // (width * record * len(channels)))
        for at in range(0, samples, step):
            piece = values[:, at : at + step]
            short = -piece.shape[1] % record
            file.write(_bytes(np.pad(piece, ((0, 0), (0, short)), mode="edge"), record, width))
    return Written(path, unit, -samples % record, tuple(abs(found.gain) for found in ranges), not whole)


def _unit(units: str, top: float) -> tuple[str, float]:
    """uV, or another unit of voltage in which 8 characters hold the greatest value with most digits."""
    if units not in _VOLTS:
        return units, 1.0
    fit = {name: _VOLTS[units] / volts for name, volts in _VOLTS.items() if top * _VOLTS[units] / volts < 9e6}
    name = "uV" if top * fit.get("uV", 0) >= 10 else max(fit, key=lambda name: fit[name], default="V")
    return name, fit.get(name, 1.0)


@lru_cache(maxsize=4096)
def _range(gain: float, least: int, width: int) -> _Range:
    """The digital range, from `least` on, whose physical value 8 characters say best."""
    best: tuple[float, _Range] | None = None
    for digital in range(_MOST[width], least - 1, -1):
        text = _eight(abs(digital * gain))
        error = abs(float(text) / abs(digital * gain) - 1)
        if best is None or error < best[0]:
            best = error, _Range(digital, text if gain > 0 else "-" + text)
        if error < 1e-12:
            break
    assert best is not None, "`least` is at most the greatest count"
    return best[1]


def _eight(value: float) -> str:
    """A number in 7 characters, which leaves one for a sign."""
    for digits in range(6, -1, -1):
        text = f"{value:.{digits}f}"
        if len(text) <= 7 and float(text):
            return text
    raise ValueError(f"{value:g}")


def _record(samples: int, rate_hz: float, most: int) -> tuple[int, str]:
    """Samples of a record and its duration in 8 characters: such that times stay true, then that little is padded."""
    sizes = np.arange(1, min(samples, most) + 1)
    sizes = sizes[sizes >= min(len(sizes) // 20 + 1, int(rate_hz / 20) + 1)]
    texts = [_duration(size / rate_hz) for size in sizes.tolist()]
    known = np.array([float(text) for text in texts])
    fault = np.where(known > 0, np.abs(known * rate_hz / sizes - 1), 1.0)
    far = np.where(fault * samples > 0.25, fault, 0.0)  # more than a quarter of a sample, at the end
    best = int(np.lexsort((-sizes, np.round(fault, 9), -samples % sizes, far))[0])
    return int(sizes[best]), texts[best]


def _duration(seconds: float) -> str:
    text = f"{seconds:.{max(0, 7 - len(str(int(seconds))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _header(
    width: int, ranges: list[_Range], unit: str, channels: tuple[str, ...], records: int, record: int, seconds: str
) -> bytes:
    def field(value: object, size: int) -> bytes:
        text = str(value).encode("ascii", "replace")
        return text[:size].ljust(size)

    count = len(channels)
    head = (b"0".ljust(8) if width == 2 else b"\xffBIOSEMI") + field("X X X X", 80) + field("Startdate X X X X", 80)
    head += b"01.01.85" + b"00.00.00" + field(256 * (count + 1), 8) + field("" if width == 2 else "24BIT", 44)
    head += field(records, 8) + field(seconds, 8) + field(count, 4)
    low = [found.text[1:] if found.text.startswith("-") else "-" + found.text for found in ranges]
    columns: tuple[tuple[list[Any], int], ...] = (
        (_labels(channels), 16),
        ([""] * count, 80),
        ([unit] * count, 8),
        (low, 8),
        ([found.text for found in ranges], 8),
        ([-found.digital for found in ranges], 8),
        ([found.digital for found in ranges], 8),
        ([""] * count, 80),
        ([record] * count, 8),
        ([""] * count, 32),
    )
    return head + b"".join(field(value, size) for values, size in columns for value in values)


def _labels(channels: tuple[str, ...]) -> list[str]:
    """Names in 16 ASCII characters, told apart by their number; none that means something else."""
    plain = [re.sub(r"[^ -~]", "_", name).strip() for name in channels]
    short = [name[:16] if name not in ("Status", "EDF Annotations", "BDF Annotations") else "" for name in plain]
    return [
        name if name and short.count(name) == 1 else f"{name[: 15 - len(str(i))]}_{i}"
        for i, name in enumerate(short, start=1)
    ]


def _bytes(values: npt.NDArray[Any], record: int, width: int) -> bytes:
    """Records, channel after channel in each."""
    table = values.reshape(len(values), -1, record).swapaxes(0, 1)
    if width == 2:
        return table.astype("<i2").tobytes()
    return np.ascontiguousarray(table, "<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
