"""quality: find channels that carry no muscle signal, and do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.dsp.design import check_frequency
from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Duration, Hz, Volts, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("quality")
@frozen
class Quality(Stage):
    """Judge every channel span by span, and stop, silence it or fill it from its neighbours while it is bad.

    Spans of length `span` follow each other from the recording's start. In one span a channel is
      - not finite, if a sample is NaN or infinite;
      - flat, if its peak-to-peak value is `flat` or less (0 V: it never changes);
      - clipped, with `rail` given, if more than `clipped` of its samples lie at `rail` or beyond, either sign;
      - mains-dominated, with `mains` given, if more than `mains_share` of its power (mean removed) is at that
        frequency (one Fourier bin over the span).
    `policy`:
      - `error` stops with the channel, the time and the defect. Samples pass unchanged;
      - `drop` gives zeros; `interpolate` gives the mean of the nearest good channel on either side (on a `ring`
        the last is beside the first; zeros if no channel is good).
    Nothing waits: both act on a sample that is not finite at once, and on a whole span's defects from its end until
    the end of the next span that shows none. So every policy streams without delay, and the first bad span passes.
    An incomplete last span is judged only by `error`, if it is at least half a span.
    """

    mends = True
    policy: Literal["error", "drop", "interpolate"] = "error"
    span: Duration = Duration(1.0)
    flat: Volts = 0.0
    rail: Volts | None = None
    clipped: float = 0.05
    mains: Hz | None = None
    mains_share: float = 0.7
    ring: bool = False

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        if self.span.samples(spec.rate_hz) < 2:
            raise PlanError(f"has a span of {self.span}, less than two samples", field="span")
        if self.flat < 0:
            raise PlanError(f"needs flat at 0 V or above, got {self.flat:g} V", field="flat")
        if self.rail is not None and not self.rail > 0:
            raise PlanError(f"needs a rail above 0 V, got {self.rail:g} V", field="rail")
        for field in ("rail", "flat"):
            if getattr(self, field) and spec.units != "V":
                raise PlanError(f"compares with {field} in volts, but the signal is in '{spec.units}'", field=field)
        for field in ("clipped", "mains_share"):
            if not 0 <= getattr(self, field) < 1:
                raise PlanError(f"needs {field} from 0 to below 1, got {getattr(self, field):g}", field=field)
        if self.mains is not None:
            check_frequency(self.mains, spec.rate_hz, "mains")
            cycles = self.mains * self.span.seconds(spec.rate_hz)
            if cycles < 5:
                raise PlanError(
                    f"needs a span of 5 mains cycles or more to tell mains from muscle, got {cycles:.1f}", field="span"
                )
        return spec

    def cost(self, spec: Spec) -> Cost:
        channels = spec.size("channel")
        return Cost(macs=channels * (1 if self.mains is None else 4), memory_bytes=72 * channels)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.quality import Judge, Limits

        limits = Limits(
            span=self.span.samples(spec.rate_hz),
            flat=self.flat,
            rail=self.rail,
            clipped=self.clipped,
            mains=None if self.mains is None else self.mains / spec.rate_hz,
            mains_share=self.mains_share,
        )
        return Judge(spec.channels, spec.rate_hz, limits, policy=self.policy, ring=self.ring)
