"""perturb: random variations of training utterances."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import UTTERANCES, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    import numpy as np

    from myoflow.dsp.kernel import Array, Kernel


@stage("perturb")
@frozen
class Perturb(Stage):
    """Random variation of each training utterance `(channel, time)`; does nothing outside training.

    In this order, each drawn anew: `shift`: so many samples less, 0 to below it, are cut off at the start, so that
    frames fall elsewhere; `channel_gain`: each channel times exp(N(0, channel_gain)); `gap`: with probability
    `gap_chance` a stretch of up to that length is zero; `channel_drop`: with this probability one channel is zero.
    """

    shift: int = 8
    channel_gain: float = 0.15
    gap: Duration = Duration(230, "samples")
    gap_chance: float = 0.5
    channel_drop: float = 0.3

    training_only: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(UTTERANCES)
        for field in ("gap_chance", "channel_drop"):
            if not 0 <= getattr(self, field) <= 1:
                raise PlanError(f"{field} is a probability from 0 to 1, got {getattr(self, field)}", field=field)
        if self.shift < 1:
            raise PlanError(f"shift must be at least 1 sample (for none), got {self.shift}", field="shift")
        if self.channel_gain < 0:
            raise PlanError(f"channel_gain must not be negative, got {self.channel_gain}", field="channel_gain")
        return spec

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        return Mapped(lambda x: x, (0, spec.size("channel"), 0), axis=0)

    def vary(self, utterance: Array, rate_hz: float, rng: np.random.Generator) -> Array:
        """A varied float32 copy of one utterance `(channel, time)`."""
        import numpy as np

        x = np.array(utterance[:, int(rng.integers(self.shift)) :], np.float32)
        channels, time = x.shape
        x *= np.exp(self.channel_gain * rng.standard_normal((channels, 1))).astype(np.float32)
        longest = min(self.gap.samples(rate_hz), time)
        if rng.random() < self.gap_chance and longest > 1:
            size = int(rng.integers(1, longest))
            start = int(rng.integers(time - size + 1))
            x[:, start : start + size] = 0
        if rng.random() < self.channel_drop and channels > 1:
            x[rng.integers(channels)] = 0
        return x
