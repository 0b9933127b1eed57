"""utterance: a whole recording is one example, of whatever length."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import SIGNAL, UTTERANCES, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import Seconds, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("utterance")
@frozen
class Utterance(Stage):
    """`(channel, time)` -> `(utterance, channel, time)`: the examples are whole recordings, each of its own length.

    A live stream does not wait for its end, but runs through the stages behind it, where each of them can.
    Recordings above `longest` (for a word list read in one go, say) or below `shortest` are left out of training.
    """

    longest: Seconds = 30.0
    shortest: Seconds = 0.2

    cuts: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL)
        if not 0 < self.shortest < self.longest:
            raise PlanError(f"needs 0 s < shortest < longest, got {self.shortest:g} s and {self.longest:g} s")
        return spec.evolve(dims=UTTERANCES, sizes=(None, spec.size("channel"), None), longest_s=self.longest)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.windows import OneWhole

        return OneWhole(spec.size("channel"))
