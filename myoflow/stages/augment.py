"""augment: random variations of training windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import WINDOWS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import numpy as np

    from myoflow.dsp.kernel import Array, Kernel


@stage("augment")
@frozen
class Augment(Stage):
    """Random variation of each training window `(window, channel, time)`; does nothing outside training.

    In this order, each drawn anew for every window:

    - `rotate`: electrodes of a ring shifted by a whole number from -rotate to rotate, as a band put on turned;
    - `time_shift`: the window shifted in a circle by up to this share of its length, so that patches start elsewhere;
    - `flip`: probability that the sign of the whole window is turned (a bipolar electrode's sign is arbitrary);
    - `amplitude`: the window times a factor from U(1 - amplitude, 1 + amplitude);
    - `channel_amplitude`: the same for each channel on its own, as electrodes that touch differently;
    - `jitter`: white Gaussian noise of `jitter` times each channel's standard deviation;
    - `channel_dropout`: probability that a channel is zero; one channel always stays.

    Defaults are those published for TinyMyo on Ninapro DB5 (amplitude 0.1, jitter 1 %, channel dropout 0.05).
    """

    amplitude: float = 0.1
    channel_amplitude: float = 0.0
    jitter: float = 0.01
    channel_dropout: float = 0.05
    rotate: int = 0
    time_shift: float = 0.0
    flip: float = 0.0

    training_only: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(WINDOWS)
        for field, below in (("amplitude", 1.0), ("channel_amplitude", 1.0), ("channel_dropout", 1.0)):
            if not 0 <= getattr(self, field) < below:
                raise PlanError(f"{field} must be from 0 to below {below:g}, got {getattr(self, field)}", field=field)
        if not 0 <= self.flip <= 1:
            raise PlanError(f"flip is a probability from 0 to 1, got {self.flip}", field="flip")
        if self.jitter < 0:
            raise PlanError(f"jitter must not be negative, got {self.jitter}", field="jitter")
        channels = spec.size("channel")
        if not 0 <= self.rotate < channels:
            raise PlanError(f"rotate must be from 0 to below {channels} channels, got {self.rotate}", field="rotate")
        if not 0 <= self.time_shift <= 0.5:
            raise PlanError(
                f"time_shift is a share of the window from 0 to 0.5, got {self.time_shift}", field="time_shift"
            )
        return spec

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        return Mapped(lambda x: x, (0, spec.size("channel"), spec.size("time")), axis=0)

    def apply(self, batch: Array, rng: np.random.Generator) -> Array:
        """A varied float32 copy of `batch` `(window, channel, time)`; the same state of `rng` gives the same copy."""
        import numpy as np

        x = np.array(batch, np.float32)
        count, channels, time = x.shape
        if self.rotate:
            turn = rng.integers(-self.rotate, self.rotate + 1, (count, 1))
            x = x[np.arange(count)[:, None], (np.arange(channels) + turn) % channels]
        if self.time_shift:
            reach = round(self.time_shift * time)
            shift = rng.integers(-reach, reach + 1, (count, 1, 1))
            x = np.take_along_axis(x, (np.arange(time) + shift) % time, axis=2)
        gain = 1 + self.amplitude * rng.uniform(-1, 1, (count, 1, 1))
        gain = gain * (1 + self.channel_amplitude * rng.uniform(-1, 1, (count, channels, 1)))
        if self.flip:
            gain = np.where(rng.random((count, 1, 1)) < self.flip, -gain, gain)
        x *= gain.astype(np.float32)
        if self.jitter:
            noise = rng.standard_normal(x.shape, np.float32)
            noise *= np.float32(self.jitter) * x.std(axis=2, keepdims=True)
            x += noise
        if self.channel_dropout:
            lost = rng.random((count, channels)) < self.channel_dropout
            lost[np.arange(count), rng.integers(0, channels, count)] = False
            x[lost] = 0
        return x
