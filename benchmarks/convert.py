"""Conversion of EDF: peak memory, speed beside MNE, and what a second process brings.

    python benchmarks/convert.py [--minutes 60] [--files 72] [--repeats 2] [--reader NAME] [--folder DIR]

One file of 16 channels at 2 kHz (int16, made here) goes into a store, and through MNE: read, save as FIF, once loaded
whole and once in MNE's own blocks. Each runs in a process of its own, they take turns, and the least counts;
imports are not in the times. Memory is the peak of the process (VmHWM), imports included. Then a folder of `--files`
files of 5 minutes is converted with `--jobs 1` and `--jobs 2`; two processes gain nothing where another program has the
second core, so the load of the machine is printed beside. `--reader` is a registered reader of EDF, `files` being the
one that users have; without it, a small one of this file, which shows how a reader gives blocks.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
RATE, CHANNELS = 2000, 16
LIMIT_MB = 300


# --- a tiny writer and reader of EDF: header in ASCII, then records of one second, channel after channel ---


def write_edf(path: Path, seconds: int, seed: int) -> None:
    """Bursts of noise in steps of 0.1 uV."""
    import numpy as np

    def column(text: object, width: int) -> bytes:
        return str(text).ljust(width)[:width].encode("ascii")

    def each(values: list[object], width: int) -> bytes:
        return b"".join(column(value, width) for value in values)

    head = column("0", 8) + column("X X X X", 80) + column("Startdate 01-JAN-2026 X X X", 80)
    head += b"01.01.26" + b"00.00.00" + column(256 * (1 + CHANNELS), 8) + column("", 44)
    head += column(seconds, 8) + column(1, 8) + column(CHANNELS, 4)
    for values, width in (
        ([f"EMG{i}" for i in range(1, CHANNELS + 1)], 16),
        (["surface electrode"] * CHANNELS, 80),
        (["uV"] * CHANNELS, 8),
        ([-3276.8] * CHANNELS, 8),
        ([3276.7] * CHANNELS, 8),
        ([-32768] * CHANNELS, 8),
        ([32767] * CHANNELS, 8),
        ([""] * CHANNELS, 80),
        ([RATE] * CHANNELS, 8),
        ([""] * CHANNELS, 32),
    ):
        head += each(list(values), width)
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(head)
        for _ in range(seconds):
            strength = 30 + 600 * rng.gamma(0.4, 1.0, (CHANNELS, 1))
            noise = rng.standard_normal((CHANNELS, RATE + 3), np.float32)
            smooth = noise[:, :-3] + noise[:, 1:-2] + noise[:, 2:-1] + noise[:, 3:]
            file.write(np.clip(np.rint(smooth * strength), -32768, 32767).astype("<i2").tobytes())


def read_edf(card: Any, subject: str, files: Any) -> Any:
    """A Recording whose EMG comes in blocks of a minute."""
    import numpy as np

    from myoflow.recording import Events, Recording, in_blocks

    path = files[0].path
    with path.open("rb") as file:
        head = file.read(256)
        records, channels = int(head[236:244]), int(head[252:256])
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def blocks() -> Iterator[Any]:
        with path.open("rb") as file:
            file.seek(256 * (1 + channels))
            for first in range(0, records, 60):
                count = min(60, records - first)
                values = np.fromfile(file, "<i2", count * channels * RATE).reshape(count, channels, RATE)
                yield values.swapaxes(0, 1).reshape(channels, count * RATE)

    none = np.empty(0, np.int64)
    return Recording(
        subject=subject,
        session="01",
        run="1",
        emg=in_blocks((channels, records * RATE), np.int16, blocks),
        gain=np.full(channels, 1e-7, np.float32),
        rate_hz=float(RATE),
        channels=card.channels,
        events=Events(none, none, none.astype(np.int16), none.astype(np.int16), card.labels),
        sources=((path.name, digest),),
    )


def card_for(reader: str | None) -> Any:
    """A card of that reader; without one, of the small reader above, which is registered here."""
    from myoflow.card import Card
    from myoflow.readers.base import READERS, Item, Reader
    from myoflow.typed import frozen

    names = tuple(f"EMG{i}" for i in range(1, CHANNELS + 1))
    made = partial(Card, name="bench", title="Bench", channels=names, rate=float(RATE), labels=("unmarked", "move"))
    if reader is not None:
        named = {"pattern": r"(?P<name>\w+)\.edf", "subject": "{name}"} if reader == "files" else {}
        return made(reader=reader, options=named)

    @frozen
    class Options:
        pass

    class BenchEdf(Reader):
        def recordings(self, source: Any, wanted: Any = None) -> Iterator[Any]:
            for i, name in enumerate(source.names, start=1):
                yield Item(f"sub-{i:02}/ses-01/run-1", partial(read_edf, self.card, f"{i:02}"), (name,), source)

    BenchEdf.Options = Options
    READERS.add("bench_edf")(BenchEdf)
    return made(reader="bench_edf")


# --- what runs in a process of its own ---


def peak_mb() -> float:
    """Most memory this process has held, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def one(what: str, raw: Path, out: Path, jobs: int, reader: str | None) -> None:
    """Do it and print seconds, CPU seconds and memory as JSON."""
    if what == "make":
        for name, seconds in json.loads(os.environ["FILES"]).items():
            write_edf(raw / name, seconds, len(name))
        return
    if what == "myoflow":
        import numcodecs.blosc  # noqa: F401 - as MNE's, imports are not in the time

        from myoflow.data.conversion import convert
        from myoflow.parallel import Workers

        card = card_for(reader)
        wall, cpu = time.perf_counter(), time.process_time()
        convert(card, raw, out, workers=Workers(jobs=jobs))
    else:
        import mne

        mne.set_log_level("ERROR")
        (path,) = raw.iterdir()
        wall, cpu = time.perf_counter(), time.process_time()
        mne.io.read_raw_edf(path, preload=what == "mne loaded").save(out / "x_raw.fif", overwrite=True)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": peak_mb()}
    found["workers"] = workers.ru_utime + workers.ru_stime
    print(json.dumps(found))


def child(what: str, raw: Path, out: Path, jobs: int = 1, reader: str | None = None) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", what, "--raw", str(raw), "--out", str(out), "--jobs", str(jobs)]
    done = subprocess.run(command + (["--reader", reader] if reader else []), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout or "{}")


def least(results: list[dict[str, float]]) -> dict[str, float]:
    return {
        "wall": min(r["wall"] for r in results),
        "cpu": min(r["cpu"] for r in results),
        "mb": max(r["mb"] for r in results),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--files", type=int, default=72)
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--reader", default=None)
    options.add_argument("--folder", type=Path, default=None, help="where the files go; default a temporary folder")
    for hidden in ("one", "raw", "out"):
        options.add_argument(f"--{hidden}", help=argparse.SUPPRESS)
    options.add_argument("--jobs", type=int, default=1, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        one(given.one, Path(given.raw), Path(given.out), given.jobs, given.reader)
        return
    folder = Path(tempfile.mkdtemp(prefix="myoflow-bench-", dir=given.folder))
    try:
        compare(folder, given)
        if given.files:
            parallel(folder, given)
    finally:
        shutil.rmtree(folder)


def make(folder: Path, files: dict[str, int]) -> None:
    folder.mkdir()
    os.environ["FILES"] = json.dumps(files)
    child("make", folder, folder)


def compare(folder: Path, given: argparse.Namespace) -> None:
    """One long file through every contender."""
    raw = folder / "long"
    make(raw, {"a.edf": int(60 * given.minutes)})
    size = (raw / "a.edf").stat().st_size / 1e6
    results: dict[str, list[dict[str, float]]] = {"myoflow": [], "mne loaded": [], "mne in blocks": []}
    missing = ""
    for _ in range(given.repeats):
        for what, found in results.items():
            out = folder / "out"
            out.mkdir()
            try:
                found.append(child(what, raw, out / "s.zarr" if what == "myoflow" else out, reader=given.reader))
            except RuntimeError as error:
                if "No module named 'mne'" not in str(error):
                    raise
                missing = "mne is not installed: pip install 'myoflow[bench]'"
            shutil.rmtree(out)
    print(
        f"EDF of {given.minutes:g} min x {CHANNELS} channels at {RATE} Hz, {size:.0f} MB, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':<16}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    for what, found in results.items():
        if found:
            best = least(found)
            print(f"{what:<16}{best['wall']:>8.2f}{best['cpu']:>8.2f}{best['mb']:>9.0f}")
    print(missing or f"limit for myoflow: {LIMIT_MB} MB")


def parallel(folder: Path, given: argparse.Namespace) -> None:
    """Many files by one process and by two."""
    raw = folder / "many"
    make(raw, {f"{i:03}.edf": 300 for i in range(given.files)})
    results: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(given.repeats):
        for jobs, found in results.items():
            out = folder / "many.zarr"
            found.append(child("myoflow", raw, out, jobs, given.reader))
            shutil.rmtree(out)
    single, double = (min(found, key=lambda result: result["wall"]) for found in results.values())
    print(
        f"{given.files} files of 5 min: --jobs 1 {single['wall']:.2f} s, --jobs 2 {double['wall']:.2f} s, "
        f"{single['wall'] / double['wall']:.2f}x (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    )
    print(
        f"CPU seconds: --jobs 1 {single['cpu']:.2f}; --jobs 2 {double['cpu']:.2f} here and {double['workers']:.2f} in "
        f"the worker, so {single['cpu'] / max(double['cpu'], double['workers']):.2f}x less in the busier process"
    )


# a worker started by spawn runs this file as __mp_main__: it needs no registry, only `read_edf`
if __name__ == "__main__":
    main()
