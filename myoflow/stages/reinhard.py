"""reinhard: amplitudes compressed towards a limit, as photographs' highlights are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("reinhard")
@frozen
class Reinhard(Stage):
    """`y = limit x / (midpoint + |x|)` for `(channel, time)`, in the signal's own units.

    Half the limit is reached at the midpoint. Source: Reinhard et al. 2002 (tone mapping, doi 10.1145/566654.566575);
    the generic neuromotor interface has a limit of 64 and a midpoint of 32.
    """

    limit: float = 64.0
    midpoint: float = 32.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        for field in ("limit", "midpoint"):
            if not getattr(self, field) > 0:
                raise PlanError(f"needs a {field} above 0, got {getattr(self, field):g}", field=field)
        return spec.evolve(units="1")

    def cost(self, spec: Spec) -> Cost:
        return Cost(macs=2 * spec.size("channel"))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        limit, midpoint = np.float32(self.limit), np.float32(self.midpoint)
        return Mapped(lambda x: limit * x / (midpoint + np.abs(x)), (spec.size("channel"), 0), axis=1)
