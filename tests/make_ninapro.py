"""Makes small .mat files in the layout of the NinaPro databases: names, variables, types, label numbers and quirks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

# database: exercises as (first label in the file, labels), EMG columns, glove columns, repetitions
LAYOUT: dict[str, tuple[tuple[tuple[int, int], ...], int, int, int]] = {
    "ninapro_db1": (((1, 12), (1, 17), (1, 23)), 10, 22, 10),
    "ninapro_db2": (((1, 17), (18, 23), (41, 9)), 12, 22, 6),
    "ninapro_db5": (((1, 12), (1, 17), (1, 23)), 16, 22, 6),
    "ninapro_db6": (((1, 7),), 16, 0, 12),
    "ninapro_db7": (((1, 17), (18, 23)), 12, 18, 6),
    "ninapro_db8": (((1, 9),), 16, 18, 10),
}
DB6_GRASPS = np.array([0, 1, 3, 4, 6, 9, 10, 11])


def labels(rng: np.random.Generator, first: int, count: int, repetitions: int, span: int) -> tuple[np.ndarray, ...]:
    """restimulus, rerepetition, stimulus, repetition: rest between movements; what was shown starts earlier."""
    value, number = [], []
    for movement in range(first, first + count):
        for repetition in range(1, repetitions + 1):
            rest, move = int(rng.integers(span, 2 * span)), int(rng.integers(span, 2 * span))
            value += [0] * rest + [movement] * move
            number += [0] * rest + [repetition] * move
    value += [0] * span
    number += [0] * span
    shown = [np.roll(column, -(span // 3)) for column in (value, number)]
    return np.array(value), np.array(number), *shown


def exercise(database: str, subject: int, number: int, *, seed: int = 0, span: int = 6) -> Arrays:
    """Variables of one exercise, as in a file."""
    exercises, columns, angles, repetitions = LAYOUT[database]
    rng = np.random.default_rng([seed, subject, number])
    value, again, shown, shown_again = labels(rng, *exercises[number - 1], repetitions, span)
    rows = len(value)
    kind = np.uint8 if database == "ninapro_db1" else np.int8
    if database == "ninapro_db6":
        value, shown = DB6_GRASPS[value], DB6_GRASPS[shown]
    if database == "ninapro_db5":  # rest there has the repetition of what follows, but for the last one
        known = np.append(np.flatnonzero(again), rows)
        following = known[np.searchsorted(known, np.arange(rows))]
        again = np.append(again, 0)[following]
    found: Arrays = {
        "stimulus": shown.astype(kind)[:, None],
        "restimulus": value.astype(kind)[:, None],
        "repetition": shown_again.astype(kind)[:, None],
        "rerepetition": again.astype(kind)[:, None],
        "subj" if database == "ninapro_db6" else "subject": np.array([[subject]], np.uint8),
        "exercise": np.array([[3 if database == "ninapro_db5" else number]], np.uint8),
    }
    sensors = columns
    if database == "ninapro_db1":
        found["emg"] = np.round(np.round(rng.gamma(1, 100, (rows, columns))).clip(0, 1909) * 5 / 2048, 4)
    elif database == "ninapro_db5":
        found["emg"] = rng.integers(-128, 128, (rows, columns)).astype(np.float32)
        found |= {"frequency": np.array([[200]], np.uint8), "age": np.array([[23]], np.uint8)}
        found |= {"gender": np.array(["m"]), "sensor": np.array(["Double Myo"])}
        sensors = 1
    else:
        found["emg"] = rng.normal(0, 1e-5, (rows, columns)).astype(np.float32)
    if database == "ninapro_db6":
        found["emg"][:, 8:10] = 0
        found |= {"object": shown.astype(np.uint8)[:, None], "reobject": value.astype(np.uint8)[:, None]}
        found |= {"daytesting": np.array([[1]], np.uint8), "time": np.array([[1]], np.uint8)}
    if database != "ninapro_db1":
        found["acc"] = rng.normal(0, 1, (rows, 3 * sensors)).astype(np.float32)
    if database in ("ninapro_db7", "ninapro_db8"):
        found |= {name: rng.normal(0, 1, (rows, 36)).astype(np.float32) for name in ("gyro", "mag")}
    if database == "ninapro_db2":
        found["inclin"] = rng.normal(0, 20, (rows, 2)).astype(np.float32)
        if number == 3:
            found |= {"force": rng.normal(0, 1, (rows, 6)).astype(np.float32), "forcecal": np.ones((2, 6))}
    if angles:
        glove = rng.normal(30, 20, (rows, angles))
        found["glove"] = glove if database == "ninapro_db1" else glove.astype(np.float32)
    if database == "ninapro_db8":
        found["glove"][rows // 2 : rows // 2 + 5] = np.nan
    return found


def file_name(database: str, subject: int, number: int = 1, acquisition: int = 1) -> str:
    """As published; for DB6 `number` is the day and `acquisition` the time of day."""
    if database == "ninapro_db1":
        return f"s{subject}/S{subject}_A{acquisition}_E{number}.mat"
    if database == "ninapro_db6":
        return f"DB6_s{subject}_a/S{subject}_D{number}_T{acquisition}.mat"
    return f"s{subject}/S{subject}_E{number}_A{acquisition}.mat"


def mat5(arrays: Arrays, *, packed: bool = True) -> bytes:
    """A file of MATLAB 5 to 7: every variable compressed, as MATLAB does, or none."""
    from scipy.io import savemat

    out = io.BytesIO()
    savemat(out, arrays, do_compression=packed, oned_as="row")
    return out.getvalue()


def mat73(arrays: Arrays) -> bytes:
    """A file of MATLAB 7.3: HDF5 behind a block of 512 bytes, arrays transposed, each with its class."""
    import h5py

    names = {"float64": "double", "float32": "single"}
    out = io.BytesIO()
    with h5py.File(out, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if value.dtype.kind == "U":
                codes = np.array([[ord(letter)] for letter in str(value.ravel()[0])], np.uint16)
                item, kind = file.create_dataset(name, data=codes), "char"
            else:
                item = file.create_dataset(name, data=value.T, compression="gzip", chunks=True)
                kind = names.get(value.dtype.name, value.dtype.name)
            item.attrs["MATLAB_class"] = np.bytes_(kind)
    data = bytearray(out.getvalue())
    data[:128] = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024".ljust(124) + b"\0\2IM"
    return bytes(data)


def make_ninapro(folder: Path, database: str, subjects: int = 2, **changes: Any) -> dict[str, Arrays]:
    """Write the files of some subjects below `folder`; gives their variables by file name."""
    made = {}
    if database == "ninapro_db6":
        parts = [(day, time) for day in (1, 2) for time in (1, 2)]
    elif database == "ninapro_db8":
        parts = [(1, acquisition) for acquisition in (1, 2, 3)]
    else:
        parts = [(number, 1) for number in range(1, len(LAYOUT[database][0]) + 1)]
    for subject in range(1, subjects + 1):
        for number, acquisition in parts:
            single = 1 if database in ("ninapro_db6", "ninapro_db8") else number
            arrays = exercise(database, subject, single, seed=10 * number + acquisition, **changes)
            name = file_name(database, subject, number, acquisition)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(mat5(arrays))
            made[name] = arrays
    return made
