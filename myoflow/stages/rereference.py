"""rereference: take away what all channels share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, WINDOWS, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("rereference")
@frozen
class Rereference(Stage):
    """Common average, `y_c = x_c - mean over channels`, or bipolar, `y_c = x_c - x_(c+1)`, per sample.

    `bipolar` gives one channel less, named `a-b`; with `ring: true` (an armband) the last channel is paired with
    the first and the count stays. A sample that is not finite makes that sample NaN in every channel that uses it.
    """

    method: Literal["common_average", "bipolar"] = "common_average"
    ring: bool = False

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL, WINDOWS)
        count = spec.size("channel")
        if count < 2:
            raise PlanError("needs at least 2 channels, got 1")
        if self.method == "common_average":
            if self.ring:
                raise PlanError("uses ring only with method: bipolar", field="ring")
            return spec
        if self.ring and count < 3:
            raise PlanError("needs at least 3 channels for a ring, got 2", field="ring")
        names = spec.channels
        after = (*names[1:], names[0]) if self.ring else names[1:]
        pairs = tuple(f"{a}-{b}" for a, b in zip(names, after, strict=False))
        return spec.with_channels(pairs)

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=2 * spec.size("channel"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        def common_average(x: Array) -> Array:
            # Channel by channel: numpy's own sum adds in another order when the chunk is one sample long.
            total = np.zeros(np.delete(x.shape, -2), np.float64)
            for channel in range(x.shape[-2]):
                total += x[..., channel, :]
            return np.asarray(x - (total / x.shape[-2])[..., None, :], np.float32)

        def bipolar(x: Array) -> Array:
            after = np.roll(x, -1, axis=-2) if self.ring else x[..., 1:, :]
            return np.asarray(x[..., : after.shape[-2], :] - after, np.float32)

        after = self.plan(spec)
        empty = tuple(0 if size is None else size for size in after.sizes)
        return Mapped(common_average if self.method == "common_average" else bipolar, empty, axis=after.open_axis)
