"""mel: a linear head that gives, frame by frame, the spectrum of the voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.stages.ctc import linear_cost
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("mel")
@frozen
class Mel(Stage):
    """`(utterance, frame, feature)` -> `(utterance, frame, bands)`: log-mel bands of the voice, or its cepstrum.

    The bands are HiFi-GAN's (22 050 Hz, 80 bands of 1024 samples every 256, natural logarithm), minus `mean`, over
    `scale`. The mean is taken over the training split and the scale is one number, so that loud bands weigh as much as
    they do in the ear's scale. `features: mfcc26` learns the first 26 cosine coefficients of the bands instead.
    The scale decides how much a distance in sound weighs beside a wrong phoneme: the published 9.84 is no
    standard deviation of log-mel bands (facts of the code), and weighs it down about four times.
    """

    bands: int = 80
    features: Literal["mel80", "mfcc26"] = "mel80"
    scale: float = 2.0
    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        if self.bands < 13:
            raise PlanError(f"needs 13 bands or more, got {self.bands}", field="bands")
        if not self.scale > 0:
            raise PlanError(f"needs a scale above 0, got {self.scale:g}", field="scale")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        return spec.evolve(sizes=(None, None, self.outputs), labels=())

    @property
    def outputs(self) -> int:
        """How many numbers a frame gets."""
        return self.bands if self.features == "mel80" else 26

    def cost(self, spec: Spec) -> Cost:
        return linear_cost(spec.size("feature"), self.outputs)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameHead

        return FrameHead(spec.size("feature"), self.plan(spec).size("feature"), self.dropout)
