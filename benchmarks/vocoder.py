"""How fast a HiFi-GAN generator speaks: plain eager torch against folded weights on better runtimes, in one run.

    python benchmarks/vocoder.py [--size V3] [--seconds 4] [--threads 1] [--rounds 8]

Peer: the published generator as it is run in eager torch (weight normalisation computed at every call, float32). Ours:
the same weights folded, in torch, ONNX Runtime and OpenVINO. Weights are random; time does not depend on them. Figures
are CPU seconds a second of sound (time.process_time), the least of the rounds, in which all take turns; factors hold on
a busy machine, seconds less so. `off` is the largest difference from the peer, of the sound's root mean square.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from myoflow.nn.hifigan import SHAPES, Generator, load, normalise_weights
from myoflow.speech.voicing import Voice


def spent(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def openvino(model: bytes, threads: int, precision: str = "f32") -> Callable[[np.ndarray], np.ndarray]:
    """The exported model compiled by OpenVINO."""
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(model), "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    )
    return lambda bands: compiled(bands)[0]


def onnx(model: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The exported model in ONNX Runtime."""
    from myoflow.lower.onnx_graph import session

    return session(model, threads)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="V3", choices=SHAPES)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    shape = SHAPES[given.size]
    peer = Generator(shape)
    normalise_weights(peer)
    peer.eval()
    ours = Voice(load(peer.state_dict(), shape))
    frames = round(given.seconds * 22_050 / shape.hop)
    bands = np.random.default_rng(0).standard_normal((1, frames, shape.bands)).astype(np.float32)
    tensor = torch.from_numpy(bands)
    with torch.no_grad():
        want = peer(tensor).numpy()
        runs: dict[str, Callable[[], object]] = {
            "torch, weight norm (peer)": lambda: peer(tensor),
            "torch, folded": lambda: ours(bands),
        }
        off = {name: 0.0 for name in runs}
        model = ours.onnx()
        for name, make in (
            ("onnxruntime, folded", onnx),
            ("openvino, folded", openvino),
            ("openvino, folded, bf16", partial(openvino, precision="bf16")),
        ):
            try:
                call = make(model, given.threads)
            except ImportError:
                print(f"{name}: not installed")
                continue
            off[name] = float(np.abs(call(bands) - want).max() / np.sqrt(np.mean(want**2)))
            runs[name] = lambda call=call: call(bands)
        seconds = frames * shape.hop / 22_050
        print(f"{given.size}, {seconds:.2f} s of sound, {given.threads} thread(s), least of {given.rounds} rounds")
        print(f"{'':28}{'CPU-s per s':>12}{'faster than real':>18}{'against peer':>14}{'off':>10}")
        times = [[spent(run) for run in runs.values()] for _ in range(given.rounds + 1)][1:]
        costs = np.min(times, axis=0) / seconds
        for name, cost in zip(runs, costs, strict=True):
            print(f"{name:28}{cost:12.3f}{1 / cost:17.1f}x{costs[0] / cost:13.2f}x{off[name]:10.1e}")


if __name__ == "__main__":
    main()
