"""GPU: TinyMyo's inference and training on a GPU, beside a plain eager implementation there.

    python benchmarks/gpu.py [--seconds 1] [--batches 1 16 512 4096] [--train 64 512]

The network and the plain implementation of inference.py on windows of 8 x 1000, from numpy and back to numpy: copies
and synchronisation are part of every time. Plain eager runs in float32 and, by autocast, in bf16. Arms take turns;
wall time, median and 99th percentile. Shares are of the GPU's product of matrices in the arm's precision, measured in
the same run; `first` is the first call, which compiles. Training is `training.train.fit` in bf16 on windows that lie in
memory, its second epoch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from inference import STAGES, Plain  # beside this file

from myoflow.backend import load_backend
from myoflow.engine import ENGINES, Parameters
from myoflow.evaluation.bench import gpu_speed
from myoflow.measure import percentile
from myoflow.network import build
from myoflow.pipeline import Pipeline
from myoflow.recipe import load
from myoflow.spec import Spec
from myoflow.training import train

CHANNELS = 8
STEPS = 30  # of training, in an epoch
SPEC = Spec.signal(CHANNELS, 200.0, labels=tuple("abcdef"))


def arms() -> tuple[dict[str, tuple[str, Callable[[Any], Any]]], int]:
    """Precision and function of a batch for each arm, and the network's multiply-accumulates per window."""
    plan = Pipeline.from_yaml(STAGES).plan(SPEC)
    (segment,) = plan.segments(1)
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in build(segment).state_dict().items()}
    plain = Plain(CHANNELS).eval().cuda()

    def eager(x: Any, half: bool = False) -> Any:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=half):
            return plain(torch.from_numpy(x).cuda()).float().cpu().numpy()

    found: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "eager": ("float32", eager),
        "eager, bf16": ("bf16", lambda x: eager(x, True)),
    }
    for name in ("cuda-float32", "cuda"):
        card = load_backend(name)
        found[name] = card.precision, ENGINES[card.engine]().compile(segment, card, Parameters(weights=weights)).feed
    return found, sum(step.cost.macs for step in plan.steps[1:])


def infer(batches: list[int], seconds: float) -> None:
    made, macs = arms()
    print(
        f"{'windows':<9}{'':<14}{'first s':>9}{'p50 ms':>10}{'p99 ms':>10}{'windows/s':>12}{'x eager':>9}{'of peak':>9}"
    )
    for batch in batches:
        x = np.random.default_rng(1).standard_normal((batch, CHANNELS, 1000)).astype(np.float32)
        first, times = {}, {name: [] for name in made}
        for name, (_, call) in made.items():
            start = time.perf_counter()
            call(x)
            first[name] = time.perf_counter() - start
            call(x)
        end = time.perf_counter() + seconds * len(made)
        while time.perf_counter() < end or len(times["eager"]) < 5:
            for name, (_, call) in made.items():
                start = time.perf_counter()
                call(x)
                times[name].append(time.perf_counter() - start)
        eager = percentile(times["eager"], 50)
        for name, (precision, _) in made.items():
            p50, p99 = (percentile(times[name], share) for share in (50, 99))
            share = batch * macs / p50 / gpu_speed(precision)
            row = f"{first[name]:>9.1f}{1e3 * p50:>10.3f}{1e3 * p99:>10.3f}{batch / p50:>12.0f}{eager / p50:>9.2f}"
            print(f"{batch:<9}{name:<14}{row}{100 * share:>7.1f} %", flush=True)


def learn(batches: list[int]) -> None:
    plan = Pipeline.from_yaml(STAGES).plan(SPEC)
    rng = np.random.default_rng(0)
    for batch in batches:
        x = rng.standard_normal((batch, CHANNELS, 1000)).astype(np.float32)
        y = rng.integers(0, 6, batch)
        settings = attrs.evolve(load("gestures_uci_published").train, epochs=2, batch=batch)
        with tempfile.TemporaryDirectory() as folder:
            history = train.fit(
                build(plan.segments(1)[0]),
                lambda epoch, x=x, y=y: ((x.copy(), y) for _ in range(STEPS)),
                None,
                settings,
                seed=0,
                steps_per_epoch=STEPS,
                folder=Path(folder),
                device="cuda",
            )
        print(f"training, {batch} a batch: {history.epochs[-1].per_second:.0f} windows/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="per arm and number of windows")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 16, 512, 4096])
    parser.add_argument("--train", type=int, nargs="*", default=[64, 512])
    given = parser.parse_args()
    speeds = ", ".join(f"{name} {gpu_speed(name) / 1e12:.0f}" for name in ("float32", "bf16"))
    print(f"{torch.cuda.get_device_name()}; product of matrices, TMAC/s: {speeds}")
    infer(given.batches, given.seconds)
    learn(given.train)


if __name__ == "__main__":
    main()
