"""Makes small files in the exact layout of Meta's wristband sets: emg2pose, emg2qwerty, neuromotor interface."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

RATE = 2000.0
POSE = "2022-12-06-1670313600-e3096-cv-emg-pose-train@2-recording-9"
TYPED = "2020-08-13-1597363426-keystrokes-09456349"
START = 1_670_313_313.25  # s; a time that floats hold exactly


def clock(samples: int, start: float = START) -> np.ndarray:
    """Times of an even clock."""
    return start + np.arange(samples) / RATE


def table_of(samples: int, seed: int, **fields: tuple[str, int]) -> np.ndarray:
    """Rows of `time` and of random values, fields in the order given."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(samples, np.dtype([("time", "<f8"), *((name, kind, (n,)) for name, (kind, n) in fields.items())]))
    rows["time"] = clock(samples)
    for name, (_, width) in fields.items():
        rows[name] = rng.normal(size=(samples, width))
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def pose_file(path: Path, rows: np.ndarray, **attributes: Any) -> None:
    """One file of emg2pose."""
    with h5py.File(path, "w") as root:
        group = root.create_group("emg2pose")
        group.create_dataset("timeseries", data=rows, chunks=(min(500, len(rows)),), compression="gzip")
        group.attrs.update(
            {
                "filename": path.stem,
                "session": path.stem.rpartition("_")[0],
                "stage": "IndividualFingerPointingSnap_both",
                "user": "d387095792",
                "side": path.stem.rpartition("_")[2],
                "sample_rate": RATE,
                "num_channels": 16,
                "start": float(rows["time"][0]),
                "end": float(rows["time"][-1]),
            }
            | attributes
        )


def make_emg2pose(folder: Path) -> dict[str, np.ndarray]:
    """Write both hands of a recording and metadata.csv, which lists a file more; gives their rows."""
    made, listed = {}, []
    for seed, side in enumerate(("left", "right", "missing")):
        name = f"{POSE}_{side}"
        if side != "missing":
            rows = table_of(1500, seed, joint_angles=("<f8", 20), emg=("<f4", 16))
            rows["joint_angles"][:100] = rows["joint_angles"][700:710] = 0
            rows["joint_angles"][900, :19] = 0  # one angle is known: a pose
            pose_file(folder / f"{name}.hdf5", rows)
            made[side] = rows
        listed.append(
            {
                "session": POSE,
                "user": "d387095792",
                "stage": "IndividualFingerPointingSnap_both",
                "side": side,
                "moving_hand": "both",
                "held_out_user": "False",
                "held_out_stage": "False",
                "split": "train" if side == "left" else "val",
                "generalization": "",
                "filename": name,
            }
        )
    write_csv(folder / "metadata.csv", listed)
    return made


def keystroke(key: str, begin: float, end: float | None) -> dict[str, Any]:
    return {"key": key, "start": begin, "end": end}


def make_emg2qwerty(folder: Path) -> dict[str, Any]:
    """Write one session and metadata.csv; gives its rows, keys and prompts."""
    rows = table_of(4000, 5, emg_left=("<f4", 16), emg_right=("<f4", 16))
    t = rows["time"]
    keys = [
        keystroke("q", t[0] - 0.5, t[0] - 0.4),  # before the EMG
        keystroke("Key.shift_l", t[200], t[500]),
        keystroke("T", t[300], t[420]),
        keystroke("Key.f5", t[700], t[760]),
        keystroke("h", t[800], None),
        keystroke("Key.enter", t[3990], t[-1] + 0.1),  # let go after the EMG
        keystroke("x", t[-1] + 0.2, t[-1] + 0.3),  # after it
    ]
    prompts = [
        {"name": "pause", "start": t[0], "end": t[50], "payload": None},
        {"name": "text_prompt", "start": t[100], "end": t[1000], "payload": {"text": "The “café”⏎"}},
    ]
    with h5py.File(folder / f"{TYPED}.hdf5", "w") as root:
        group = root.create_group("emg2qwerty")
        group.create_dataset("timeseries", data=rows, chunks=(1000,), compression="gzip")
        group.attrs.update(
            {
                "session_name": TYPED,
                "user": "09456349",
                "condition": "on_keyboard",
                "duration_mins": len(rows) / RATE / 60,
                "keystrokes": json.dumps(keys),
                "prompts": json.dumps(prompts),
            }
        )
    listed = {"user": 9456349, "session": TYPED, "duration_mins": 0.03, "num_keystrokes": 7, "num_prompts": 2}
    write_csv(folder / "metadata.csv", [listed | {"condition": "on_keyboard", "quality_check_tags": "[]"}])
    return {"rows": rows, "keys": keys, "prompts": prompts}


def frame_group(root: Any, name: str, columns: Mapping[str, Any]) -> None:
    """A pandas table as `to_hdf` writes it (checked against pandas in the tests): a block of numbers, one of texts."""
    group = root.create_group(name)
    group.attrs.update({"pandas_type": np.bytes_("frame"), "encoding": np.bytes_("UTF-8"), "ndim": 2, "nblocks": 2})
    numbers = {key: column for key, column in columns.items() if not isinstance(column[0], str)}
    texts = {key: column for key, column in columns.items() if isinstance(column[0], str)}
    group["axis0"] = np.array(list(columns), "S")
    group["axis1"] = np.arange(len(next(iter(columns.values()))))
    group["block0_items"], group["block1_items"] = np.array(list(numbers), "S"), np.array(list(texts), "S")
    group["block0_values"] = np.array(list(numbers.values()), float).T
    held = group.create_dataset("block1_values", (1,), h5py.vlen_dtype(np.uint8))
    held[0] = np.frombuffer(pickle.dumps(np.array(list(texts.values()), object).T, 4), np.uint8)
    for key in ("block0_values", "block1_values"):
        group[key].attrs["transposed"] = np.uint8(1)


def make_neuromotor(folder: Path, task: str = "discrete_gestures") -> np.ndarray:
    """Write a recording of one of the three tasks and its corpus list; gives its rows."""
    angles = {"wrist_angles": ("<f4", 2)} if task == "wrist" else {}
    rows = table_of(3000, 9, emg=("<f4", 16), **angles)
    t = rows["time"]
    with h5py.File(folder / f"{task}_user_007_dataset_001.hdf5", "w") as root:
        root["data"] = rows
        root["data"].attrs["task"] = task
        if task == "discrete_gestures":
            moments = [t[400], t[400] + 0.0001, t[2000], t[-1] + 1]
            names = ["index_press", "thumb_up", "index_hold", "index_press"]
            frame_group(root, "prompts", {"name": names, "time": moments})
        elif task == "handwriting":
            frame_group(
                root,
                "prompts",
                {"prompt": ["hello world", "emg"], "start": [t[10], t[900]], "end": [t[800], t[1200]]},
            )
        stages = {"start": [t[300], t[1500]], "end": [t[1400], t[2900]]}
        frame_group(root, "stages", {**stages, "name": ["static_arm_in_lap", "static_arm_in_front"]})
    stem = f"{task}_user_007_dataset_001"
    corpus = [{"dataset": stem, "start": t[a], "end": t[b], "split": "val"} for a, b in ((300, 1400), (1500, 2900))]
    write_csv(folder / f"{task}_corpus.csv", corpus)
    return rows
