"""resample: another rate, without aliases."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Hz, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel

LARGEST = 4096  # of up and down: the filter has 20 times as many taps


@stage("resample")
@frozen
class Resample(Stage):
    """Change the rate by a rational factor with an anti-aliasing polyphase FIR filter.

    The same numbers as `scipy.signal.resample_poly(x, up, down)` (Kaiser window, beta 5, half-length
    `10 max(up, down)`), with zeros beyond both ends. Output n stands at `n / rate`; it is known once the filter's
    second half has arrived, which adds `10 max(up, down) / up` input samples to the delay. A sample that is not
    finite makes the outputs within that distance NaN. For sampled-and-held signals see decimate.
    """

    rate: Hz

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        ratio = ratio_of(self.rate, spec)
        up, down = ratio.numerator, ratio.denominator
        if up == down:
            return spec
        return spec.evolve(rate_hz=self.rate).wait(10 * max(up, down) / up / spec.rate_hz)

    def cost(self, spec: Spec) -> Cost:
        ratio = ratio_of(self.rate, spec)
        up, down = ratio.numerator, ratio.denominator
        if up == down:
            return Cost()
        taps = -(-(20 * max(up, down) + 1) // up)
        channels = spec.size("channel")
        return Cost(macs=taps * channels, memory_bytes=4 * taps * channels + 8 * taps * up)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped
        from myoflow.dsp.resample import Polyphase

        ratio = ratio_of(self.rate, spec)
        if ratio == 1:
            return Mapped(lambda x: x, (spec.size("channel"), 0), axis=1)
        return Polyphase(spec.size("channel"), ratio.numerator, ratio.denominator)


def ratio_of(rate: float, spec: Spec) -> Fraction:
    """The new rate over the old one. Raises PlanError: no ratio of whole numbers up to 4096 does it."""
    if not rate > 0:
        raise PlanError(f"needs a rate above 0 Hz, got {rate:g} Hz", field="rate")
    exact = rate / spec.rate_hz
    if not 1 / LARGEST <= exact <= LARGEST:
        raise PlanError(f"cannot go from {spec.rate_hz:g} Hz to {rate:g} Hz in one step", field="rate")
    ratio = Fraction(exact).limit_denominator(LARGEST if exact <= 1 else max(1, int(LARGEST / exact)))
    # A drift of one part in 10^9 is a sample in a week at 2 kHz; the rates are floats, exact to 10^-16.
    if ratio == 0 or abs(float(ratio) / exact - 1) > 1e-9:
        near = float(ratio) * spec.rate_hz
        raise PlanError(
            f"cannot go from {spec.rate_hz:g} Hz to {rate:g} Hz: no ratio of whole numbers up to {LARGEST} "
            f"does it; {near:.9g} Hz ({ratio}) is the nearest rate",
            field="rate",
        )
    return ratio
