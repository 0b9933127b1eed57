"""Causal band-pass and notch over an hour of 16 channels at 2 kHz: myoflow against scipy, MNE and LibEMG.

    python benchmarks/filters.py [--minutes 60] [--repeats 3] [--libemg PYTHON]

CPU time (user + system) of one thread; the contenders take turns, `repeats` times, and the least of each counts.
All filter the same samples with a Butterworth band-pass 20-450 Hz (order 4) and a notch at 50 Hz (q 30). myoflow
runs a pipeline of two stages as a stream, in chunks of 8192 samples, float32 with float64 state. scipy runs the
five sections as one cascade in float64, over the whole array and, to spare it the cost of fresh memory, in the
same chunks. MNE and LibEMG are zero-phase (two passes) as they come; MNE can also filter forward only.
The peak memory is that of a process of its own, which makes its signal chunk by chunk. Peers that are not
there are listed as such: MNE comes with `pip install 'myoflow[bench]'`, LibEMG needs an older numpy and so an
environment of its own, whose interpreter `--libemg` names (see libemg_peer.py).
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from libemg_peer import Peer

from myoflow.pipeline import Pipeline, Stream
from myoflow.spec import Spec
from myoflow.stages.bandpass import Bandpass
from myoflow.stages.notch import Notch

RATE = 2000.0
CHANNELS = 16
CHUNK = 8192
LOW, HIGH, ORDER, MAINS, Q = 20.0, 450.0, 4, 50.0, 30.0


def chunks(samples: int) -> Iterator[np.ndarray]:
    """Noise with an envelope and hum, 1e-4 V, float32, in pieces `(channel, time)`."""
    rng = np.random.default_rng(0)
    for start in range(0, samples, CHUNK):
        when = np.arange(start, min(start + CHUNK, samples)) / RATE
        strength = (1.2 + np.sin(2 * np.pi * 0.2 * when)).astype(np.float32)
        hum = np.sin(2 * np.pi * MAINS * when).astype(np.float32)
        noise = rng.standard_normal((CHANNELS, len(when)), np.float32)
        yield (noise * strength + hum) * np.float32(1e-4)


def stream() -> Stream:
    """The pipeline as a user would write it."""
    stages = [Bandpass(low=LOW, high=HIGH, order=ORDER, start="zero"), Notch(freq=MAINS, q=Q, start="zero")]
    return Pipeline(stages).stream(Spec.signal(CHANNELS, RATE))


def ours(x: np.ndarray) -> np.ndarray:
    """Stream the signal; gives the last chunk's output, as a live user would see it."""
    running = stream()
    for start in range(0, x.shape[1], CHUNK):
        out = running.feed(x[:, start : start + CHUNK])
    return out


def sections() -> np.ndarray:
    """The five sections in scipy's own form."""
    from scipy import signal

    band = signal.butter(ORDER, [LOW, HIGH], "bandpass", fs=RATE, output="sos")
    return np.vstack([band, np.concatenate(signal.iirnotch(MAINS, Q, RATE))])


def scipy_contenders() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    from scipy import signal

    sos = sections()

    def whole(x: np.ndarray) -> np.ndarray:
        return signal.sosfilt(sos, x)

    def chunked(x: np.ndarray) -> np.ndarray:
        state = np.zeros((len(sos), CHANNELS, 2))
        for start in range(0, x.shape[1], CHUNK):
            out, state = signal.sosfilt(sos, x[:, start : start + CHUNK], zi=state)
        return out

    return {"scipy sosfilt, whole array": whole, "scipy sosfilt, in chunks": chunked}


def mne_contenders() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    import mne

    def run(phase: str) -> Callable[[np.ndarray], np.ndarray]:
        def filtered(x: np.ndarray) -> np.ndarray:
            options = {"method": "iir", "phase": phase, "verbose": "ERROR"}
            band = {"order": ORDER, "ftype": "butter"}
            x = mne.filter.filter_data(x, RATE, LOW, HIGH, iir_params=dict(band), **options)
            width = MAINS / Q
            return mne.filter.notch_filter(
                x, RATE, MAINS, notch_widths=width, iir_params={"order": 2, "ftype": "butter"}, **options
            )

        return filtered

    return {"MNE IIR (zero-phase, its default)": run("zero"), "MNE IIR (forward)": run("forward")}


def cpu(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    start = time.process_time()
    function(x)
    return time.process_time() - start


def peak_memory(samples: int) -> float:
    """Peak resident memory in MB of a fresh process that streams `samples` samples."""
    command = [sys.executable, __file__, "--stream-only", str(samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def stream_only(samples: int) -> None:
    running = stream()
    for chunk in chunks(samples):
        running.feed(chunk)
    print(peak_mb())


def peak_mb() -> float:
    """Peak resident memory of this process. Not ru_maxrss where it can be helped: a child inherits its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(float(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the recording")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--libemg", metavar="PYTHON", help="interpreter of an environment with LibEMG")
    parser.add_argument("--stream-only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stream_only is not None:
        stream_only(arguments.stream_only)
        return
    samples = int(arguments.minutes * 60 * RATE)
    x = np.concatenate(list(chunks(samples)), axis=1)
    wide = x.astype(np.float64)
    contenders: dict[str, tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]] = {"myoflow": (ours, x)}
    contenders |= {name: (run, wide) for name, run in scipy_contenders().items()}
    absent = []
    try:
        contenders |= {name: (run, wide) for name, run in mne_contenders().items()}
    except ImportError:
        absent.append("MNE")
    peer = Peer(arguments.libemg, "filtered", x) if arguments.libemg else None
    if peer is None:
        absent.append("LibEMG")

    head = x[:, : 10 * CHUNK]
    expected = scipy_contenders()["scipy sosfilt, in chunks"](head.astype(np.float64))
    error = np.abs(ours(head) - expected).max() / np.abs(expected).max()
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(arguments.repeats):
        for name, (run, data) in contenders.items():
            best[name] = min(best[name], cpu(run, data))
        if peer is not None:
            name = "LibEMG Filter (zero-phase)"
            best[name] = min(best.get(name, np.inf), peer.cpu())

    total = samples * CHANNELS / 1e6
    print(f"{arguments.minutes:g} min x {CHANNELS} channels at {RATE:g} Hz, {total:.1f} million samples, 1 thread\n")
    print(f"| {'':36} | CPU s | million samples/s | myoflow is |\n|{'-' * 38}|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name:36} | {seconds:.3f} | {total / seconds:.0f} | {seconds / best['myoflow']:.1f}x |")
    for name in absent:
        print(f"| {name:36} | not installed | | |")
    print(f"\nlargest difference from scipy: {error:.1e} of the peak")
    print(f"peak memory of the stream, in its own process: {peak_memory(samples):.0f} MB")


if __name__ == "__main__":
    main()
