"""envelope: how strong the signal is at each moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.dsp.design import butterworth, check_frequency, check_order, sections_cost
from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Duration, Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("envelope")
@frozen
class Envelope(Stage):
    """Amplitude envelope per channel, causal.

    `rms`: root of the mean square over the last `window`; `mean`: mean absolute value over the last `window`;
    before a whole window has passed, over the samples so far. `lowpass`: Butterworth low-pass (`cut`, `order`)
    of the absolute value, starting at rest. `rms` and `mean` give NaN while a sample that is not finite is in the
    window; `lowpass` stays NaN after one.
    """

    method: Literal["rms", "mean", "lowpass"] = "rms"
    window: Duration = Duration(0.1)
    cut: Hz = 5.0
    order: int = 2

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        if self.method == "lowpass":
            check_order(self.order)
            check_frequency(self.cut, spec.rate_hz, "cut")
        elif self.window.samples(spec.rate_hz) < 1:
            raise PlanError(f"has a window of {self.window}, less than one sample", field="window")
        return spec

    def cost(self, spec: Spec) -> Cost:
        channels = spec.size("channel")
        if self.method == "lowpass":
            return sections_cost(-(-self.order // 2), channels, False)
        return Cost(macs=3 * channels, memory_bytes=16 * channels * self.window.samples(spec.rate_hz))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        channels = spec.size("channel")
        if self.method == "lowpass":
            import numpy as np

            from myoflow.dsp.kernel import Chain, Mapped
            from myoflow.dsp.sections import filter_kernel

            sections = butterworth("lowpass", self.order, self.cut, spec.rate_hz)
            smooth = filter_kernel(sections, channels, start="zero", zero_phase=False)
            return Chain([Mapped(np.abs, (channels, 0), axis=1), smooth], [1, 1])
        from myoflow.dsp.moving import MovingAverage

        return MovingAverage(channels, self.window.samples(spec.rate_hz), squared=self.method == "rms")
