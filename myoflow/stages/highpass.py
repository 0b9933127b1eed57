"""highpass: Butterworth high-pass, and what it shares with the low-pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from myoflow.dsp.design import Start, butterworth, check_frequency, check_order, no_stream, sections_cost
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@frozen
class OneCut(Stage):
    """A Butterworth filter with one cut; `kind` says which side of it stays."""

    kind: ClassVar[Literal["highpass", "lowpass"]]

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

        sections = butterworth(self.kind, self.order, self.cut, spec.rate_hz)
        return filter_kernel(sections, spec.size("channel"), start=self.start, zero_phase=self.zero_phase)


@stage("highpass")
@frozen
class Highpass(OneCut):
    """Butterworth high-pass per channel, `scipy.signal.butter(order, cut, "highpass")`, causal unless `zero_phase`.

    `start` and `zero_phase` are those of bandpass: `start: first` begins in the steady state of the first
    sample, `zero_phase` runs forwards and backwards over the whole recording. A sample that is not finite makes
    its channel NaN from there on.
    """

    kind = "highpass"
