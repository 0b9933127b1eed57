"""hold: a higher rate by giving every sample several times, without a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("hold")
@frozen
class Hold(Stage):
    """Give every sample `rate / (rate of the signal)` times, a whole number; at `rate` already it changes nothing.

    The opposite of decimate, for signals that shall be like those of a recorder which repeats the last value until
    a new one comes (the UCI gestures: 1000 rows a second from an armband of 200 Hz), so that both can go through one
    pipeline. The steps are frequencies that the muscle did not have: for anything else use resample.
    """

    rate: Hz

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        factor = self.rate / spec.rate_hz
        if factor < 1 or abs(factor - round(factor)) > 1e-9 * factor:
            raise PlanError(
                f"repeats samples of {spec.rate_hz:g} Hz a whole number of times, which does not give {self.rate:g} "
                "Hz; use resample",
                field="rate",
            )
        return spec.evolve(rate_hz=float(self.rate))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        times = round(self.rate / spec.rate_hz)
        return Mapped(lambda x: np.repeat(x, times, axis=1), (spec.size("channel"), 0), axis=1)
