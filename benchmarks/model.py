"""The encoder against a plain implementation of the same maths: CPU time and memory of a forward pass and of a training
step.

    python benchmarks/model.py

The plain one is written as the formulas stand, with dropout on the attention weights as in the paper. Ours leaves that
one out (docs/design.md), which lets torch's fused attention be used. Each measurement is a process of its own, in
turns; CPU time is the least over rounds, memory the process' peak less what it had before the network was made.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

CHANNELS, SAMPLES, PATCH, WIDTH, LAYERS, HEADS = 16, 1000, 20, 192, 8, 3
JOBS = ("forward", "step")
WHO = ("plain", "ours", "ours, bf16")


def rotary():
    """The class of rotary positions in real numbers."""
    import torch
    from torch import nn

    class Rotary(nn.Module):
        def __init__(self, width: int, patches: int, channels: int) -> None:
            super().__init__()
            speed = 10000.0 ** (-torch.arange(0, width, 2) / width)
            angle = torch.outer(torch.arange(patches), speed).repeat(channels, 1)
            self.register_buffer("cos", angle.cos())
            self.register_buffer("sin", angle.sin())

        def forward(self, x):
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1).flatten(-2)

    return Rotary


def plain():
    """TinyMyo as its formulas read: rotary positions in real numbers, softmax written out, torch's own dropout."""
    import torch
    from torch import nn

    Rotary = rotary()

    class Attention(nn.Module):
        def __init__(self, rotary) -> None:
            super().__init__()
            self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.drop_weights, self.drop, self.rotary = nn.Dropout(0.1), nn.Dropout(0.1), rotary

        def forward(self, x):
            batch, tokens, _ = x.shape
            q, k, v = self.qkv(x).view(batch, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            q, k = self.rotary(q), self.rotary(k)
            weights = self.drop_weights(torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1))
            return self.drop(self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, WIDTH)))

    class Block(nn.Module):
        def __init__(self, rotary) -> None:
            super().__init__()
            self.norm1, self.norm2, self.attn = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Attention(rotary)
            self.mlp = nn.Sequential(
                nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * WIDTH, WIDTH), nn.Dropout(0.1)
            )

        def kept(self, x):
            if not self.training:
                return x
            return x * (torch.rand(len(x), 1, 1) < 0.9) / 0.9

        def forward(self, x):
            x = x + self.kept(self.attn(self.norm1(x)))
            return x + self.kept(self.mlp(self.norm2(x)))

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, WIDTH, (1, PATCH), stride=(1, PATCH))
            turn = Rotary(WIDTH // HEADS, SAMPLES // PATCH, CHANNELS)
            self.mask_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.channel_embed = nn.Parameter(torch.zeros(1, CHANNELS, 1, WIDTH))
            self.blocks = nn.Sequential(*(Block(turn) for _ in range(LAYERS)))
            self.norm, self.decoder = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, PATCH)

        def forward(self, x, mask):
            x = self.patches(x[:, None]).permute(0, 2, 3, 1)
            x = torch.where(mask[..., None], self.mask_token, x) + self.channel_embed
            return self.decoder(self.norm(self.blocks(x.flatten(1, 2)))).unflatten(1, mask.shape[1:])

    return Plain()


def ours():
    """The network of `pretrain`, as the recipe builds it."""
    from torch import nn

    from myoflow.nn.encoder import Encoder, Patches
    from myoflow.nn.masking import Decoder

    class Ours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = Patches(PATCH)
            self.encoder = Encoder(channels=CHANNELS, patches=SAMPLES // PATCH, features=PATCH)
            self.encoder.mask_token.requires_grad_(True)
            self.decoder = Decoder(WIDTH, PATCH)

        def forward(self, x, mask):
            return self.decoder(self.encoder(self.patches(x), mask))

    return Ours()


def measure(who: str, job: str, rounds: int, batch: int) -> dict[str, float]:
    """Least CPU time of a round in s, and peak memory beyond the start in MB."""
    import torch

    from myoflow.nn.masking import reconstruction_loss

    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = 1 if job == "forward" else batch
    x, mask = torch.randn(size, CHANNELS, SAMPLES), torch.rand(size, CHANNELS, SAMPLES // PATCH) < 0.5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = plain() if who == "plain" else ours()
    network.train(job == "step")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=who != "plain")

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=who == "ours, bf16"):
            guess = network(x, mask)
        loss = reconstruction_loss(guess.float(), x.unflatten(-1, (-1, PATCH)), mask)[0].mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def forward() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=who == "ours, bf16"):
            network(x, mask)

    times = []
    for _ in range(rounds):
        start = time.process_time()
        (forward if job == "forward" else step)()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(times), "mb": (peak - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="of a training step; a forward pass has five times as many"
    )
    parser.add_argument("--batch", type=int, default=16, help="windows of a training step")
    parser.add_argument("--one", nargs=2, metavar=("WHO", "JOB"), help="measure one, print JSON (used by itself)")
    given = parser.parse_args()
    if given.one:
        who, job = given.one
        print(json.dumps(measure(who, job, given.rounds * (5 if job == "forward" else 1), given.batch)))
        return
    print(f"{'':12} {'forward, 1 window':>24} {f'training step, {given.batch}':>24} {'memory of the step':>24}")
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for who in WHO:
        rows[who] = {}
        for job in JOBS:
            command = [
                sys.executable,
                __file__,
                "--one",
                who,
                job,
                f"--rounds={given.rounds}",
                f"--batch={given.batch}",
            ]
            rows[who][job] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    base = rows["plain"]
    for who, found in rows.items():
        cells = [
            (found["forward"]["seconds"], base["forward"]["seconds"], "s"),
            (found["step"]["seconds"], base["step"]["seconds"], "s"),
            (found["step"]["mb"], base["step"]["mb"], "MB"),
        ]
        text = " ".join(f"{value:>12.4g} {unit:<2} {value / peer:>5.2f} x" for value, peer, unit in cells)
        print(f"{who:12} {text}")


if __name__ == "__main__":
    main()
