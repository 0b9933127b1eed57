"""tinymyo: the transformer encoder of TinyMyo; tokens in, tokens out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, TOKENS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import Seconds, frozen

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

    Behind conv_stem it takes the frames of utterances, `(utterance, frame, feature)`: rotary positions are then times,
    `positions: relative` (there only) learns a vector per distance up to 99 frames, and no utterance of a batch sees
    another. `lookahead` (there only) limits how far a frame sees ahead, for live use: frames come in chunks of that
    length, and each sees its own chunk and those before it. Its MACs are those of a frame that sees one second.
    """

    layers: int = 8
    width: int = 192
    heads: int = 3
    mlp: int = 4
    positions: Literal["rotary", "relative", "none"] = "rotary"
    dropout: float = 0.1
    drop_path: float = 0.1
    attention_dropout: float = 0.0
    lookahead: Seconds | None = None

    def plan(self, spec: Spec) -> Spec:
        spec.expect(TOKENS, FRAMES)
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
        if spec.dims == TOKENS:
            if self.positions == "relative" or self.lookahead is not None:
                field = "positions" if self.positions == "relative" else "lookahead"
                raise PlanError(
                    f"{field}: {getattr(self, field)} is for frames of utterances, behind conv_stem", field=field
                )
            return spec.evolve(sizes=(*spec.sizes[:3], self.width))
        if self.lookahead is not None and not self.lookahead * spec.rate_hz >= 1:
            raise PlanError(f"needs a lookahead of a frame ({1 / spec.rate_hz:.3g} s) or more", field="lookahead")
        after = spec.evolve(sizes=(None, None, self.width))
        return after if self.lookahead is None else after.wait(self._ahead(spec) / spec.rate_hz)

    def _ahead(self, spec: Spec) -> int:
        """The lookahead in frames."""
        return 0 if self.lookahead is None else max(1, round(self.lookahead * spec.rate_hz))

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window or frame; bytes are float32 weights and the widest activations."""
        features, width, hidden = spec.size("feature"), self.width, self.mlp * self.width
        attention = 4 * width * width + 4 * width
        feed_forward = 2 * width * hidden + hidden + width
        norms = 4 * width
        parameters = (features + 1) * width + self.layers * (attention + feed_forward + norms) + 2 * width
        per_token = features * width + self.layers * (4 * width * width + 2 * width * hidden)
        if spec.dims == FRAMES:
            tokens, seen = 1, round(spec.rate_hz)
            if self.positions == "relative":
                parameters += self.layers * 199 * width
        else:
            tokens = seen = spec.size("channel") * spec.size("patch")
            parameters += width  # mask token
            if self.positions == "rotary":
                parameters += spec.size("channel") * width
        macs = tokens * per_token + self.layers * 2 * tokens * seen * width
        activations = tokens * (2 * width + max(3 * width, 2 * hidden))
        return Cost(parameters=parameters, macs=macs, memory_bytes=4 * (parameters + activations))

    def module(self, spec: Spec) -> torch.nn.Module:
        self.plan(spec)
        if spec.dims == FRAMES:
            return self._of_frames(spec)
        from myoflow.nn.encoder import Encoder

        assert self.positions != "relative", "plan says so"
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

    def _of_frames(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.frames import FrameEncoder

        return FrameEncoder(
            features=spec.size("feature"),
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            mlp=self.mlp,
            positions=self.positions,
            dropout=self.dropout,
            drop_path=self.drop_path,
            attention_dropout=self.attention_dropout,
            lookahead=self._ahead(spec) or None,
        )
