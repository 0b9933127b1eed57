"""lags: frames that know the signal as it is and as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, WINDOWS, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("lags")
@frozen
class Lags(Stage):
    """`(window, channel, time)` -> `(window, frame, feature)`: each channel now and each of `back` ago.

    A frame comes each `stride` from the first one on that has all its past inside the window. Behind `envelope` and
    `log`, a linear classifier sees by it which muscles are active and which have just become so.
    """

    back: tuple[Duration, ...] = (Duration(0.1), Duration(0.2), Duration(0.4))
    stride: Duration = Duration(0.02)

    def plan(self, spec: Spec) -> Spec:
        spec.expect(WINDOWS)
        back, stride = self._samples(spec)
        if stride < 1:
            raise PlanError(f"needs a stride of a sample ({1 / spec.rate_hz:.3g} s) or more", field="stride")
        if len(set(back)) < len(back):
            raise PlanError(f"back needs times apart by a sample ({1 / spec.rate_hz:.3g} s) and more", field="back")
        if max(back) >= spec.size("time"):
            raise PlanError(f"looks {max(back)} samples back, in windows of {spec.size('time')}", field="back")
        frames = (spec.size("time") - 1 - max(back)) // stride + 1
        return spec.evolve(
            dims=FRAMES,
            sizes=(None, frames, len(back) * spec.size("channel")),
            units="1",
            rate_hz=spec.rate_hz / stride,
        )

    def _samples(self, spec: Spec) -> tuple[tuple[int, ...], int]:
        """How far back each lag lies, the present first, and from frame to frame."""
        back = tuple(lag.samples(spec.rate_hz) for lag in self.back)
        return (0, *back), self.stride.samples(spec.rate_hz)

    def hears(self, spec: Spec) -> int:
        """The sample of a window that its first frame hears last."""
        return max(self._samples(spec)[0])

    def cost(self, spec: Spec) -> Cost:
        after = self.plan(spec)
        return Cost(memory_bytes=4 * after.size("frame") * after.size("feature"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        after, (back, stride) = self.plan(spec), self._samples(spec)
        frames, features = after.size("frame"), after.size("feature")
        at = max(back) + stride * np.arange(frames)

        def described(x: Array) -> Array:
            return np.concatenate([x[:, :, at - lag] for lag in back], axis=1).transpose(0, 2, 1).copy()

        return Mapped(described, (0, frames, features), axis=0)
