"""robust: median 0, interquartile range 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from myoflow.dsp.scaling import Per, fit_scaling, plan_scaling, scaling_kernel
from myoflow.spec import Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("robust")
@frozen
class Robust(Stage):
    """`y = (x - median) / IQR`, per channel or with one median and IQR for all: zscore for signals with spikes.

    The IQR is the 75th less the 25th percentile, linearly interpolated (numpy's default). `over` says what they
    are taken over: each `window` (after the window stage); the `train` split (before or after it, also on
    features; above 2^20 values a channel from an evenly thinned subset); or the whole `recording` (cannot
    stream). Where the IQR is 0 the output is `x - median`. Samples that are not finite stay so and are left out.
    """

    over: Literal["window", "train", "recording"]
    per: Per = "channel"

    @property
    def fits(self) -> bool:
        return self.over == "train"

    def plan(self, spec: Spec) -> Spec:
        return plan_scaling(self.name, self.over, self.per, spec)

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=len(spec.channels), memory_bytes=16 * len(spec.channels))

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Array | None]]) -> State:
        return fit_scaling("robust", self.per, spec, batches)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        return scaling_kernel("robust", self.over, self.per, spec, state)
