"""Inference: TinyMyo on every backend that works here, beside a plain eager implementation of the same network.

    python benchmarks/inference.py [--seconds 3] [--threads 1 2]

TinyMyo (8 layers, width 192, 3 heads, 20 samples a patch, 6 labels, random weights) on windows of 8 x 1000 and
16 x 1000, one and 16 at a time. Arms take turns, and the least time of a call counts; CPU time is of all threads. The
share is of this machine's float32 matrix product speed, measured in the same run on as many threads. Int8 ranges are
measured on the random windows: its accuracy is `myoflow verify`'s business, not this table's.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("MYOFLOW_CACHE", "/tmp/myoflow-bench")

import attrs
import numpy as np
import torch
from torch import nn

from myoflow.backend import load_backend
from myoflow.engine import ENGINES, Parameters
from myoflow.network import build
from myoflow.pipeline import Pipeline
from myoflow.spec import Spec

ARMS = ("torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")
STAGES = """
- window: {length: 1000 samples, stride: 1000 samples}
- patch: {length: 20 samples}
- tinymyo: {layers: 8, width: 192, heads: 3}
- classify
"""


class Plain(nn.Module):
    """The same mathematics, written as one would at first: eager, turned by cosine and sine, one product at a time."""

    def __init__(self, channels: int, width: int = 192, layers: int = 8, heads: int = 3) -> None:
        super().__init__()
        self.channels, self.heads = channels, heads
        self.embed = nn.Conv2d(1, width, (1, 20), (1, 20))
        self.channel = nn.Parameter(torch.zeros(1, channels, 1, width))
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "n1": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width),
                    "n2": nn.LayerNorm(width), "f1": nn.Linear(width, 4 * width), "f2": nn.Linear(4 * width, width),
                }
            )
            for _ in range(layers)
        )  # fmt: skip
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(channels * width, 6)
        speed = 10000.0 ** (-torch.arange(0, width // heads, 2) / (width // heads))
        angle = torch.outer(torch.arange(50), speed).repeat(channels, 1)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def turn(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1).flatten(-2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x[:, None]).permute(0, 2, 3, 1) + self.channel
        x = x.flatten(1, 2)
        for block in self.blocks:
            qkv = block["qkv"](block["n1"](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            q, k, v = self.turn(qkv[0]), self.turn(qkv[1]), qkv[2]
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            x = x + block["proj"](y.transpose(1, 2).flatten(2))
            x = x + block["f2"](nn.functional.gelu(block["f1"](block["n2"](x))))
        x = self.norm(x).unflatten(1, (self.channels, -1))
        return self.head(x.mean(2).flatten(1))


def arms(channels: int, threads: int) -> tuple[dict[str, Callable[[Any], Any]], int]:
    """A function of a batch for each arm that works here, and the network's multiply-accumulates per window."""
    plan = Pipeline.from_yaml(STAGES).plan(Spec.signal(channels, 200.0, labels=tuple("abcdef")))
    (segment,) = plan.segments(1)
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in build(segment).state_dict().items()}
    windows = np.random.default_rng(0).standard_normal((32, channels, 1000)).astype(np.float32)
    plain = Plain(channels).eval()

    def eager(x: Any) -> Any:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return plain(torch.from_numpy(x)).numpy()

    found: dict[str, Callable[[Any], Any]] = {"plain eager": eager}
    for name in ARMS:
        card = attrs.evolve(load_backend(name), threads=threads)
        engine = ENGINES[card.engine]()
        if reason := engine.missing(card):
            print(f"{name}: {reason}")
            continue
        examples = windows if engine.calibrates(card) else None
        found[name] = engine.compile(segment, card, Parameters(weights=weights), examples).feed
    return found, sum(step.cost.macs for step in plan.steps[1:])


def peak(threads: int) -> float:
    """Multiply-accumulates per second of a float32 matrix product."""
    torch.set_num_threads(threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = min(timed(lambda: a @ b)[0] for _ in range(30))
    return 1024**3 / best


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="per arm")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    for threads in given.threads:
        best = peak(threads)
        print(f"\n{threads} thread(s), float32 matrix product {best / 1e9:.1f} GMAC/s, load {os.getloadavg()[0]:.1f}")
        for channels in (8, 16):
            made, macs = arms(channels, threads)
            for batch in (1, 16):
                table(made, macs, channels, batch, best, given.seconds)


def table(
    made: dict[str, Callable[[Any], Any]], macs: int, channels: int, batch: int, best: float, seconds: float
) -> None:
    x = np.random.default_rng(1).standard_normal((batch, channels, 1000)).astype(np.float32)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for call in made.values():
        call(x)
    end = time.perf_counter() + seconds * len(made)
    while time.perf_counter() < end or min(map(len, times.values())) < 3:
        for name, call in made.items():
            times[name].append(timed(lambda call=call: call(x)))
    print(f"\n{channels} x 1000, {batch} at a time: {batch * macs / 1e9:.2f} GMAC")
    print(f"{'':<16}{'wall ms':>9}{'CPU ms':>9}{'of peak':>9}{'x eager':>9}")
    eager = min(wall for wall, _ in times["plain eager"])
    for name, found in times.items():
        wall, cpu = (min(column) for column in zip(*found, strict=True))
        share = batch * macs / wall / best
        print(f"{name:<16}{1e3 * wall:>9.1f}{1e3 * cpu:>9.1f}{100 * share:>8.0f} %{eager / wall:>8.2f}x")


if __name__ == "__main__":
    main()
