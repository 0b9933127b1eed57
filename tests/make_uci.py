"""Makes small raw files in the exact layout of the UCI set, with its quirks, so that tests need no real data.

Tab-separated, CRLF, one header line; a millisecond clock that starts at 1 or 2 and skips; values in steps of 1e-5
written as Python's `%g` does (`1e-05`, `-0.00012`, `0`), held between arrivals; arrivals in bursts of one to three
values, two rows apart; class runs of two repetitions with unmarked rows between; a file may end in
a row without its class.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

ROOT = "EMG_data_for_gestures-master"
HEADER = "\t".join(("time", *(f"channel{i}" for i in range(1, 9)), "class")) + "\r\n"
README = "EMG Pattern Database\n\nWe present raw EMG data for 36 subjects.\n"


def rows(seed: int, *, classes: tuple[int, ...] = (1, 2, 3, 4, 5, 6), span: int = 150) -> np.ndarray:
    """Rows `(row, 10)` of integers: time in ms, eight counts, class."""
    rng = np.random.default_rng(seed)
    label = []
    for value in classes * 2:
        label += [0] * int(rng.integers(span // 2, span)) + [value] * int(rng.integers(span, 2 * span))
    label += [0] * span
    count = len(label)
    time = int(rng.integers(1, 3)) + np.concatenate(([0], np.cumsum(rng.choice([1, 1, 1, 1, 1, 2, 3], count - 1))))
    arrives = np.zeros(count, bool)
    at = 0
    while at < count:
        arrives[at : at + 2 * int(rng.integers(1, 4)) : 2] = True
        at += int(rng.choice([8, 15, 23]))
    strength = 3 + 4 * np.array(label)[:, None]
    counts = np.clip(np.rint(rng.normal(0, strength, (count, 8))), -128, 127).astype(int)
    held = counts[np.maximum.accumulate(np.where(arrives, np.arange(count), 0))]
    return np.column_stack((time, held, label))


def text(table: np.ndarray, *, class_less: bool = False) -> str:
    """A file's text; with `class_less` its last row ends before the class, without a line end."""
    lines = []
    for row in table:
        lines.append("\t".join((str(row[0]), *(f"{value / 1e5:g}" for value in row[1:9]), str(row[9]))) + "\r\n")
    if class_less:
        lines[-1] = lines[-1].rsplit("\t", 1)[0]
    return HEADER + "".join(lines)


def make_uci(
    folder: Path, subjects: int = 2, *, seed: int = 0, class_less: bool = True, span: int = 150
) -> dict[str, np.ndarray]:
    """Write the set's folders `01`.. below `folder`; gives the rows by file name. The last lacks its last class."""
    made = {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.txt").write_text(README, encoding="utf-8")
    for subject in range(1, subjects + 1):
        (folder / f"{subject:02d}").mkdir(exist_ok=True)
        for series in (1, 2):
            table = rows(seed + 10 * subject + series, span=span)
            cut = class_less and (subject, series) == (subjects, 2)
            when = "10-51_07.04.16" if cut else f"1{series}-0{subject % 10}_22.03.16"  # the card knows the cut one
            name = f"{subject:02d}/{series}_raw_data_{when}.txt"
            with open(folder / name, "w", encoding="utf-8", newline="") as file:
                file.write(text(table, class_less=cut))
            made[name] = table
    return made


def pack(folder: Path, archive: Path) -> Path:
    """`folder` as an archive with the top folder of the published one; the suffix says which kind."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in files:
                out.write(path, f"{ROOT}/{path.relative_to(folder).as_posix()}")
    else:
        with tarfile.open(archive, f"w:{archive.suffix[1:]}") as out:
            for path in files:
                info = tarfile.TarInfo(f"{ROOT}/{path.relative_to(folder).as_posix()}")
                info.size = path.stat().st_size
                out.addfile(info, io.BytesIO(path.read_bytes()))
    return archive
