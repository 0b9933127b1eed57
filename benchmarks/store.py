"""Random windows for training: our loader against h5py, zarr and numpy on the same data in one run.

    python benchmarks/store.py [--minutes 60] [--repeats 3] [--stride 1000] [--folder DIR]

One recording of 16 channels at 2 kHz, int16; windows of 1000 samples in the shuffled order of an epoch, in batches of
64 as torch tensors for our loader and numpy arrays for the others. An epoch has every window once. Contenders take
turns, `repeats` times, and the fastest counts: windows per second of CPU time (of all threads, which other load
on the machine changes little) and of wall time. zarr and h5py gzip are slow and read a sample of the epoch. The page
cache is warm: this measures software, not a disk.
Without h5py its rows are left out: `pip install 'myoflow[bench]'`.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from myoflow.recording import Events, Recording
from myoflow.store import Store, Writer, open_store
from myoflow.store.decode import chunked, decoded
from myoflow.store.layout import CHUNK, Origin

RATE, CHANNELS, LENGTH, BATCH = 2000.0, 16, 1000, 64
SLOW = 1500  # windows that the slow contenders read
Run = Callable[[], int]


def signal(samples: int) -> np.ndarray:
    """Bursts of noise of 20-450 Hz over a floor, hum, in steps of 0.78 uV, int16 `(channel, time)`."""
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(0)
    sections = butter(2, [20, 450], "bandpass", fs=RATE, output="sos")
    when = np.arange(samples) / RATE
    hum = 2 * np.sin(2 * np.pi * 50 * when).astype(np.float32)
    out = np.empty((CHANNELS, samples), np.int16)
    for channel in range(CHANNELS):
        noise = sosfilt(sections, rng.standard_normal(samples, np.float32))
        strength = np.repeat(rng.gamma(0.4, 1.0, samples // 2000 + 1), 2000)[:samples]
        out[channel] = np.clip(np.rint(noise * (4 + 100 * strength) + hum), -32768, 32767)
    return out


def write(folder: Path, emg: np.ndarray) -> Store:
    none = np.empty(0, np.int64)
    events = Events(none, none, none.astype(np.int16), none.astype(np.int16), ("unmarked",))
    names = tuple(f"channel{i}" for i in range(1, CHANNELS + 1))
    gain = np.full(CHANNELS, 0.78e-6, np.float32)
    with Writer(folder / "s.zarr", {"dataset": "bench", "labels": ["unmarked"]}, "bench") as writer:
        writer.add(Recording("01", "01", "1", emg, gain, RATE, names, events), Origin("bench", "bench", "1"))
    return open_store(folder / "s.zarr")


def size(path: Path) -> float:
    """Bytes below a path, in MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def single(read: Callable[[int], np.ndarray], starts: np.ndarray) -> Run:
    """A contender that is asked window by window, into batches."""

    def run() -> int:
        out = np.empty((BATCH, CHANNELS, LENGTH), np.int16)
        for i, start in enumerate(starts.tolist()):
            if i % BATCH == 0:
                out = np.empty((BATCH, CHANNELS, LENGTH), np.int16)
            out[i % BATCH] = read(start)
        return len(starts)

    return run


def loader(store: Store, stride: int, cache: str, seeds: Iterator[int], buffer_mb: float = 64.0) -> Run:
    """Ours: a new epoch at each call."""
    windows = store.windows(LENGTH, stride, cache=cache, buffer_mb=buffer_mb)
    windows.prepare()

    def run() -> int:
        windows._decoded._chunks.clear()  # nothing is left from the epoch before
        windows._decoded._held = 0
        return sum(len(batch.emg) for batch in windows.loader(BATCH, seed=next(seeds)))

    return run


def contenders(folder: Path, emg: np.ndarray, stride: int) -> Iterator[tuple[str, float, Run]]:
    """Name, MB on disk, and what reads an epoch."""
    import zarr

    store = write(folder, emg)
    starts = np.random.default_rng(1).permutation((emg.shape[1] - LENGTH) // stride + 1) * stride
    seeds = iter(range(10**6))
    small = size(store.path)
    yield "myoflow, compressed store", small, loader(store, stride, "none", seeds)
    yield "myoflow, raw cache", small + emg.nbytes / 1e6, loader(store, stride, "raw", seeds)
    group: Any = zarr.open_group(str(store.path / store.rows[0].id), mode="r")
    array = group["emg"]
    yield "zarr, the same store", small, single(lambda at: array[:, at : at + LENGTH], starts[:SLOW])
    np.save(folder / "emg.npy", emg)
    mapped = np.load(folder / "emg.npy", mmap_mode="r")
    yield "numpy memmap", size(folder / "emg.npy"), single(lambda at: mapped[:, at : at + LENGTH], starts)
    try:
        import h5py
    except ImportError:
        return
    for name, options in (
        ("h5py, uncompressed chunks", {}),
        ("h5py, gzip 4 + shuffle", {"compression": 4, "shuffle": True}),
    ):
        path = folder / f"{len(options)}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("emg", data=emg, chunks=(CHANNELS, CHUNK), **options)
        opened = h5py.File(path, "r")["emg"]
        some = starts[:SLOW] if options else starts
        yield name, size(path), single(lambda at, opened=opened: opened[:, at : at + LENGTH], some)


def decoding(store: Path, repeats: int) -> tuple[float, float]:
    """GB/s of sequential decoding, per second of CPU and of wall time."""
    opened = open_store(store)
    array = chunked(opened.path / opened.rows[0].id, "emg")
    best = [np.inf, np.inf]
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        total = sum(chunk.nbytes for chunk in decoded(array))
        best = [min(best[0], time.process_time() - cpu), min(best[1], time.perf_counter() - wall)]
    return total / best[0] / 1e9, total / best[1] / 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--stride", type=int, default=LENGTH)
    options.add_argument("--folder", type=Path, default=None, help="where the files go; default a temporary folder")
    given = options.parse_args()
    os.environ.pop("MYOFLOW_CACHE", None)
    folder = Path(tempfile.mkdtemp(prefix="myoflow-bench-", dir=given.folder))
    try:
        emg = signal(int(given.minutes * 60 * RATE))
        made = list(contenders(folder, emg, given.stride))
        best = {name: [np.inf, np.inf] for name, _, _ in made}
        for _ in range(given.repeats):
            for name, _, run in made:
                cpu, wall = time.process_time(), time.perf_counter()
                count = run()
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                best[name] = [min(best[name][0], cpu / count), min(best[name][1], wall / count)]
        raw = emg.nbytes / 1e6
        base = best.get("h5py, uncompressed chunks", [np.inf, np.inf])
        print(f"{CHANNELS} channels, {emg.shape[1]:,} samples ({raw:.0f} MB), windows of {LENGTH} every {given.stride}")
        print(f"{'':<28}{'MB':>7}{'share':>7}{'windows/s CPU':>15}{'wall':>10}{'x h5py':>8}{'(wall)':>8}")
        for name, mb, _ in made:
            cpu, wall = best[name]
            print(
                f"{name:<28}{mb:>7.0f}{mb / raw:>7.0%}{1 / cpu:>15,.0f}{1 / wall:>10,.0f}"
                f"{base[0] / cpu:>8.1f}{base[1] / wall:>8.1f}"
            )
        cpu, wall = decoding(folder / "s.zarr", given.repeats)
        print(f"sequential decode of the store: {cpu:.2f} GB/s per CPU second, {wall:.2f} GB/s wall")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
