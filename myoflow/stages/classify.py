"""classify: a linear head that turns tokens into one score per label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import SCORES, TOKENS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("classify")
@frozen
class Classify(Stage):
    """Linear classifier: `(window, channel, patch, feature)` -> logits `(window, label)`.

    Tokens are averaged over patches; `fusion: concat` then lays the channels side by side (channel-major), so that
    the head knows which electrode said what, `fusion: mean` averages them too. `dropout` acts before the linear
    layer, in training. Labels are the dataset's, in its order. Source: TinyMyo's head, arXiv 2512.15729.
    """

    fusion: Literal["concat", "mean"] = "concat"
    dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(TOKENS)
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        if len(spec.labels) < 2:
            raise PlanError(f"needs data with at least two labels, but has {len(spec.labels)}")
        return spec.evolve(dims=SCORES, sizes=(None, len(spec.labels)))

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window; pooling counts nothing."""
        inputs, labels = self._inputs(spec), len(spec.labels)
        parameters = (inputs + 1) * labels
        return Cost(parameters=parameters, macs=inputs * labels, memory_bytes=4 * (parameters + inputs + labels))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.encoder import Classifier

        self.plan(spec)
        return Classifier(self._inputs(spec), len(spec.labels), concat=self.fusion == "concat", dropout=self.dropout)

    def _inputs(self, spec: Spec) -> int:
        return spec.size("feature") * (spec.size("channel") if self.fusion == "concat" else 1)
