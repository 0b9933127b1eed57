"""ctc: a linear head that says, frame by frame, which character is spoken, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.text.spelling import CHARACTERS
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch

BLANK = "<blank>"


@stage("ctc")
@frozen
class Ctc(Stage):
    """`(utterance, frame, feature)` -> logits `(utterance, frame, characters + 1)`; the last one is the blank.

    The default alphabet is that of Gaddy and Klein: a to z, 0 to 9 and the space, 37 characters. The loss over all
    alignments is the task's (Graves et al. 2006). `dropout` acts before the linear layer, in training.
    """

    characters: str = CHARACTERS
    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        if len(set(self.characters)) < max(2, len(self.characters)):
            raise PlanError(
                f"needs two different characters or more, each once: '{self.characters}'", field="characters"
            )
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        return spec.evolve(sizes=(None, None, len(self.characters) + 1), labels=(*self.characters, BLANK))

    def cost(self, spec: Spec) -> Cost:
        return linear_cost(spec.size("feature"), len(self.characters) + 1)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameHead

        return FrameHead(spec.size("feature"), self.plan(spec).size("feature"), self.dropout)


def linear_cost(inputs: int, outputs: int) -> Cost:
    """Cost of one linear layer for one frame."""
    parameters = (inputs + 1) * outputs
    return Cost(parameters=parameters, macs=inputs * outputs, memory_bytes=4 * (parameters + inputs + outputs))
