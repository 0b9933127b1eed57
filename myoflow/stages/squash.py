"""squash: large amplitudes bent towards a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Volts, frozen
from myoflow.units import VOLTS

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("squash")
@frozen
class Squash(Stage):
    """`y = (limit / scale) tanh(x / limit)` for `(channel, time)`: straight while small, never beyond the limit.

    Motion artefacts are bent, speech is left as it is. With `scale` the output is in units of that voltage, without
    it in the input's units. Source: Gaddy and Klein's code divides by 20 uV and bends at 50 of those, which is
    `limit: 1 mV, scale: 20 uV`.
    """

    limit: Volts
    scale: Volts | None = None

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        for field in ("limit", "scale"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise PlanError(f"needs a {field} above 0 V, got {value:g} V", field=field)
        if spec.units not in VOLTS:
            raise PlanError(f"takes a signal in {', '.join(VOLTS)}, but it is in '{spec.units}'", field="limit")
        return spec if self.scale is None else spec.evolve(units="1")

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=2 * spec.size("channel"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        unit = VOLTS[spec.units]
        limit = np.float32(self.limit / unit)
        top = limit if self.scale is None else np.float32(self.limit / self.scale)
        return Mapped(lambda x: top * np.tanh(x / limit), (spec.size("channel"), 0), axis=1)
