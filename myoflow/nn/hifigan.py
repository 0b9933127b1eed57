"""HiFi-GAN's generator: log-mel bands in, sound out.

Source: Kong, Kim and Bae, "HiFi-GAN", NeurIPS 2020, arXiv 2010.05646, section 2.2 and appendix A.1; parameter names are
those of its published code, so that its weights load. Weight normalisation is folded into plain convolutions on load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from myoflow.errors import InputError

SLOPE = 0.1
LAST_SLOPE = 0.01  # before the last convolution; torch's default in the published code, and so in its weights


@frozen
class Shape:
    """A generator's size. `rates` multiply to the samples of one frame; a kernel is twice its rate.

    Behind each upsampling stand residual blocks, one for each of `spans` (kernel size) with its `dilations`. A `paired`
    block (the published "1") follows each dilated convolution by a plain one, the other ("2") does not.
    """

    width: int
    rates: tuple[int, ...]
    spans: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]
    paired: bool
    bands: int = 80

    @property
    def hop(self) -> int:
        """Samples of one frame."""
        return math.prod(self.rates)

    @property
    def lookahead(self) -> int:
        """How many frames before and after its own a sample depends on."""
        low, high = -3, self.hop + 2  # the last convolution's reach, around the samples of frame 0
        for rate in reversed(self.rates):
            reach = max(self._reach(k, d) for k, d in zip(self.spans, self.dilations, strict=True))
            low, high = low - reach, high + reach
            edge = (rate + rate % 2) // 2
            low, high = -((2 * rate - 1 - edge - low) // rate), (high + edge) // rate
        return max(3 - low, high + 3)

    def _reach(self, span: int, dilations: tuple[int, ...]) -> int:
        half = (span - 1) // 2
        return sum(half * dilation + (half if self.paired else 0) for dilation in dilations)


_THREE = ((1, 3, 5),) * 3
SHAPES: dict[str, Shape] = {
    "V1": Shape(512, (8, 8, 2, 2), (3, 7, 11), _THREE, paired=True),
    "V2": Shape(128, (8, 8, 2, 2), (3, 7, 11), _THREE, paired=True),
    "V3": Shape(256, (8, 8, 4), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), paired=False),
    "S": Shape(128, (8, 8, 4), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), paired=False),
    "XS": Shape(64, (8, 8, 4), (3, 5), ((1, 2), (2, 6)), paired=False),
}
Size = Literal["V1", "V2", "V3", "S", "XS"]


class Paired(nn.Module):
    """Residual block of dilated convolutions, each followed by a plain one."""

    def __init__(self, width: int, span: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(width, span, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same(width, span, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class Single(nn.Module):
    """Residual block of dilated convolutions alone."""

    def __init__(self, width: int, span: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same(width, span, dilation) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(F.leaky_relu(x, SLOPE))
        return x


def _same(width: int, span: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(width, width, span, dilation=dilation, padding=dilation * (span - 1) // 2)


class Generator(nn.Module):
    """`(utterance, frame, band)` -> `(utterance, frame * hop)`, sound within ±1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.conv_pre = nn.Conv1d(shape.bands, shape.width, 7, padding=3)
        block = Paired if shape.paired else Single
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        width = shape.width
        for rate in shape.rates:
            extra = rate % 2  # an odd rate needs one sample more than its padding leaves
            self.ups.append(
                nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, (rate + extra) // 2, output_padding=extra)
            )
            width //= 2
            self.resblocks.extend(block(width, k, d) for k, d in zip(shape.spans, shape.dilations, strict=True))
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)
        for module in (*self.ups.modules(), *self.resblocks.modules(), self.conv_post):
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.init.normal_(module.weight, 0.0, 0.01)

    def forward(self, bands: Tensor) -> Tensor:
        x = self.conv_pre(bands.transpose(1, 2))
        count = len(self.shape.spans)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            blocks = [block(x) for block in self.resblocks[stage * count : (stage + 1) * count]]
            x = sum(blocks[1:], blocks[0]) / count
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))[:, 0]


def normalise_weights(generator: nn.Module) -> None:
    """Weight normalisation on every convolution, for training (Salimans and Kingma 2016)."""
    for module in generator.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Conv2d) and not parametrize.is_parametrized(module):
            parametrizations.weight_norm(module)


def fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without weight normalisation: each `g v / |v|`, the norm over all axes but the first.

    Takes the names of torch's old hooks (`weight_g`, `weight_v`), as published, and of its parametrisations.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        for size, direction, plain in (
            (".weight_g", ".weight_v", ".weight"),
            (".parametrizations.weight.original0", ".parametrizations.weight.original1", ".weight"),
        ):
            if name.endswith(size):
                stem = name.removesuffix(size)
                v = state[stem + direction].double()
                norm = v.norm(dim=tuple(range(1, v.ndim)), keepdim=True)
                found[stem + plain] = (value.double() * v / norm).float()
                break
            if name.endswith(direction):
                break
        else:
            found[name] = value
    return found


def load(state: Mapping[str, Tensor], shape: Shape | None = None, where: str = "these weights") -> Generator:
    """A generator with these weights, plain and in evaluation mode. Without a shape, it is told by the weights.

    Raises InputError: they are those of no shape that is known, or not of the one that is wanted; says `where` they
    are from.
    """
    weights = fold(state)
    sizes = {name: tuple(value.shape) for name, value in weights.items()}
    for candidate in [shape] if shape is not None else list(SHAPES.values()):
        with torch.device("meta"):
            wanted = {name: tuple(value.shape) for name, value in Generator(candidate).state_dict().items()}
        if wanted == sizes:
            generator = Generator(candidate)
            generator.load_state_dict(weights)
            return generator.eval()
        if shape is not None:
            wrong = sorted(name for name in wanted.keys() | sizes.keys() if wanted.get(name) != sizes.get(name))
            raise InputError(
                f"{where} are not of this generator: {wrong[0]} is {sizes.get(wrong[0], 'missing')} and should be "
                f"{wanted.get(wrong[0], 'absent')} ({len(wrong)} of {len(wanted)} differ)"
            )
    raise InputError(f"{where} are of none of HiFi-GAN's generators {', '.join(SHAPES)}")


class Speaker(Generator):
    """The generator as a stage's module: `(utterance, frame, band)` -> `(utterance, 1, time)`."""

    def forward(self, bands: Tensor) -> Tensor:
        return super().forward(bands)[:, None]
