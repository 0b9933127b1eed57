"""Five time-domain features of 10 minutes of 16 channels at 2 kHz: myoflow against plain numpy and LibEMG.

    python benchmarks/features.py [--minutes 10] [--repeats 5] [--libemg PYTHON]

MAV, RMS, WL, ZC and SSC of windows of 200 ms every 50 ms. CPU time (user + system) of one thread; the contenders
take turns, `repeats` times, and the least of each counts. All get the same float32 windows, cut beforehand; numpy
goes through them in pieces that fit the cache, which is the fastest for it. The last row adds what comes before:
windows cut from the stream and their features, in chunks of 8192 samples. LibEMG counts two equal samples in a row
as a turning point, we do not: its SSC differs by a few counts. LibEMG needs an older numpy and so an environment of
its own, whose interpreter `--libemg` names (see libemg_peer.py); without it its row says so.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from libemg_peer import Peer

from myoflow.pipeline import Pipeline
from myoflow.spec import Spec
from myoflow.stages.features import Features
from myoflow.stages.window import Window

RATE = 2000.0
CHANNELS = 16
CHUNK = 8192
PIECE = 64  # windows; 64 x 16 x 400 float32 are 1.6 MB
SPEC = Spec.signal(CHANNELS, RATE)
WINDOW = Window(length="200 ms", stride="50 ms")
FEATURES = Features(set=("mav", "rms", "wl", "zc", "ssc"))


def ours(windows: np.ndarray) -> np.ndarray:
    """`(window, feature)`, channel by channel."""
    return FEATURES.kernel(WINDOW.plan(SPEC)).feed(windows)


def streamed(x: np.ndarray) -> np.ndarray:
    running = Pipeline([WINDOW, FEATURES]).stream(SPEC)
    parts = [running.feed(x[:, start : start + CHUNK]) for start in range(0, x.shape[1], CHUNK)]
    return np.concatenate(parts)


def plain_numpy(windows: np.ndarray) -> np.ndarray:
    """What one would write: `(window, feature)` in the same order."""
    out = np.empty((len(windows), CHANNELS, 5), np.float32)
    for start in range(0, len(windows), PIECE):
        w = windows[start : start + PIECE]
        target = out[start : start + PIECE]
        step = np.diff(w, axis=2)
        negative = w < 0
        target[..., 0] = np.abs(w).mean(axis=2)
        target[..., 1] = np.sqrt((w * w).mean(axis=2))
        target[..., 2] = np.abs(step).sum(axis=2)
        target[..., 3] = np.count_nonzero(negative[..., 1:] != negative[..., :-1], axis=2)
        target[..., 4] = np.count_nonzero(step[..., 1:] * step[..., :-1] < 0, axis=2)
    return out.reshape(len(windows), -1)


def cpu(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    start = time.process_time()
    function(x)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the recording")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--libemg", metavar="PYTHON", help="interpreter of an environment with LibEMG")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((CHANNELS, int(arguments.minutes * 60 * RATE)), np.float32) * np.float32(1e-4)
    windows = WINDOW.kernel(SPEC).feed(x)
    contenders = {"myoflow": (ours, windows), "plain numpy": (plain_numpy, windows)}
    absent = []
    peer = Peer(arguments.libemg, "features", windows) if arguments.libemg else None
    if peer is None:
        absent.append("LibEMG (--libemg PYTHON)")
    contenders["myoflow, cutting included"] = (streamed, x)

    best = dict.fromkeys(contenders, np.inf)
    for _ in range(arguments.repeats):
        for name, (run, data) in contenders.items():
            best[name] = min(best[name], cpu(run, data))
        if peer is not None:
            best["LibEMG"] = min(best.get("LibEMG", np.inf), peer.cpu())
    print(f"{len(windows)} windows of {windows.shape[2]} samples x {CHANNELS} channels, 5 features, 1 thread\n")
    print(f"| {'':26} | CPU s | thousand windows/s | myoflow is |\n|{'-' * 28}|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name:26} | {seconds:.4f} | {len(windows) / seconds / 1e3:.0f} | {seconds / best['myoflow']:.1f}x |")
    for name in absent:
        print(f"| {name:26} | not installed | | |")
    expected = ours(windows)
    answers = {name: run(data) for name, (run, data) in contenders.items()}
    if peer is not None:
        answers["LibEMG"] = peer.answer()
    for name, answer in answers.items():
        gap = np.abs(answer - expected) / np.maximum(np.abs(expected), 1e-12)
        print(f"largest relative difference of {name}: {gap.max():.1e}")


if __name__ == "__main__":
    main()
