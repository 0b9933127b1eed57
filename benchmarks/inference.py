"""Inference: TinyMyo on every backend that works here, beside a plain eager implementation of the same network.

    python benchmarks/inference.py [--seconds 3] [--threads 1 2] [--channels 8 16]

TinyMyo (8 layers, width 192, 3 heads, 20 samples a patch, 6 labels, random weights) on windows of 8 x 1000 and
16 x 1000, one and 16 at a time. Arms take turns, and the least time of a call counts; CPU time is of all threads, and
what to read on a busy machine. Shares are of this machine's speed in a product of matrices, measured in the same run in
CPU time on one core: in float32, and in the arm's own precision. Int8 ranges are measured on the random windows: its
accuracy is `myoflow verify`'s business, not this table's.
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
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch, and so for the eager peer, too (docs/design.md)

import attrs
import numpy as np
import torch
from torch import nn

from myoflow.backend import load_backend
from myoflow.engine import ENGINES, Parameters
from myoflow.lower.hardware import processor
from myoflow.network import build
from myoflow.pipeline import Pipeline
from myoflow.spec import Spec

ARMS = ("torch", "torch-compiled", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")
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


def peaks(size: int = 1024) -> dict[str, float]:
    """Multiply-accumulates per second of CPU of a matrix product on one core, in each precision."""
    torch.set_num_threads(1)
    a, b = torch.randn(size, size), torch.randn(size, size)
    one, two = a.bfloat16(), b.bfloat16()
    integers = torch.randint(-100, 100, (size, size), dtype=torch.int8)
    products: dict[str, Callable[[], Any]] = {
        "float32": lambda: a @ b,
        "bf16": lambda: one @ two,
        "int8": lambda: torch._int_mm(integers, integers.T),
    }
    return {name: size**3 / min(timed(product)[1] for _ in range(50)) for name, product in products.items()}


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="per arm")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 16])
    given = parser.parse_args()
    best = peaks()
    told = ", ".join(f"{name} {speed / 1e9:.0f}" for name, speed in best.items())
    print(f"{processor()}; product of matrices on one core, GMAC/s of CPU time: {told}")
    for threads in given.threads:
        for channels in given.channels:
            made, macs = arms(channels, threads)
            for batch in (1, 16):
                print(
                    f"\n{channels} x 1000, {batch} at a time, {threads} thread(s), load {os.getloadavg()[0]:.1f}: ",
                    end="",
                )
                table(made, macs, channels, batch, best, given.seconds)


def table(
    made: dict[str, Callable[[Any], Any]],
    macs: int,
    channels: int,
    batch: int,
    best: dict[str, float],
    seconds: float,
) -> None:
    x = np.random.default_rng(1).standard_normal((batch, channels, 1000)).astype(np.float32)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for call in made.values():
        call(x)
    end = time.perf_counter() + seconds * len(made)
    while time.perf_counter() < end or min(map(len, times.values())) < 3:
        for name, call in made.items():
            times[name].append(timed(lambda call=call: call(x)))
    rows = {name: [min(column) for column in zip(*found, strict=True)] for name, found in times.items()}
    print(f"{batch * macs / 1e9:.2f} GMAC, least of {min(map(len, times.values()))} calls or more")
    print(f"{'':<16}{'CPU ms':>9}{'wall ms':>9}{'x eager: CPU':>14}{'wall':>7}{'of float32':>12}{'of own peak':>13}")
    eager = rows["plain eager"]
    for name, (wall, cpu) in rows.items():
        own = best[name.rpartition("-")[2]] if name.endswith(("bf16", "int8")) else best["float32"]
        speed = batch * macs / cpu
        gain = f"{eager[1] / cpu:>13.2f}x{eager[0] / wall:>6.2f}x"
        shares = f"{100 * speed / best['float32']:>10.0f} %{100 * speed / own:>11.0f} %"
        print(f"{name:<16}{1e3 * cpu:>9.1f}{1e3 * wall:>9.1f}{gain}{shares}", flush=True)


if __name__ == "__main__":
    main()
