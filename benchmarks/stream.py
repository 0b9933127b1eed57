"""Live decoding: latency against LibEMG, TinyMyo on one core, and an hour replayed.

    python benchmarks/stream.py [--part chain|model|hour] [--libemg-python /tmp/libemg-venv/bin/python]

chain: 16 channels at 2 kHz in chunks of 20 ms, band-pass, notch, windows of 200 ms every 20 ms, five features, LDA.
   What a session adds to each decision (from the chunk's arrival to the decision) over `--seconds` at the speed of
   life, and what one chunk costs in the decoder alone, beside LibEMG's filter, features and LDA on one window. LibEMG
   filters every window anew; we go on where the last chunk ended. It needs numpy below 2, an environment of its own:
   `python -m venv V && V/bin/pip install libemg`. The two take turns; the least of the rounds counts for each.
model: TinyMyo (8 layers, width 192) on 8 channels x 1000 samples every 100 ms, one thread, on each backend found here.
hour: one hour of 16 channels at 2 kHz from a store at 20 times the speed of life; counts samples, watches memory.

CPU time does not depend on what else the machine does; wall time does.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import myoflow as mf
from myoflow.engine import Parameters
from myoflow.live.decoder import Decoder
from myoflow.pipeline import Pipeline
from myoflow.recording import Events, Recording, in_blocks
from myoflow.spec import Spec
from myoflow.store.layout import Origin
from myoflow.store.write import Writer

RATE, CHANNELS, HOP = 2000.0, 16, 40
LABELS = ("rest", "fist", "flexion", "extension", "ulnar", "radial")
CHAIN = [
    mf.Bandpass(low="20 Hz", high="450 Hz"),
    mf.Notch(freq="50 Hz"),
    mf.Window(length="200 ms", stride="20 ms"),
    mf.Features(set=("mav", "rms", "wl", "zc", "ssc")),
    mf.LDA(),
]

LIBEMG = """
import contextlib, io, json, sys, time
import numpy as np
with contextlib.redirect_stdout(io.StringIO()):
    from libemg.feature_extractor import FeatureExtractor
    from libemg.filtering import Filter
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
rng = np.random.default_rng(0)
filters = Filter(2000)
with contextlib.redirect_stdout(io.StringIO()):
    filters.install_filters({"name": "bandpass", "cutoff": [20, 450], "order": 4})
    filters.install_filters({"name": "notch", "cutoff": 50, "bandwidth": 3})
extractor = FeatureExtractor()
names = ["MAV", "RMS", "WL", "ZC", "SSC"]
x = 1e-5 * rng.standard_normal((400, 16))
def features(window):
    found = extractor.extract_features(names, window.T[None])
    return np.concatenate([found[name] for name in names], axis=1)
train = np.concatenate([features(1e-5 * rng.standard_normal((400, 16))) for _ in range(300)])
model = LinearDiscriminantAnalysis().fit(train, np.arange(300) % 6)
def once():
    return model.predict_proba(features(filters.filter(x)))
for _ in range(50): once()
wall, cpu = [], []
for _ in range(int(sys.argv[1])):
    a, c = time.perf_counter(), time.process_time()
    once()
    cpu.append(time.process_time() - c); wall.append(time.perf_counter() - a)
print(json.dumps({"wall": wall, "cpu": cpu}))
"""


def chain(arguments: argparse.Namespace) -> None:
    """Latency of the signal chain with LDA."""
    spec = Spec.signal(CHANNELS, RATE, labels=LABELS)
    pipeline = Pipeline(CHAIN).with_parameters(fitted(spec))
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s.zarr", arguments.seconds, CHANNELS, RATE)
        session = mf.stream(pipeline, f"replay:{store}", spec=spec)
        before = time.process_time()
        for _ in session:
            pass
        cpu = time.process_time() - before
    s = session.summary
    print(f"session, {arguments.seconds:g} s at the speed of life, {s.outputs} decisions, {s.dropped} dropped:")
    print(f"  added latency p50 {1e3 * s.p50_s:.3f}  p99 {1e3 * s.p99_s:.3f} (bar: 2)  max {1e3 * s.max_s:.3f} ms")
    print(f"  {100 * cpu / arguments.seconds:.1f} % of one core; of the p99, computing {1e3 * s.compute_p99_s:.3f} ms")
    rounds: dict[str, list[dict[str, list[float]]]] = {"ours": [], "LibEMG": []}
    for _ in range(arguments.rounds):
        rounds["ours"].append(ours(pipeline, spec, arguments.calls))
        if arguments.libemg:
            command = [arguments.libemg, "-c", LIBEMG, str(arguments.calls)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"LibEMG does not run: {done.stderr.strip().splitlines()[-1]}")
                break
            rounds["LibEMG"].append(json.loads(done.stdout.splitlines()[-1]))
    if not rounds["LibEMG"]:
        print("LibEMG is not compared: give --libemg-python, a Python that has it")
    table(rounds)


def table(rounds: dict[str, list[dict[str, list[float]]]]) -> None:
    """The least p50 of the rounds for each contender, CPU and wall."""
    print(f"\n{'one decision':<14}{'CPU p50 ms':>12}{'CPU p99 ms':>12}{'wall p50 ms':>13}{'wall p99 ms':>13}")
    best: dict[str, dict[str, float]] = {}
    for name, found in rounds.items():
        if found:
            best[name] = {
                f"{clock} {q}": min(1e3 * float(np.percentile(one[clock], q)) for one in found)
                for clock in ("cpu", "wall")
                for q in (50, 99)
            }
            b = best[name]
            print(f"{name:<14}{b['cpu 50']:>12.3f}{b['cpu 99']:>12.3f}{b['wall 50']:>13.3f}{b['wall 99']:>13.3f}")
    if len(best) == 2:
        ratio = {key: best["LibEMG"][key] / best["ours"][key] for key in best["ours"]}
        cells = "".join(f"{ratio[key]:>{w}.1f}" for key, w in zip(ratio, (12, 12, 13, 13), strict=True))
        print(f"{'ratio':<14}{cells}   (bar: 3 at p50)")


def ours(pipeline: Pipeline, spec: Spec, calls: int) -> dict[str, list[float]]:
    """One chunk of 20 ms through the decoder, which is one decision."""
    decoder = Decoder(pipeline.plan(spec), pipeline.parameters)
    rng = np.random.default_rng(0)
    x = (1e-5 * rng.standard_normal((CHANNELS, 50 * HOP))).astype(np.float32)
    pieces = [np.ascontiguousarray(x[:, i * HOP : (i + 1) * HOP]) for i in range(50)]
    wall, cpu = [], []
    for number in range(calls + 50):
        a, c = time.perf_counter(), time.process_time()
        out = decoder.decode(decoder.push(pieces[number % 50]))
        if number >= 50:
            assert len(out) == 1
            cpu.append(time.process_time() - c)
            wall.append(time.perf_counter() - a)
    return {"wall": wall, "cpu": cpu}


def fitted(spec: Spec) -> Parameters:
    """An LDA of noise; what it decides does not matter here."""
    plan = Pipeline(CHAIN).plan(spec)
    rng = np.random.default_rng(0)
    before = plan.steps[-1].before
    x = rng.lognormal(size=(600, before.size("feature"))).astype(np.float32)
    return Parameters(states={len(CHAIN) - 1: CHAIN[-1].fit(before, [(x, np.arange(600) % len(LABELS))])})


def model(arguments: argparse.Namespace) -> None:
    """TinyMyo every 100 ms."""
    from myoflow.backend import load_backend
    from myoflow.network import build
    from myoflow.pipeline import engine_of
    from myoflow.training.fit import learned

    rate = 1000.0
    spec = Spec.signal(8, rate, labels=LABELS)
    stages = [
        mf.Bandpass(low="20 Hz", high="450 Hz"),
        mf.Notch(freq="50 Hz"),
        mf.Window(length="1000 samples", stride="100 ms"),
        mf.Zscore(over="window"),
        mf.Patch(length="20 samples"),
        mf.TinyMyo(),
        mf.Classify(),
    ]
    network = learned(Pipeline(stages).plan(spec), 3)
    assert network is not None
    weights = {name: tensor.numpy() for name, tensor in build(network).state_dict().items()}
    print("\nTinyMyo 8 x 1000 every 100 ms (bar: p99 < 100 ms, none dropped)")
    print(f"{'backend':<18}{'added p50':>11}{'p99':>9}{'max ms':>9}{'dropped':>9}{'CPU a window':>14}")
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s.zarr", arguments.seconds, 8, rate)
        os.environ["MYOFLOW_CACHE"] = folder
        for name in arguments.backends.split(","):
            reason = engine_of(name).missing(load_backend(name))
            if reason:
                print(f"{name:<18}{reason}")
                continue
            pipeline = Pipeline(stages, backend=name, parameters=Parameters(weights=weights))
            session = mf.stream(pipeline, f"replay:{store}", spec=spec)
            before = time.process_time()
            for _ in session:
                pass
            s = session.summary
            cpu = 1e3 * (time.process_time() - before) / max(1, s.outputs)
            times = f"{1e3 * s.p50_s:>11.1f}{1e3 * s.p99_s:>9.1f}{1e3 * s.max_s:>9.1f}"
            print(f"{name:<18}{times}{s.dropped:>9}{cpu:>11.1f} ms")


def hour(arguments: argparse.Namespace) -> None:
    """An hour at 20 times the speed of life: every sample, and no more memory at the end than at the beginning."""
    spec = Spec.signal(CHANNELS, RATE, labels=LABELS)
    pipeline = Pipeline(CHAIN).with_parameters(fitted(spec))
    seconds = 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s.zarr", seconds, CHANNELS, RATE)
        session = mf.stream(pipeline, f"replay:{store}?speed=20", spec=spec, lag_s=arguments.lag)
        wanted = round(seconds * RATE)
        sizes: list[float] = []
        marks = iter(np.linspace(0.1, 1.0, 10) * seconds)
        mark, cpu = next(marks), time.process_time()
        for output in session:
            if output.time_s >= mark - 0.05:
                gc.collect()
                sizes.append(resident_mb())
                mark = next(marks, float("inf"))
        cpu = time.process_time() - cpu
    s = session.summary
    print(f"\n{arguments.minutes:g} min at 20 x: {s.taken:,} of {wanted:,} samples taken, {s.made} filled in")
    print(f"  {s.outputs:,} decisions, {s.dropped:,} windows dropped (lag {arguments.lag:g} s), events {s.events}")
    print(f"  wall {s.wall_s:.1f} s, CPU {cpu:.1f} s; added latency p50 {1e3 * s.p50_s:.2f} p99 {1e3 * s.p99_s:.2f} ms")
    told = " ".join(f"{size:.1f}" for size in sizes)
    print(
        f"  resident MB at each tenth: {told}; growth from the first to the last {sizes[-1] - sizes[0]:+.1f} (bar: < 5)"
    )


def resident_mb() -> float:
    """What this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_store(path: Path, seconds: float, channels: int, rate: float) -> Path:
    """A store with one recording of int16 noise."""
    count = round(seconds * rate)
    piece = np.random.default_rng(0).integers(-900, 900, (channels, 65536)).astype(np.int16)

    def blocks() -> Iterator[Any]:
        for at in range(0, count, piece.shape[1]):
            yield piece[:, : min(piece.shape[1], count - at)]

    none = np.empty(0, np.int64)
    recording = Recording(
        subject="01",
        session="01",
        run="1",
        emg=in_blocks((channels, count), np.int16, blocks),
        gain=np.full(channels, 1e-8, np.float32),
        rate_hz=rate,
        channels=tuple(f"ch{i + 1}" for i in range(channels)),
        events=Events(none, none, none.astype(np.int16), none.astype(np.int16), LABELS),
    )
    with Writer(path, {"dataset": "noise"}, "noise") as writer:
        writer.add(recording, Origin("noise", "noise", "1"))
    return path


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {"chain": chain, "model": model, "hour": hour}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--libemg", metavar="PYTHON", help="interpreter of an environment with LibEMG")
    parser.add_argument("--seconds", type=float, default=30.0, help="of live signal for chain and model")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0, help="of signal for hour")
    parser.add_argument("--lag", type=float, default=0.5, help="s, for hour")
    parser.add_argument("--backends", default="torch,torch-bf16,onnx,openvino,openvino-bf16")
    given = parser.parse_args()
    print(f"load of the machine: {', '.join(f'{x:.1f}' for x in os.getloadavg())} on {os.cpu_count()} cores")
    for part in given.part or PARTS:
        PARTS[part](given)
