"""phonemes: a linear head that says, frame by frame, which phoneme is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.stages.ctc import linear_cost
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("phonemes")
@frozen
class Phonemes(Stage):
    """`(utterance, frame, feature)` -> logits `(utterance, frame, phoneme)`; phonemes are the dataset's labels.

    Beside the `mel` head it is the published auxiliary loss, which tells sounds apart that are close in spectrum.
    `per_frame` is that of mel.
    """

    per_frame: int = 1
    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        if self.per_frame < 1:
            raise PlanError(f"needs a frame of the voice or more, got {self.per_frame}", field="per_frame")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        if len(spec.labels) < 2:
            raise PlanError(f"needs data with at least two phonemes as labels, but has {len(spec.labels)}")
        return spec.evolve(sizes=(None, None, len(spec.labels) * self.per_frame))

    def cost(self, spec: Spec) -> Cost:
        return linear_cost(spec.size("feature"), len(spec.labels) * self.per_frame)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameHead

        return FrameHead(spec.size("feature"), self.plan(spec).size("feature"), self.dropout)
