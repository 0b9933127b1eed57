"""bandpass: Butterworth band-pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.dsp.design import Start, butterworth, check_frequency, check_order, no_stream, sections_cost
from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("bandpass")
@frozen
class Bandpass(Stage):
    """Butterworth band-pass per channel, causal unless `zero_phase`.

    `order` has scipy's meaning, `scipy.signal.butter(order, [low, high], "bandpass")`: order 4 makes a filter of
    8th order with four second-order sections. `start: first` begins in the steady state of the first sample, so
    that an electrode offset of millivolts does not ring; `start: zero` begins at rest. `zero_phase` runs the
    filter forwards and backwards (scipy's filtfilt, the magnitude squared); it needs the whole recording.
    `design_rate` designs the filter for another rate than the signal has, as the published UCI script does
    (200 Hz for rows that come 1000 times a second: 20-90 Hz is then 100-450 Hz in truth); leave it out elsewhere.
    A sample that is not finite makes its channel NaN from there on; other channels are not touched.
    """

    low: Hz
    high: Hz
    order: int = 4
    zero_phase: bool = False
    start: Start = "first"
    design_rate: Hz | None = None

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        rate = self.design_rate or spec.rate_hz
        check_order(self.order)
        check_frequency(self.low, rate, "low")
        check_frequency(self.high, rate, "high")
        if self.low >= self.high:
            raise PlanError(f"needs low below high, got {self.low:g} Hz and {self.high:g} Hz", field="low")
        return spec.block(no_stream(self.name)) if self.zero_phase else spec

    def cost(self, spec: Spec) -> Cost:
        return sections_cost(self.order, spec.size("channel"), self.zero_phase)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.sections import filter_kernel

        rate = self.design_rate or spec.rate_hz
        sections = butterworth("bandpass", self.order, (self.low, self.high), rate)
        return filter_kernel(sections, spec.size("channel"), start=self.start, zero_phase=self.zero_phase)
