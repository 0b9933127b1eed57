"""window: cut the signal into pieces that a decision is made on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, WINDOWS, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("window")
@frozen
class Window(Stage):
    """Window k covers samples `k stride` to `k stride + length`; a last incomplete one is not given.

    That grid, from the recording's start, is what a live stream has. The other fields only say which windows are
    taken to train and to evaluate: `label_share` is the share of a window that one labelled event must cover
    (1: windows across a border are left out); `anchor: event` starts the grid anew at each event, as published
    protocols do; `train_stride` is another stride for training only. A length is rounded to whole samples.
    """

    length: Duration
    stride: Duration
    anchor: Literal["recording", "event"] = "recording"
    train_stride: Duration | None = None
    label_share: float = 1.0

    cuts: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        rate = spec.rate_hz
        for field in ("length", "stride", "train_stride"):
            value = getattr(self, field)
            if value is not None and value.samples(rate) < 1:
                raise PlanError(f"has a {field} of {value}, less than one sample at {rate:g} Hz", field=field)
        if not 0.5 < self.label_share <= 1:
            raise PlanError(
                f"needs a label_share above 0.5 and up to 1, got {self.label_share:g}",
                field="label_share",
            )
        length, stride = self.length.samples(rate), self.stride.samples(rate)
        return spec.evolve(
            dims=WINDOWS,
            sizes=(None, spec.size("channel"), length),
            step_s=stride / rate,
            window_s=length / rate,
        ).wait(length / rate)

    def cost(self, spec: Spec) -> Cost:
        return Cost(memory_bytes=4 * spec.size("channel") * self.length.samples(spec.rate_hz))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.windows import Framing

        rate = spec.rate_hz
        return Framing(spec.size("channel"), self.length.samples(rate), self.stride.samples(rate))
