"""td_frames: the time-domain features TD0 of EMG speech recognition, with their neighbours (TD10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, UTTERANCES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    import torch


@stage("td_frames")
@frozen
class TdFrames(Stage):
    """`(utterance, channel, time)` -> `(utterance, frame, feature)`: five hand-made numbers a channel and frame.

    A signal without its mean is parted by a moving average of nine samples, taken twice, into a low part w and a high
    part p. A frame has the mean and the power of w, and the power, the rate of zero crossings and the mean magnitude of
    p (Jou et al. 2006, TD0). `context` frames on each side stand beside it; with the default 10 that is TD10 of Schultz
    and Wand 2010. Normalised as training batches say; nothing else is learned. Behind it, `ctc` alone is a classical
    recogniser to compare with.
    """

    length: Duration = Duration(0.027)
    step: Duration = Duration(0.01)
    context: int = 10

    def plan(self, spec: Spec) -> Spec:
        spec.expect(UTTERANCES)
        length, step = self._samples(spec)
        for field, value in (("length", length), ("step", step)):
            if value < 1:
                raise PlanError(f"needs a {field} of a sample ({1 / spec.rate_hz:.3g} s) or more", field=field)
        if self.context < 0:
            raise PlanError(f"context must not be negative, got {self.context}", field="context")
        features = 5 * spec.size("channel") * (2 * self.context + 1)
        after = spec.evolve(dims=FRAMES, sizes=(None, None, features), units="1", rate_hz=spec.rate_hz / step)
        return after.wait((self.context * step + length) / spec.rate_hz)

    def _samples(self, spec: Spec) -> tuple[int, int]:
        return self.length.samples(spec.rate_hz), self.step.samples(spec.rate_hz)

    def cost(self, spec: Spec) -> Cost:
        length, step = self._samples(spec)
        channels = spec.size("channel")
        return Cost(macs=channels * (5 * length + 20 * step), memory_bytes=4 * self.plan(spec).size("feature"))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.handmade import TimeDomainFrames

        self.plan(spec)
        return TimeDomainFrames(spec.size("channel"), *self._samples(spec), self.context)
