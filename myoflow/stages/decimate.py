"""decimate: keep every n-th sample, without a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("decimate")
@frozen
class Decimate(Stage):
    """Keep samples 0, factor, 2 factor, ...

    Only for signals that were sampled slowly and stored fast by holding each value (the UCI gestures: about 105
    true values in 1000 rows a second). There the samples in between carry nothing, and an anti-aliasing filter
    would only smear the steps. Any other signal folds its upper frequencies onto the lower ones: use resample.
    """

    factor: int

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        if self.factor < 1:
            raise PlanError(f"needs a factor of 1 or more, got {self.factor}", field="factor")
        return spec.evolve(rate_hz=spec.rate_hz / self.factor)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.resample import EveryNth

        return EveryNth(spec.size("channel"), self.factor)
