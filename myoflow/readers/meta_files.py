"""meta_files: what stands in Meta's HDF5 files: tables of named columns, read a piece at a time, and lists of texts."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats.base import guard, missing
from myoflow.readers.base import listed
from myoflow.readers.source import File
from myoflow.recording import RawArray, in_blocks

if TYPE_CHECKING:
    from myoflow.card import Card

WHAT = "one of Meta's EMG files (HDF5)"
JOINTS = tuple(
    f"{finger}_{joint}"
    for finger, joints in {
        "thumb": ("cmc_fe", "cmc_aa", "mcp_fe", "ip_fe"),
        **{name: ("mcp_aa", "mcp_fe", "pip_fe", "dip_fe") for name in ("index", "middle", "ring", "pinky")},
    }.items()
    for joint in joints
)
_STILL = 1e-8  # rad: poses that the authors' inverse kinematics could not find are all zeros
_ROWS = 1 << 16  # read at once
_IN_MEMORY = 32 << 20  # bytes of EMG up to which a recording is an array, not blocks
_LONGEST_H = 6

Row = tuple[float, float, str]  # begin, end (s, the file's clock), label


@attrs.frozen
class Layout:
    """Where things stand in a file. `streams` are other fields: name, units, channels."""

    table: str
    emg: tuple[str, ...]
    streams: dict[str, tuple[str, tuple[str, ...]]]
    lists: str  # what the metadata file is called
    file: str  # its column that names a recording's file, without the suffix


LAYOUTS = {
    "emg2pose": Layout(
        "emg2pose/timeseries",
        ("emg",),
        {"joint_angles": ("rad", JOINTS)},
        r"(?:^|/)(?:emg2pose_)?metadata\.csv$",
        "filename",
    ),
    "emg2qwerty": Layout("emg2qwerty/timeseries", ("emg_left", "emg_right"), {}, r"(?:^|/)metadata\.csv$", "session"),
    "neuromotor": Layout(
        "data",
        ("emg",),
        {"wrist_angles": ("rad", ("flexion_extension", "radial_ulnar_deviation"))},
        r"(?:^|/){task}_corpus\.csv$",
        "dataset",
    ),
}


@contextmanager
def opened(file: File) -> Iterator[Any]:
    """The file's root; one on disk is not read whole."""
    try:
        import h5py
    except ImportError as error:
        raise missing(file.where, "HDF5", "h5py") from error
    with guard(file.where, WHAT):
        if file.path is None and not file.read():
            raise InputError(f"{file.where}: the file is empty; expected {WHAT}")
        with h5py.File(file.path if file.path is not None else io.BytesIO(file.read()), "r") as root:
            yield root


def _blocks(file: File, table: str, fields: Sequence[str], rows: int, fill: bool) -> Iterator[npt.NDArray[np.float32]]:
    """`(channel, time)` of some fields, side by side, a piece at a time; with `fill`, what is no number is 0."""
    with opened(file) as root:
        for start in range(0, rows, _ROWS):
            part = root[table][start : min(rows, start + _ROWS)]
            values = np.concatenate([part[field] for field in fields], axis=1).astype(np.float32)
            if fill:
                np.nan_to_num(values, copy=False, nan=0, posinf=0, neginf=0)
            yield np.ascontiguousarray(values.T)


def values_of(file: File, table: str, fields: Sequence[str], shape: tuple[int, int], fill: bool = False) -> RawArray:
    """Fields side by side, `(channel, time)` in single precision: an array, or blocks where that would be large."""
    whole = in_blocks(shape, np.float32, partial(_blocks, file, table, fields, shape[1], fill))
    return np.asarray(whole) if 4 * shape[0] * shape[1] <= _IN_MEMORY else whole


@attrs.frozen
class Survey:
    """What one pass over a table tells. `still` marks rows whose angles are all zero."""

    time: npt.NDArray[np.float64]
    still: npt.NDArray[np.bool_]
    holes: int
    streams: tuple[str, ...]


def survey(card: Card, layout: Layout, file: File, root: Any) -> Survey:
    """Check a table's fields and read its clock."""
    if layout.table not in root:
        raise InputError(f"{file.where}: has no table {layout.table}; it has {listed(list(root)) or 'nothing'}")
    table = root[layout.table]
    names = table.dtype.names if hasattr(table, "dtype") else None
    if not names or table.ndim != 1 or not len(table):
        raise InputError(f"{file.where}: {layout.table} is no table of rows with named columns, or is empty")
    each = len(card.channels) // len(layout.emg)
    streams = tuple(name for name in layout.streams if name in names)
    if layout.table.startswith("emg2pose"):
        streams = tuple(layout.streams)  # the set is nothing without them
    wanted = {"time": 0, **dict.fromkeys(layout.emg, each), **{name: len(layout.streams[name][1]) for name in streams}}
    for name, width in wanted.items():
        if name not in names:
            raise InputError(f"{file.where}: {layout.table} has no column {name}; it has {listed(names, 12)}")
        shape = table.dtype[name].shape
        if table.dtype[name].base.kind != "f" or shape != ((width,) if width else ()):
            raise InputError(
                f"{file.where}: {layout.table}: column {name} is {table.dtype[name]}, expected {width or 1} numbers"
            )
    if len(table) > _LONGEST_H * 3600 * card.rate:
        raise InputError(f"{file.where}: {layout.table} claims {len(table):,} rows, over {_LONGEST_H} hours")
    time, still, holes = np.empty(len(table)), np.zeros(len(table), bool), 0
    for start in range(0, len(table), _ROWS):
        part = table[start : start + _ROWS]
        place = slice(start, start + len(part))
        time[place] = part["time"]
        holes += sum(int(np.count_nonzero(~np.isfinite(part[name]))) for name in layout.emg)
        if "joint_angles" in streams:
            still[place] = (np.abs(part["joint_angles"]) <= _STILL).all(axis=1)
    if not np.isfinite(time).all():
        raise InputError(f"{file.where}: {layout.table} row {int(np.argmin(np.isfinite(time))) + 1}: time is no number")
    falls = np.flatnonzero(np.diff(time) < 0)
    if len(falls):
        raise InputError(f"{file.where}: {layout.table} row {int(falls[0]) + 2}: time runs backwards")
    return Survey(time, still, holes, streams)


def entries(file: File, head: Mapping[str, Any], name: str) -> list[Any]:
    if name not in head:
        raise InputError(f"{file.where}: has no attribute {name}; it has {listed(list(head)) or 'none'}")
    try:
        items = json.loads(text_of(head[name]))
    except ValueError as error:
        raise InputError(f"{file.where}: attribute {name} is no JSON: {error}") from error
    if not isinstance(items, list):
        raise InputError(f"{file.where}: attribute {name} is no list")
    return items


def span(file: File, group: str, index: int, item: Any, text: str) -> Row:
    """One entry with its begin, end and text; an entry without an end is a moment."""
    if isinstance(item, dict):
        begin: Any = item.get("start")
        end: Any = begin if item.get("end") is None else item["end"]
        word = item.get(text)
        numbers = isinstance(begin, (int, float)) and isinstance(end, (int, float))
        if numbers and isfinite(begin) and isfinite(end) and end >= begin and isinstance(word, str):
            return float(begin), float(end), word
    raise InputError(f"{file.where}: {group} {index + 1}: expected a start, a later end and a {text}, got {item!r:.80}")


def digest(file: File) -> str:
    if file.path is None:
        return hashlib.sha256(file.read()).hexdigest()
    with guard(file.where, WHAT), file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_of(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
