"""minmax: the range from -1 to 1, and what it shares with the other way to scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

from myoflow.dsp.scaling import Method, Per, fit_scaling, plan_scaling, scaling_kernel
from myoflow.spec import Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@frozen
class Scaled(Stage):
    """Subtracts and divides; `method` says by which statistics."""

    method: ClassVar[Method]
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
        return fit_scaling(self.method, self.per, spec, batches)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        return scaling_kernel(self.method, self.over, self.per, spec, state)


@stage("minmax")
@frozen
class Minmax(Scaled):
    """`y = 2 (x - min) / (max - min) - 1`, per channel or with one range for all of them.

    `over` says what min and max are taken over: each `window` (after the window stage); the `train` split (before
    or after it, also on features), where later values may leave -1 to 1; or the whole `recording` (cannot stream).
    Where max equals min the output is 0. Samples that are not finite stay so and are left out of the range.
    """

    method = "minmax"
