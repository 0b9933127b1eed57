"""interpolate: another rate by straight lines between samples, with aliases, as published."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.stages.resample import ratio_of
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("interpolate")
@frozen
class Interpolate(Stage):
    """Change the rate by linear interpolation, without any anti-alias filter: only under `protocol: published`.

    The same numbers as `numpy.interp` on the grid 0, 1/rate, ... below the last sample. What lies above half of the
    new rate comes back at wrong frequencies; for work of your own there is resample. Source: the published code of
    Gaddy and Klein 2020, which goes from 1000 Hz to 689.06 Hz this way.
    """

    rate: Hz

    published_only: ClassVar[str] = (
        "interpolate has no anti-alias filter and is there to repeat a publication; use resample, or mark the recipe "
        "`protocol: published`"
    )

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        ratio_of(self.rate, spec)
        if spec.size("channel") < 1:
            raise PlanError("needs a channel")
        return spec.evolve(rate_hz=self.rate).wait(1 / spec.rate_hz)

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=2 * spec.size("channel"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.resample import Lines

        ratio = ratio_of(self.rate, spec)
        return Lines(spec.size("channel"), ratio.numerator, ratio.denominator)
