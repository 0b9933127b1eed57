"""epn612_files: what one user's file of EMG-EPN-612 holds, from JSON or from the authors' .mat."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.errors import InputError
from myoflow.readers.matlab import load
from myoflow.readers.mcos import Objects
from myoflow.readers.source import File
from myoflow.recording import Stream

SETS = ("training", "testing")
GESTURES = ("noGesture", "waveIn", "waveOut", "pinch", "open", "fist")
COUNTS = 128  # the .mat holds counts / 128
IMU_HZ = 50.0
_IMU = {
    "gyroscope": ("gyro", "deg/s", "xyz"),
    "accelerometer": ("accel", "g", "xyz"),
    "quaternion": ("quat", "1", "wxyz"),
}


@frozen(eq=False)
class Sample:
    """One sample of about 5 s: `emg` (8, time) in counts; `truth` (time,) is 1 where the hand moves.

    `gesture` is None where the file tells none. `streams` are the inertial sensors at 50 Hz.
    """

    emg: npt.NDArray[np.int8]
    gesture: str | None
    truth: npt.NDArray[np.int8]
    streams: dict[str, Stream]


@frozen(eq=False)
class User:
    """A user's samples by set, and what is said about the person."""

    sets: dict[str, tuple[Sample, ...]]
    info: dict[str, Any]
    repairs: tuple[str, ...] = field(default=())


def parse_json(data: bytes, where: str) -> User:
    """The JSON original. Raises InputError naming line and column, or the field."""
    try:
        whole = json.loads(data)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}:{error.lineno}:{error.colno}: is not JSON: {error.msg}. Is the download complete?"
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: is not text (byte 0x{data[error.start]:02x})") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{where}:1: is not JSON of this set: {error}") from error
    rate = _get(whole, ("generalInfo",), where).get("samplingFrequencyInHertz", 200)
    if rate != 200:
        raise InputError(f"{where}: generalInfo.samplingFrequencyInHertz is {rate}, expected 200")
    repairs: list[str] = []
    sets = {}
    for chosen in SETS:
        key = f"{chosen}Samples"
        found = _get(whole, (key,), where)
        order = sorted(found, key=_number)
        if not order or any(_number(name) != i for i, name in enumerate(order, start=1)):
            raise InputError(f"{where}: {key}: expected idx_1, idx_2, ...; found {', '.join(order[:3]) or 'nothing'}")
        sets[chosen] = tuple(_json_sample(found, name, f"{where}: {key}.{name}", repairs) for name in order)
    _all_told(sets["training"], where)
    return User(sets, _info(_get(whole, ("userInfo",), where)), tuple(repairs))


def _json_sample(found: dict[str, Any], name: str, at: str, repairs: list[str]) -> Sample:
    raw = _get(found, (name,), at)
    channels = _get(raw, ("emg",), at)
    emg = _counts(_table(channels, tuple(f"ch{i}" for i in range(1, 9)), f"{at}.emg"), f"{at}.emg")
    streams = {}
    for key, (stream, units, axes) in _IMU.items():
        if key in raw:
            values = _table(_get(raw, (key,), at), tuple(axes), f"{at}.{key}").astype(np.float64)
            streams[stream] = _imu(stream, values, units, axes)
    return Sample(
        emg, _gesture(raw.get("gestureName"), at), _truth(raw.get("groundTruthIndex"), emg, at, repairs), streams
    )


def _get(value: Any, path: tuple[str, ...], at: str) -> dict[str, Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise InputError(f"{at}: there is no object '{'.'.join(path)}'; this is not a user's file of EMG-EPN-612")
    return value


def _number(name: str) -> int:
    head, _, tail = name.partition("_")
    return int(tail) if head == "idx" and tail.isascii() and tail.isdigit() and len(tail) < 9 else -1


def _table(raw: dict[str, Any], names: tuple[str, ...], at: str) -> npt.NDArray[Any]:
    """Lists of equal length as `(name, time)`."""
    rows: list[list[float]] = []
    for name in names:
        row = raw.get(name)
        if not isinstance(row, list) or not row or not all(type(value) in (int, float) for value in row):
            raise InputError(f"{at}.{name}: expected a list of numbers")
        rows.append(row)
    if len({len(row) for row in rows}) != 1:
        raise InputError(f"{at}: its lists differ in length: {', '.join(str(len(row)) for row in rows)}")
    try:
        return np.array(rows, np.float64)
    except OverflowError as error:
        raise InputError(f"{at}: a number is too large") from error


def _counts(values: npt.NDArray[Any], at: str) -> npt.NDArray[np.int8]:
    """Armband counts; `values` are (channel, time)."""
    with np.errstate(invalid="ignore"):
        bad = ~((values == np.rint(values)) & (values >= -128) & (values <= 127))
    if bad.any():
        time, channel = (int(i) for i in np.argwhere(bad.T)[0])
        raise InputError(
            f"{at}: sample {time + 1} of channel {channel + 1} is {values[channel, time]:g}, not a count of -128..127"
        )
    return np.ascontiguousarray(values.astype(np.int8))


def _gesture(word: Any, at: str) -> str | None:
    if word in (None, "", "notProvided"):
        return None
    if word not in GESTURES:
        raise InputError(f"{at}: gestureName is '{word}', not one of {', '.join(GESTURES)}")
    return str(word)


def _truth(index: Any, emg: npt.NDArray[np.int8], at: str, repairs: list[str]) -> npt.NDArray[np.int8]:
    """1 from start to end, both counted from 1 and included."""
    out = np.zeros(emg.shape[1], np.int8)
    if index is None or (hasattr(index, "__len__") and not len(index)):
        return out
    try:
        start, end = (int(value) for value in index)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{at}: groundTruthIndex is {index}, expected two numbers") from error
    if not 1 <= start <= end <= len(out):
        name = at.rpartition(": ")[2]
        repairs.append(f"{name}: ground truth {start}..{end} reaches outside its {len(out)} samples: cut to them")
    out[max(0, start - 1) : max(0, end)] = 1
    return out


def _imu(name: str, values: npt.NDArray[Any], units: str, axes: str) -> Stream:
    return Stream(np.ascontiguousarray(values), IMU_HZ, units, tuple(f"{name}_{axis}" for axis in axes))


def _info(raw: dict[str, Any]) -> dict[str, Any]:
    """What is plain about a person, without the name."""
    plain = {key: value for key, value in raw.items() if isinstance(value, (str, int, float, bool))}
    finite = {key: value for key, value in plain.items() if not isinstance(value, float) or math.isfinite(value)}
    return {key: value for key, value in finite.items() if key not in ("name", "username")}


def _all_told(samples: tuple[Sample, ...], where: str) -> None:
    for number, sample in enumerate(samples, start=1):
        if sample.gesture is None:
            raise InputError(f"{where}: training sample {number} has no gestureName")


def parse_mat(file: File, data: bytes, labels: File | None = None) -> User:
    """The authors' conversion. Gesture names are MATLAB objects inside; where they cannot be read, `labels` (a
    labels.csv with the columns set, index, gesture) must tell them.

    Raises:
        InputError: naming the variable, the set and the sample.
    """
    mat = load(file, data, {"userData"})
    if "userData" not in mat:
        raise InputError(f"{file.where}: there is no variable userData; this is not a user's file of EMG-EPN-612")
    user = _record(mat.variables["userData"], f"{file.where}: userData")
    told: dict[tuple[str, int], str] | Objects
    try:
        told = Objects(mat.objects)
    except ValueError as error:
        told = _told(file, labels, str(error))
    repairs: list[str] = []
    sets = {}
    for chosen in SETS:
        cells = user.get(chosen)
        if not isinstance(cells, np.ndarray) or cells.dtype != object or not cells.size:
            raise InputError(f"{file.where}: userData.{chosen} is not a list of samples")
        samples = []
        for number, cell in enumerate(cells.ravel(), start=1):
            at = f"{file.where}: {chosen} {number}"
            samples.append(_mat_sample(_record(cell, at), told, (chosen, number), at, repairs, labels, file))
        sets[chosen] = tuple(samples)
    _all_told(sets["training"], file.where)
    info = _record(user.get("userInfo"), f"{file.where}: userData.userInfo")
    plain = {key: np.asarray(value).ravel()[0].item() for key, value in info.items() if np.asarray(value).size == 1}
    return User(sets, _info(plain), tuple(repairs))


def _mat_sample(
    raw: dict[str, Any],
    told: dict[tuple[str, int], str] | Objects,
    key: tuple[str, int],
    at: str,
    repairs: list[str],
    labels: File | None,
    file: File,
) -> Sample:
    emg = _counts(_numbers(raw, "emg", 8, at, COUNTS).T, f"{at}: emg")
    word: str | None = None
    if isinstance(told, Objects):
        if "gestureName" in raw:
            try:
                word = told.categorical(raw["gestureName"])
            except ValueError as error:
                word = _told(file, labels, f"{'.'.join(map(str, key))}: {error}").get(key)
    else:
        word = told.get(key)
    streams = {}
    for _, (name, units, axes) in list(_IMU.items())[:2]:
        if name in raw:
            streams[name] = _imu(name, _numbers(raw, name, 3, at).T, units, axes)
    index = raw.get("groundTruthIndex")
    truth = _truth(None if index is None else np.asarray(index).ravel(), emg, at, repairs)
    return Sample(emg, _gesture(word, at), truth, streams)


def _record(value: Any, at: str) -> dict[str, Any]:
    """A 1 x 1 struct as a dict."""
    flat = np.asarray(value).ravel()
    if len(flat) != 1 or flat.dtype.names is None:
        raise InputError(f"{at}: is not a struct")
    return {name: flat[0][name] for name in flat.dtype.names}


def _numbers(raw: dict[str, Any], name: str, columns: int, at: str, scale: int = 1) -> npt.NDArray[np.float64]:
    values = np.asarray(raw.get(name))
    if values.dtype.kind not in "iuf" or values.ndim != 2 or values.shape[1] != columns or not len(values):
        raise InputError(f"{at}: {name} is not a table of numbers with {columns} columns")
    with np.errstate(all="ignore"):  # damaged values may be anything
        return values.astype(np.float64) * scale


def _told(file: File, labels: File | None, why: str) -> dict[tuple[str, int], str]:
    """Gestures by set and 1-based number from a labels.csv."""
    if labels is None:
        raise InputError(
            f"{file.where}: its gesture names are MATLAB categoricals that cannot be read ({why}). Put a labels.csv "
            "with the columns set (training, testing), index (from 1) and gesture beside it"
        )
    found: dict[tuple[str, int], str] = {}
    try:
        rows = csv.DictReader(io.StringIO(labels.read().decode("utf-8-sig")))
        for row in rows:
            found[row["set"], int(row["index"])] = row["gesture"]
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"{labels.where}: expected a table with the columns set, index, gesture ({what})") from error
    return found
