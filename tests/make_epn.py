"""Makes small users of EMG-EPN-612: the JSON original, and the authors' .mat with its MATLAB categoricals.

scipy cannot write objects, so the .mat is packed here, element by element, as MATLAB 2020 wrote user10's.
"""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

GESTURES = ("noGesture", "waveIn", "waveOut", "fist", "open", "pinch")
SETS = ("training", "testing")
Sample = dict[str, Any]


def user(seed: int, *, each: int = 25, rows: int = 24) -> dict[str, list[Sample]]:
    """Samples by set: emg (N, 8) counts, gyro and accel (M, 3), gesture, begin, truth (start, end from 1) or None."""
    rng = np.random.default_rng(seed)
    made: dict[str, list[Sample]] = {}
    for chosen in SETS:
        made[chosen] = []
        for gesture in GESTURES:
            for _ in range(each):
                count = int(rng.integers(rows, rows + 8))
                start = int(rng.integers(2, count // 2))
                made[chosen].append(
                    {
                        "emg": rng.integers(-128, 128, (count, 8)),
                        "gyro": np.round(rng.normal(0, 9, (count // 4 + 1, 3)) * 16) / 16,
                        "accel": np.round(rng.normal(0, 1, (count // 4 + 1, 3)), 4),
                        "gesture": gesture,
                        "begin": start,
                        "truth": None if gesture == "noGesture" else (start, count - 2),
                    }
                )
    return made


def as_json(samples: dict[str, list[Sample]], *, name: str = "user1", labelled: bool = True) -> dict[str, Any]:
    """A user's JSON. Testing users' testing samples bear neither gesture nor truth (`labelled=False`)."""
    whole: dict[str, Any] = {
        "generalInfo": {"deviceType": "Myo Armband", "samplingFrequencyInHertz": 200, "recordingTimeInSeconds": 5},
        "userInfo": {"name": name, "age": 21, "gender": "man", "handedness": "right", "ArmDamage": False},
        "synchronizationGesture": {"samples": {}},
    }
    for chosen in SETS:
        table = {}
        for i, sample in enumerate(samples[chosen], start=1):
            item: dict[str, Any] = {
                "startPointforGestureExecution": sample["begin"],
                "myoDetection": [0] * len(sample["gyro"]),
                "quaternion": {axis: [1.0] * len(sample["gyro"]) for axis in "wxyz"},
                "emg": {f"ch{k + 1}": sample["emg"][:, k].tolist() for k in range(8)},
                "gyroscope": {axis: sample["gyro"][:, k].tolist() for k, axis in enumerate("xyz")},
                "accelerometer": {axis: sample["accel"][:, k].tolist() for k, axis in enumerate("xyz")},
            }
            if labelled or chosen == "training":
                item["gestureName"] = sample["gesture"]
                if sample["truth"] is not None:
                    start, end = sample["truth"]
                    item["groundTruthIndex"] = [start, end]
                    item["groundTruth"] = [int(start <= n <= end) for n in range(1, len(sample["emg"]) + 1)]
            table[f"idx_{i}"] = item
        whole[f"{chosen}Samples"] = table
    return whole


def make_epn(folder: Path, users: int = 1, **changes: Any) -> dict[str, dict[str, list[Sample]]]:
    """Write trainingJSON and testingJSON with `users` each; gives their samples by file name."""
    made = {}
    for group in SETS:
        for number in range(1, users + 1):
            name = f"{group}JSON/user{number}/user{number}.json"
            made[name] = user(number + 100 * (group == "testing"), **changes)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            whole = as_json(made[name], name=f"user{number}", labelled=group == "training")
            (folder / name).write_text(json.dumps(whole), encoding="utf-8")
    return made


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def _matrix(kind: int, dims: tuple[int, ...], *parts: bytes, name: str = "") -> bytes:
    shape = struct.pack(f"<{len(dims)}i", *dims)
    head = _element(6, struct.pack("<II", kind, 0)) + _element(5, shape) + _element(1, name.encode())
    return _element(14, head + b"".join(parts))


def _numbers(values: Any) -> bytes:
    array = np.atleast_2d(values)
    kind, code = {"float64": (6, 9), "uint8": (9, 2), "uint16": (11, 4), "uint32": (13, 6)}[array.dtype.name]
    return _matrix(kind, array.shape, _element(code, array.tobytes(order="F")))


def _text(word: str) -> bytes:
    return _matrix(4, (1, len(word)), _element(4, word.encode("utf-16-le")))


def _cells(items: list[bytes], *, name: str = "") -> bytes:
    return _matrix(1, (len(items), 1), *items, name=name)


def _struct(fields: dict[str, bytes], *, name: str = "") -> bytes:
    width = max(len(key) for key in fields) + 1
    names = b"".join(key.encode().ljust(width, b"\0") for key in fields)
    length = struct.pack("<HHI", 5, 4, width)
    return _matrix(2, (1, 1), length, _element(1, names), *fields.values(), name=name)


def _opaque(kind: str, content: bytes) -> bytes:
    words = b"".join(_element(1, word.encode()) for word in ("", "MCOS", kind))
    return _element(14, _element(6, struct.pack("<II", 17, 0)) + words + content)


def _categorical(number: int) -> bytes:
    return _opaque("categorical", _numbers(np.array([[0xDD000000], [2], [1], [1], [number], [1]], np.uint32)))


def _objects(words: list[str]) -> bytes:
    """The hidden variable: a table of categoricals, each of its one word, and the cells with their properties."""
    names = b"categoryNames\0codes\0categorical\0isProtected\0isOrdinal\0"
    names += bytes(-len(names) % 8)
    classes = struct.pack("<8I", 0, 0, 0, 0, 0, 3, 0, 0)
    objects, entries = bytes(24), bytes(8)
    cells = []
    for i, word in enumerate(words, start=1):
        objects += struct.pack("<6I", 1, 0, 0, 0, i, i)
        entries += struct.pack("<8I", 2, 1, 1, len(cells), 2, 1, len(cells) + 1, 0)
        cells += [_cells([_text(word)]), _numbers(np.array([[1]], np.uint8))]
    ends = np.cumsum([40 + len(names), len(classes), 0, len(objects), len(entries), 8 * (len(words) + 1)])
    table = struct.pack("<10I", 3, 5, *ends, 0, 0) + names + classes + objects + entries
    table += bytes(8 * (len(words) + 1))
    all_cells = [_numbers(np.frombuffer(table, np.uint8)[:, None]), _numbers(np.zeros((0, 1), np.uint8)), *cells]
    inner = _struct({"MCOS": _opaque("FileWrapper__", _cells(all_cells))})
    content = np.frombuffer(b"\0\1IM\0\0\0\0" + inner, np.uint8)
    return _numbers(content[None])


def as_mat(samples: dict[str, list[Sample]], *, name: str = "user1", objects: bool = True) -> bytes:
    """A user's userData.mat; without `objects` the hidden variable is missing, as after a copy through other tools."""
    words: list[str] = []
    fields = {"userInfo": _struct({"name": _text(name), "age": _numbers(np.array([[21]], np.uint8))})}
    for chosen in SETS:
        items = []
        for sample in samples[chosen]:
            words.append(sample["gesture"])
            item = {
                "emg": _numbers(sample["emg"] / 128),
                "pointGestureBegins": _numbers(np.array([[sample["begin"]]], np.uint16)),
                "pose_myo": _numbers(np.zeros((len(sample["gyro"]), 1), np.uint8)),
                "gyro": _numbers(sample["gyro"]),
                "accel": _numbers(sample["accel"]),
                "gestureName": _categorical(len(words)),
            }
            if sample["truth"] is not None:
                item["groundTruthIndex"] = _numbers(np.array([sample["truth"]], np.uint16))
            items.append(_struct(item))
        fields[chosen] = _cells(items)
    data = _struct(fields, name="userData")
    text = b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(116)
    offset = 128 + len(data) if objects else 0
    head = text + struct.pack("<Q", offset) + b"\0\1IM"
    return head + data + (_objects(words) if objects else b"")


def labels_csv(path: Path, samples: dict[str, list[Sample]]) -> None:
    """The table that tells gestures where the objects cannot."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["set", "index", "gesture"])
        for chosen in SETS:
            out.writerows([chosen, i, sample["gesture"]] for i, sample in enumerate(samples[chosen], start=1))
