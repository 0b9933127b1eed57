"""Makes small raw files in the exact layout of the text sets (LibEMG, myo-readings, long-term Myo, Somach, Cyton).

Each function writes one set below a folder and gives `{file: (rows, columns)}`, the numbers as the files say them.
Line ends are the sets' own: CRLF in LibEMG's, none after the last line in myo-readings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

CYTON_STEP = 4.5 / 24 / (2**23 - 1) * 1e6  # microvolt a count
WORDS = ("DOWN", "LEFT", "NOISE", "RIGHT", "SILENCE", "UP")


def _write(path: Path, lines: list[str], end: str = "\n", last: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + (end if last else "")).encode())


def _counts(rng: np.random.Generator, rows: int) -> np.ndarray:
    return np.clip(np.rint(rng.normal(0, 40, (rows, 8))), -128, 127).astype(int)


def _csv(table: np.ndarray) -> list[str]:
    return [",".join(str(value) for value in row) for row in table.tolist()]


def one_subject(folder: Path, trials: int = 2) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(1), {}
    for trial in range(1, trials + 1):
        for take in range(2):
            for label in range(5):
                made[f"OneSubjectMyoDataset/trial_{trial}/R_{take}_C_{label}.csv"] = _counts(rng, 30 + label)
        (folder / f"OneSubjectMyoDataset/trial_{trial}").mkdir(parents=True)
        (folder / f"OneSubjectMyoDataset/trial_{trial}/metadata.json").write_text("{}")
    made["OneSubjectMyoDataset/stream/raw_emg.csv"] = _counts(rng, 50)
    for name, table in made.items():
        _write(folder / name, _csv(table), "\r\n")
    return made


def myodisco(folder: Path) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(2), {}
    for part, takes in (("day1", 2), ("day2", 2), ("positions/1", 1), ("positions/4", 1)):
        for take in range(takes):
            for label in range(10):
                made[f"S3/{part}/R_{take}_C_{label}_EMG.csv"] = _counts(rng, 20 + label)
    for name, table in made.items():
        _write(folder / name, _csv(table), "\r\n")
    return made


def readings(folder: Path) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(3), {}
    for session in ("right_hand/12345-1", "right_hand/12345-2", "left_hand/777-1"):
        for gesture in range(8):
            label = np.repeat([0, gesture] * 3, 10)
            name = f"_readings_{session}/{gesture}.txt"
            made[name] = np.column_stack((_counts(rng, len(label)), label))
            _write(folder / name, _csv(made[name]), last=False)
    (folder / "curated.txt").write_text("12345-1\n12345-2")
    return made


def longterm(folder: Path, days: tuple[int, ...] = (1, 30)) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(4), {}
    for day in days:
        for motion in (1, 2, 10, 22):
            for trial in (1, 4):
                name = f"data/sub1/day{day}/D{day}M{motion}T{trial}.csv"
                words = [[f"{value:.5g}" for value in row] for row in rng.normal(0, 0.2, (300, 8))]
                made[name] = np.array(words, float)
                _write(folder / name, [",".join(row) for row in words])
    return made


def somach(folder: Path) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(5), {}
    for study, phase in (
        ("studyA_3phase", "Phase_1_Overt"),
        ("studyB_5phase", "Phase_1_Overt"),
        ("studyB_5phase", "Phase_6_Covert"),
    ):
        for word in WORDS:
            rows = int(rng.integers(20, 60))
            time = 2_000_809 + 4 * np.arange(rows)
            name = f"data/{study}/{phase}/{word}_001_20260211_154851.csv"
            made[name] = np.column_stack((time, rng.integers(0, 4096, (rows, 2))))
            _write(folder / name, ["Timestamp,CH1,CH2,Label,Phase", *(f"{x},{word},{phase}" for x in _csv(made[name]))])
    (folder / "data/README.md").write_text("x")
    return made


def cyton(folder: Path) -> dict[str, np.ndarray]:
    """The rows are counts; the files hold microvolts with the digits of a float64."""
    rng, made = np.random.default_rng(6), {}
    header = ",".join(("WORD", *(f"Channel_{i}" for i in range(1, 9))))
    for style in "AF":
        for file, word in (("Sim", "sim"), ("Nao", "não"), ("Talvez", "talvez")):
            counts = np.full((60, 8), -(2**23))
            counts[:, :4] = rng.integers(-600_000, 600_000, (60, 4))
            words = ([word] * 11 + ["$SILENCE"] * 9) * 3
            name = f"dist/saves/P001/{style}/{file}.csv"
            made[name] = counts
            lines = [
                ",".join((w, *(repr(float(v)) for v in row * CYTON_STEP))) for w, row in zip(words, counts, strict=True)
            ]
            _write(folder / name, [header, *lines])
    return made
