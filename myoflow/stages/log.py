"""log: how strong a signal is, on a scale on which half and double are equally far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Volts, frozen
from myoflow.units import VOLTS

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("log")
@frozen
class Log(Stage):
    """`y = ln(max(|x|, floor) / floor)` for `(channel, time)`: 0 at the floor and below, 2.3 more at each tenfold.

    Made for what `envelope` gives. EMG grows with force by factors, and people and electrodes differ by factors, which
    become sums here: a network, or a linear classifier, that would have to learn from samples how strong a muscle is
    begins with it. The floor lies about where the recorder's noise does.
    """

    floor: Volts = 1e-6

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        if not self.floor > 0:
            raise PlanError(f"needs a floor above 0 V, got {self.floor:g} V", field="floor")
        if spec.units not in VOLTS:
            raise PlanError(f"takes a signal in {', '.join(VOLTS)}, but it is in '{spec.units}'", field="floor")
        return spec.evolve(units="1")

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=2 * spec.size("channel"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        self.plan(spec)
        floor = np.float32(self.floor / VOLTS[spec.units])
        return Mapped(lambda x: np.log(np.maximum(np.abs(x), floor) / floor), (spec.size("channel"), 0), axis=1)
