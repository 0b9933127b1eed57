"""highpass: Butterworth high-pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.dsp.design import Start, butterworth, check_frequency, check_order, no_stream, sections_cost
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("highpass")
@frozen
class Highpass(Stage):
    """Butterworth high-pass per channel, `scipy.signal.butter(order, cut, "highpass")`, causal unless `zero_phase`.

    `start` and `zero_phase` are those of bandpass: `start: first` begins in the steady state of the first
    sample, `zero_phase` runs forwards and backwards over the whole recording. A sample that is not finite makes
    its channel NaN from there on.
    """

    cut: Hz
    order: int = 4
    zero_phase: bool = False
    start: Start = "first"

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        check_order(self.order)
        check_frequency(self.cut, spec.rate_hz, "cut")
        return spec.block(no_stream(self.name)) if self.zero_phase else spec

    def cost(self, spec: Spec) -> Cost:
        return sections_cost(-(-self.order // 2), spec.size("channel"), self.zero_phase)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.sections import filter_kernel

        sections = butterworth("highpass", self.order, self.cut, spec.rate_hz)
        return filter_kernel(sections, spec.size("channel"), start=self.start, zero_phase=self.zero_phase)
