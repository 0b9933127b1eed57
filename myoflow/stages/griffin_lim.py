"""griffin_lim: sound of log-mel bands without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge

from myoflow.spec import Spec
from myoflow.stage import Stage, State, stage
from myoflow.stages.hifigan import sounding
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("griffin_lim")
@frozen
class GriffinLim(Stage):
    """`(utterance, frame, band)` -> sound `(utterance, channel 1, time)` at 22 050 Hz; the baseline for a vocoder.

    Phases that fit the bands are searched for in `iterations` rounds (fast Griffin-Lim, Perraudin et al. 2013), which
    sounds hollow but needs no weights. It waits for the end of an utterance.
    """

    iterations: int = attrs.field(default=32, validator=ge(1))

    def plan(self, spec: Spec) -> Spec:
        return sounding(spec).block("griffin_lim: goes over a whole utterance again and again")

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Array, Mapped
        from myoflow.dsp.mel import HOP, griffin_lim

        def sounds(bands: Array) -> Array:
            out = np.zeros((len(bands), 1, bands.shape[1] * HOP), np.float32)
            for row, some in zip(out, bands, strict=True):
                row[0] = griffin_lim(some, self.iterations)
            return out

        return Mapped(sounds, (0, 1, 0), axis=0)
