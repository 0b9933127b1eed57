"""notch: narrow band-stops at mains and its harmonics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.dsp.design import Start, check_frequency, no_stream, notches, sections_cost
from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("notch")
@frozen
class Notch(Stage):
    """Second-order notches per channel at `freq` and, with `harmonics: n`, at 2, 3, ... n times `freq`.

    Each is `scipy.signal.iirnotch(f, q)`: -3 dB width `f / q`, settling time constant `q / (pi f)`. `start`,
    `zero_phase` and `design_rate` are those of bandpass. A sample that is not finite makes its channel NaN from
    there on.
    """

    freq: Hz
    q: float = 30.0
    harmonics: int = 1
    zero_phase: bool = False
    start: Start = "first"
    design_rate: Hz | None = None

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        rate = self.design_rate or spec.rate_hz
        check_frequency(self.freq, rate, "freq")
        if not self.q > 0:
            raise PlanError(f"needs q above 0, got {self.q:g}", field="q")
        most = max(n for n in range(1, int(rate / 2 / self.freq) + 1) if n * self.freq < rate / 2)
        if not 1 <= self.harmonics <= most:
            raise PlanError(
                f"has room for 1 to {most} harmonics of {self.freq:g} Hz below {rate / 2:g} Hz, got {self.harmonics}",
                field="harmonics",
            )
        return spec.block(no_stream(self.name)) if self.zero_phase else spec

    def cost(self, spec: Spec) -> Cost:
        return sections_cost(self.harmonics, spec.size("channel"), self.zero_phase)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.sections import filter_kernel

        sections = notches(self.freq, self.q, self.harmonics, self.design_rate or spec.rate_hz)
        return filter_kernel(sections, spec.size("channel"), start=self.start, zero_phase=self.zero_phase)
