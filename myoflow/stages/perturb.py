"""perturb: random variations of training utterances."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import UTTERANCES, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import numpy as np

    from myoflow.dsp.kernel import Array, Kernel


@stage("perturb")
@frozen
class Perturb(Stage):
    """Random variation of each training utterance `(channel, time)`; does nothing outside training.

    In this order, each drawn anew for every utterance: `shift`: so many samples, 0 to below it, are cut off at the
    start, so that frames fall elsewhere; `gap`: with probability `gap_chance` a stretch of up to so many samples is
    zero; `channel_gain`: each channel times exp(N(0, channel_gain)); `channel_drop`: with this probability one channel
    is zero.
    """

    shift: int = 8
    channel_gain: float = 0.15
    gap: int = 230
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
        if self.gap < 0:
            raise PlanError(f"gap must not be negative, got {self.gap}", field="gap")
        if self.channel_gain < 0:
            raise PlanError(f"channel_gain must not be negative, got {self.channel_gain}", field="channel_gain")
        return spec

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        return Mapped(lambda x: x, (0, spec.size("channel"), 0), axis=0)

    def apply(self, batch: Array, rng: np.random.Generator) -> Array:
        """A varied float32 copy of a batch `(utterance, channel, time)`, zeros behind each; by `rng` alone."""
        import numpy as np

        count, channels, time = batch.shape
        x = np.zeros(batch.shape, np.float32)
        longest = min(self.gap, time)
        for row, utterance in enumerate(batch):
            cut = int(rng.integers(min(self.shift, time + 1)))
            x[row, :, : time - cut] = utterance[:, cut:]
            if rng.random() < self.gap_chance and longest > 1:
                size = int(rng.integers(1, longest))
                start = int(rng.integers(time - size + 1))
                x[row, :, start : start + size] = 0
        x *= np.exp(self.channel_gain * rng.standard_normal((count, channels, 1))).astype(np.float32)
        if channels > 1:
            lost = np.flatnonzero(rng.random(count) < self.channel_drop)
            x[lost, rng.integers(channels, size=len(lost))] = 0
        return x
