"""Small networks for the compiler's tests, with weights that are spread as trained ones are."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from myoflow.engines.mcu import capture, ranges
from myoflow.engines.mcu.quantise import Choices, quantise
from myoflow.nn.encoder import Classifier, Encoder, Patches
from myoflow.spec import Spec


def spec(channels: int, time: int) -> Spec:
    names = tuple(f"ch{i}" for i in range(channels))
    return Spec(("window", "channel", "time"), (None, channels, time), 100.0, names, labels=("a", "b", "c"))


def spread(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Norms and biases away from 1 and 0."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            if tensor.ndim == 1 or "channel_embed" in name:
                tensor += 0.2 * torch.randn_like(tensor)
    return module.eval()


def tinymyo(channels: int = 2, patches: int = 5, width: int = 24, heads: int = 2, **more: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    encoder = Encoder(channels=channels, patches=patches, features=20, width=width, heads=heads, layers=2, **more)
    parts = OrderedDict(patch=Patches(20), tinymyo=encoder, classify=Classifier(channels * width, 3, concat=True))
    return spread(torch.nn.Sequential(parts))


class Stem(torch.nn.Module):
    """Strided convolutions with batch normalisation and a shortcut, then scores per frame: the speech front."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Conv1d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm1d(8)
        self.second, self.norm2 = torch.nn.Conv1d(8, 8, 3, padding=1), torch.nn.BatchNorm1d(8)
        self.shortcut, self.head = torch.nn.Conv1d(3, 8, 1, stride=2), torch.nn.Linear(8, 5)
        for norm in (self.norm, self.norm2):
            torch.nn.init.normal_(norm.running_mean)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.first(x)))
        y = torch.relu(self.norm2(self.second(y)) + self.shortcut(x))
        out: torch.Tensor = self.head(y.transpose(1, 2))
        return out


def windows(channels: int, time: int, count: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, channels, time)) * rng.uniform(0.2, 1.5, (count, 1, 1))).astype(np.float32)


def made(module: torch.nn.Module, examples: np.ndarray, choices: Choices | None = None) -> tuple[Any, Any]:
    """The captured graph and the network in integers."""
    graph = capture.capture(module, spec(*examples.shape[1:]))
    return graph, quantise(graph, ranges.observe(graph, examples), choices)


def adversarial(size: tuple[int, int]) -> np.ndarray:
    """All lowest, all highest, zeros, single spikes, random: int8."""
    rng = np.random.default_rng(3)
    found = [np.full(size, v) for v in (-128, 127, 0)]
    for value in (-128, 127):
        spike = np.zeros(size)
        spike.flat[rng.integers(spike.size)] = value
        found.append(spike)
    found += [rng.integers(-128, 128, size), rng.choice([-128, 127], size)]
    return np.stack(found).astype(np.int8)
