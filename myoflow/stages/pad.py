"""pad: silent channels up to a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, WINDOWS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("pad")
@frozen
class Pad(Stage):
    """Add channels of zeros, named pad1, pad2, ..., until there are `channels`: for a model of a fixed layout.

    Put it after zscore or minmax, so that the silent channels stay at zero.
    """

    channels: int

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL, WINDOWS)
        count = spec.size("channel")
        if self.channels < count:
            raise PlanError(
                f"cannot pad {count} channels to {self.channels}; to leave some out, use select", field="channels"
            )
        return spec.with_channels((*spec.channels, *(f"pad{i + 1}" for i in range(self.channels - count))))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        count = spec.size("channel")
        after = self.plan(spec)
        empty = tuple(0 if size is None else size for size in after.sizes)

        def pad(x: Array) -> Array:
            out = np.zeros((*x.shape[:-2], self.channels, x.shape[-1]), np.float32)
            out[..., :count, :] = x
            return out

        return Mapped(pad, empty, axis=after.open_axis)
