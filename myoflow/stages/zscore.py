"""zscore: mean 0, standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from myoflow.dsp.scaling import Per, fit_scaling, plan_scaling, scaling_kernel
from myoflow.errors import PlanError
from myoflow.spec import Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Seconds, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("zscore")
@frozen
class Zscore(Stage):
    """`y = (x - mean) / std`, per channel or with one mean and std for all of them.

    `over` says what mean and std are taken over: each `window` (after the window stage); the `train` split (before
    or after it, also on features, where it is per feature); the whole `recording` (cannot stream); or `running`:
    exponentially weighted over the past with time constant `span`, `m += a (x - m)`, `v = (1 - a) (v + a (x - m)^2)`
    with the old m on the right and `a = 1 - exp(-1 / (span rate))`, and plain mean and variance until `1 / a` samples
    have come (West 1979, doi 10.1145/359146.359153). The standard deviation divides by n (numpy's ddof 0); where it
    is 0 the output is 0. Samples that are not finite stay so and are left out of the statistics.
    """

    over: Literal["window", "running", "train", "recording"]
    per: Per = "channel"
    span: Seconds = 10.0

    @property
    def fits(self) -> bool:
        return self.over == "train"

    def plan(self, spec: Spec) -> Spec:
        if not self.span > 0:
            raise PlanError(f"needs a span above 0 s, got {self.span:g} s", field="span")
        return plan_scaling(self.name, self.over, self.per, spec)

    def cost(self, spec: Spec) -> Cost:
        channels = len(spec.channels)
        return Cost(macs=channels * (4 if self.over == "running" else 1), memory_bytes=16 * channels)

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Array | None]]) -> State:
        return fit_scaling("zscore", self.per, spec, batches)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        if self.over == "running":
            from myoflow.dsp.moving import RunningZscore

            return RunningZscore(spec.size("channel"), self.span * spec.rate_hz, pooled=self.per == "all")
        return scaling_kernel("zscore", self.over, self.per, spec, state)
