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
    """`(utterance, frame, feature)` to as many frames of log-mel bands of the voice, or of its cepstrum.

    The bands are HiFi-GAN's (22 050 Hz, 80 bands of 1024 samples every 256, natural logarithm), as the task normalises
    them. With `features: mfcc26` the network gives the first 26 coefficients of their orthonormal cosine transform
    instead, from which smoother bands are made. `per_frame` frames of the voice come from each frame of the network,
    side by side, so that a network may think at half the rate of speech.
    """

    bands: int = 80
    features: Literal["mel80", "mfcc26"] = "mel80"
    per_frame: int = 1
    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        if self.bands < 26:
            raise PlanError(f"needs 26 bands or more, got {self.bands}", field="bands")
        if self.per_frame < 1:
            raise PlanError(f"needs a frame of the voice or more, got {self.per_frame}", field="per_frame")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        return spec.evolve(sizes=(None, None, self.outputs * self.per_frame), labels=())

    @property
    def outputs(self) -> int:
        """How many numbers a frame of the voice gets."""
        return self.bands if self.features == "mel80" else 26

    def cost(self, spec: Spec) -> Cost:
        return linear_cost(spec.size("feature"), self.outputs * self.per_frame)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameHead

        return FrameHead(spec.size("feature"), self.plan(spec).size("feature"), self.dropout)
