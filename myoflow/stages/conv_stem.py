"""conv_stem: residual convolutions that turn an utterance's samples into frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, UTTERANCES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("conv_stem")
@frozen
class ConvStem(Stage):
    """One residual block per item of `widths`: `(utterance, channel, time)` -> `(utterance, frame, feature)`.

    A block is two convolutions of three taps with batch norm beside one of one tap; its first takes steps of its
    item of `strides`, so that there is one frame for each product of strides. A frame hears
    `1 + 2 (1 + stride)` samples of the block before it, half of them from the future; with `causal: true` none, and
    a live stream runs through it.
    Source: Gaddy and Klein 2021, arXiv 2106.01933 (widths 768, ReLU); TinyMyo's has widths of 192 and GELU.
    """

    widths: tuple[int, ...] = (192, 192, 192)
    strides: tuple[int, ...] = (2, 2, 2)
    activation: Literal["gelu", "relu"] = "gelu"
    causal: bool = False

    def plan(self, spec: Spec) -> Spec:
        spec.expect(UTTERANCES)
        for field in ("widths", "strides"):
            if not getattr(self, field) or min(getattr(self, field)) < 1:
                raise PlanError(f"needs {field} of 1 or more, got {list(getattr(self, field))}", field=field)
        if len(self.widths) != len(self.strides):
            raise PlanError(
                f"needs one stride for each of its {len(self.widths)} blocks, got {len(self.strides)}", field="strides"
            )
        after = spec.evolve(dims=FRAMES, sizes=(None, None, self.widths[-1]), units="1")
        after = after.evolve(rate_hz=spec.rate_hz / math.prod(self.strides))
        if self.causal:
            return after
        blocked = after.block("conv_stem: a frame hears samples behind its own; causal: true hears none and can stream")
        return blocked.wait(self.ahead / spec.rate_hz)

    @property
    def ahead(self) -> int:
        """Input samples beyond its own that a frame hears."""
        reach, step = 0, 1
        for stride in self.strides:
            reach += step * (1 + stride)
            step *= stride
        return max(0, reach - (step - 1))

    def cost(self, spec: Spec) -> Cost:
        """Parameters, and MACs of one frame."""
        parameters, macs, inputs, frames = 0, 0, spec.size("channel"), math.prod(self.strides)
        for width, stride in zip(self.widths, self.strides, strict=True):
            frames //= stride
            weights = 3 * inputs * width + 3 * width * width + inputs * width
            parameters += weights + 3 * width + 6 * width  # biases, then scale and shift of three norms
            macs += frames * weights
            inputs = width
        return Cost(parameters=parameters, macs=macs, memory_bytes=4 * parameters)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.utterances import ConvStem as Module

        self.plan(spec)
        gelu = self.activation == "gelu"
        return Module(spec.size("channel"), self.widths, self.strides, causal=self.causal, gelu=gelu)
