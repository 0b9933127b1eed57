"""tinymyo: the transformer encoder of TinyMyo; tokens in, tokens out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("tinymyo")
@frozen
class TinyMyo(Stage):
    """Pre-LN transformer over all patches of all channels: `(window, channel, patch, feature)` to `feature` = width.

    `layers` blocks of `heads` attention heads and a GELU MLP `mlp` times as wide as `width`. `positions: rotary`
    rotates queries and keys by the patch's place in its channel (base 10000) and adds a learned vector per channel;
    `positions: none` knows neither, as the published code (arXiv 2512.15729) computes. In training, `dropout` acts
    after projections, `drop_path` skips whole branches. `attention_dropout` is 0 where the paper has 0.1: it forces
    the slow attention path, 1.4 times the time and most of the memory of a training step.
    """

    layers: int = 8
    width: int = 192
    heads: int = 3
    mlp: int = 4
    positions: Literal["rotary", "none"] = "rotary"
    dropout: float = 0.1
    drop_path: float = 0.1
    attention_dropout: float = 0.0

    def plan(self, spec: Spec) -> Spec:
        spec.expect(TOKENS)
        for field in ("layers", "width", "heads", "mlp"):
            if getattr(self, field) < 1:
                raise PlanError(f"{field} must be at least 1, got {getattr(self, field)}", field=field)
        for field in ("dropout", "drop_path", "attention_dropout"):
            if not 0 <= getattr(self, field) < 1:
                raise PlanError(f"{field} must be from 0 to below 1, got {getattr(self, field)}", field=field)
        if self.width % self.heads:
            raise PlanError(f"a width of {self.width} cannot be shared by {self.heads} heads", field="heads")
        if self.positions == "rotary" and (self.width // self.heads) % 2:
            raise PlanError(
                f"rotary positions turn pairs of features: width/heads must be even, got {self.width // self.heads}",
                field="heads",
            )
        return spec.evolve(sizes=(*spec.sizes[:3], self.width))

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window; bytes are float32 weights and the widest activations."""
        channels, features, width = spec.size("channel"), spec.size("feature"), self.width
        tokens = channels * spec.size("patch")
        hidden = self.mlp * width
        attention = 4 * width * width + 4 * width
        feed_forward = 2 * width * hidden + hidden + width
        norms = 4 * width
        parameters = (features + 1) * width + self.layers * (attention + feed_forward + norms) + 2 * width
        parameters += width  # mask token
        if self.positions == "rotary":
            parameters += channels * width
        per_token = features * width + self.layers * (4 * width * width + 2 * width * hidden)
        macs = tokens * per_token + self.layers * 2 * tokens * tokens * width
        activations = tokens * (2 * width + max(3 * width, 2 * hidden))
        return Cost(parameters=parameters, macs=macs, memory_bytes=4 * (parameters + activations))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.encoder import Encoder

        self.plan(spec)
        return Encoder(
            channels=spec.size("channel"),
            patches=spec.size("patch"),
            features=spec.size("feature"),
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            mlp=self.mlp,
            positions=self.positions,
            dropout=self.dropout,
            drop_path=self.drop_path,
            attention_dropout=self.attention_dropout,
        )
