"""detect: a linear head that says, frame by frame, which events happen now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import EVENTS, FRAMES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.stages.ctc import linear_cost
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("detect")
@frozen
class Detect(Stage):
    """Frames of windows -> logits `(window, frame, label)`; each label stands alone, several may happen at once."""

    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        if len(spec.labels) < 1:
            raise PlanError("needs labels to detect; the data has none")
        return spec.evolve(dims=EVENTS, sizes=(None, spec.size("frame"), len(spec.labels)))

    def cost(self, spec: Spec) -> Cost:
        frame = linear_cost(spec.size("feature"), len(spec.labels))
        return Cost(frame.parameters, spec.size("frame") * frame.macs, frame.memory_bytes)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameHead

        self.plan(spec)
        return FrameHead(spec.size("feature"), len(spec.labels), self.dropout)
