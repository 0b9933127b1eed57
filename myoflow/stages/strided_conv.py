"""strided_conv: one convolution over all channels that turns a window into frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, WINDOWS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    import torch


@stage("strided_conv")
@frozen
class StridedConv(Stage):
    """`(window, channel, time)` -> frames `(window, frame, feature)` of `width`, one each `stride`.

    A frame hears the `length` up to its own time and nothing later. The generic neuromotor interface has 21 samples
    every 10 at 2 kHz (Kaifosh, Reardon et al. 2025).
    """

    width: int = 192
    length: Duration = Duration(21, "samples")
    stride: Duration = Duration(10, "samples")
    dropout: float = 0.1

    def plan(self, spec: Spec) -> Spec:
        spec.expect(WINDOWS)
        length, stride, time = self.length.samples(spec.rate_hz), self.stride.samples(spec.rate_hz), spec.size("time")
        if self.width < 1:
            raise PlanError(f"needs a width of 1 or more, got {self.width}", field="width")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        if stride < 1 or length < stride:
            raise PlanError(f"needs a length of at least its stride, got {length} and {stride} samples", field="length")
        if length > time:
            raise PlanError(f"has a length of {length} samples, above the window's {time}", field="length")
        frames = (time - length) // stride + 1
        return spec.evolve(dims=FRAMES, sizes=(None, frames, self.width), units="1", rate_hz=spec.rate_hz / stride)

    def hears(self, spec: Spec) -> int:
        """The sample of a window that its first frame hears last."""
        return self.length.samples(spec.rate_hz) - 1

    def cost(self, spec: Spec) -> Cost:
        """Parameters, and MACs of one window."""
        after, taps = self.plan(spec), self.length.samples(spec.rate_hz) * spec.size("channel")
        parameters = (taps + 1) * self.width + 2 * self.width
        frames = after.size("frame")
        return Cost(parameters, frames * taps * self.width, 4 * (parameters + frames * self.width))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.strided import StridedConv as Module

        self.plan(spec)
        rate = spec.rate_hz
        length, stride = self.length.samples(rate), self.stride.samples(rate)
        return Module(spec.size("channel"), self.width, length, stride, self.dropout)
