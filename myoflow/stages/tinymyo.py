"""tinymyo: the transformer encoder of TinyMyo; tokens in, tokens out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import InputError, PlanError
from myoflow.spec import FRAMES, TOKENS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import Seconds, frozen

if TYPE_CHECKING:
    import torch

    from myoflow.nn.encoder import Encoder
    from myoflow.nn.frames import FrameEncoder


@stage("tinymyo")
@frozen
class TinyMyo(Stage):
    """Pre-LN transformer over all patches of all channels: `(window, channel, patch, feature)` to `feature` = width.

    `layers` blocks of `heads` attention heads and a GELU MLP `mlp` times as wide as `width`. `positions: rotary`
    rotates queries and keys by the patch's place in its channel (base 10000) and adds a learned vector per channel;
    `flat` rotates by the place among all tokens, channel after channel; `none` knows neither, as the published code
    (arXiv 2512.15729) computes. In training, `dropout` acts
    after projections, `drop_path` skips whole branches. `attention_dropout` is 0 where the paper has 0.1: it forces
    the slow attention path, 1.4 times the time and most of the memory of a training step.

    Behind conv_stem it takes the frames of utterances, `(utterance, frame, feature)`: rotary positions are then times,
    `positions: relative` (there only) learns a vector per distance up to 99 frames, and no utterance of a batch sees
    another. `lookahead` (there only) limits how far a frame sees ahead, for live use: frames come in chunks of that
    length, and each sees its own chunk and those before it; with `context` in every layer only as many of these as it
    holds. With both a live stream runs through it. Its MACs are those of a frame that sees one second.

    `weights` is where training starts: a run's folder, or a file of ours, of the authors or of braindecode
    (.safetensors, .ckpt; nothing in it is executed). Every tensor that is missing or left over is an error unless
    `allow_missing` or `allow_unused` names it (patterns such as `blocks.7.*` will do); heads are left out as they
    stand. `channels` says what happens when the weights know another number of channels: `exact` refuses; `pad`: here
    are fewer, which take the first places; `interpolate`: the channels stand evenly on the weights' ring; `subset`:
    here are more, of which the first `places` are used, as many as the weights know, and the others are not looked at.
    To use other channels than the first, put `select` in front.

    `adapt` says what is trained: `full`; `frozen`: nothing of the encoder; `lora`: beside its matrices a product of
    two thin ones of `rank` (Hu et al. 2021, arXiv 2106.09685), the rest stays. `layer_decay` d trains block l of L at
    d^(L - l) of the learning rate, l from 0, what lies before the blocks at d^(L + 1) (Clark et al. 2020, arXiv
    2003.10555).
    """

    layers: int = 8
    width: int = 192
    heads: int = 3
    mlp: int = 4
    positions: Literal["rotary", "flat", "relative", "none"] = "rotary"
    dropout: float = 0.1
    drop_path: float = 0.1
    attention_dropout: float = 0.0
    lookahead: Seconds | None = None
    context: Seconds | None = None
    weights: str | None = None
    channels: Literal["exact", "pad", "interpolate", "subset"] = "exact"
    places: int | None = None
    allow_unused: tuple[str, ...] = ("decoder_pred.*", "classifier.*", "regressor.*")
    allow_missing: tuple[str, ...] = ("mask_token",)
    adapt: Literal["full", "frozen", "lora"] = "full"
    rank: int = 8
    layer_decay: float = 1.0

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
        if self.rank < 1:
            raise PlanError(f"rank must be at least 1, got {self.rank}", field="rank")
        if not 0 < self.layer_decay <= 1:
            raise PlanError(f"layer_decay must be above 0 and up to 1, got {self.layer_decay}", field="layer_decay")
        if self.adapt != "full" and self.layer_decay != 1:
            raise PlanError(
                f"layer_decay is for adapt: full; with {self.adapt} no block is trained", field="layer_decay"
            )
        if self.positions != "none" and (self.width // self.heads) % 2:
            raise PlanError(
                f"rotary positions turn pairs of features: width/heads must be even, got {self.width // self.heads}",
                field="heads",
            )
        spec = self._placed(spec)
        if spec.dims == TOKENS:
            limits = [field for field in ("lookahead", "context") if getattr(self, field) is not None]
            if self.positions == "relative" or limits:
                field = "positions" if self.positions == "relative" else limits[0]
                raise PlanError(
                    f"{field}: {getattr(self, field)} is for frames of utterances, behind conv_stem", field=field
                )
            return spec.evolve(sizes=(*spec.sizes[:3], self.width))
        if self.positions == "flat":
            raise PlanError("positions: flat is for patches of channels; frames have one row anyway", field="positions")
        if self.lookahead is not None and not self.lookahead * spec.rate_hz >= 1:
            raise PlanError(f"needs a lookahead of a frame ({1 / spec.rate_hz:.3g} s) or more", field="lookahead")
        if self.context is not None and self.lookahead is None:
            raise PlanError("context counts chunks of lookahead: give that, too", field="context")
        after = spec.evolve(sizes=(None, spec.sizes[1], self.width))
        reason = self._stops() if spec.sizes[1] is None else None
        if reason is not None:
            after = after.block(f"tinymyo: {reason}")
        return after if self.lookahead is None else after.wait(self._ahead(spec) / spec.rate_hz)

    def _placed(self, spec: Spec) -> Spec:
        """The input with the channels that are looked at. Raises PlanError."""
        if (self.places is None) != (self.channels != "subset"):
            raise PlanError(
                "`channels: subset` and `places`, the number of channels that the weights know, go together",
                field="channels" if self.places is None else "places",
            )
        if self.places is None:
            return spec
        spec.expect(TOKENS)
        if not 1 <= self.places <= spec.size("channel"):
            raise PlanError(
                f"places must be from 1 to the {spec.size('channel')} channels there are, got {self.places}",
                field="places",
            )
        sizes = (None, self.places, *spec.sizes[2:])
        return spec.evolve(sizes=sizes, channels=spec.channels[: self.places])

    def _stops(self) -> str | None:
        """Why a live utterance cannot run through it, and what can; None where it can."""
        if self.lookahead is None:
            return "every frame sees the whole utterance; `lookahead: 400 ms` with `context: 3 s` can stream"
        if self.context is None:
            return "sees all of the past, which has no end in a live stream; set a limit, such as `context: 3 s`"
        return "relative positions cannot stream; rotary can" if self.positions == "relative" else None

    def _back(self, spec: Spec) -> int | None:
        """The context in chunks."""
        return None if self.context is None else max(0, round(self.context * spec.rate_hz / self._ahead(spec)))

    def _ahead(self, spec: Spec) -> int:
        """The lookahead in frames."""
        return 0 if self.lookahead is None else max(1, round(self.lookahead * spec.rate_hz))

    def begin(self, module: torch.nn.Module, spec: Spec) -> tuple[str, ...]:
        from myoflow import tensors
        from myoflow.nn.encoder import Encoder
        from myoflow.nn.published import fill, fit_channels, understand

        if self.weights is None:
            return ()
        if "channel_embed" not in {*self.allow_unused, *self.allow_missing}:  # else positions are changed on purpose
            tensors.agree(self.weights, self.heads, self.positions)
        released = understand(tensors.read(self.weights), self.weights)
        known = {**released.encoder, **released.head}
        if isinstance(module, Encoder) and module.channel_embed is not None and "channel_embed" in known:
            made_for = known["channel_embed"].shape[1]
            if self.places is not None and made_for != self.places:
                raise InputError(f"{self.weights} was made for {made_for} channels, so places must be that many")
            known["channel_embed"] = fit_channels(known["channel_embed"], module.grid[0], self.channels, self.weights)
        fill(module, known, self.weights, unused=self.allow_unused, missing=(*self.allow_missing, "*.lora_*"))
        left = sorted(set(known) - set(module.state_dict()))
        return (f"tinymyo starts from {self.weights}" + (f", without {', '.join(left)}" if left else ""),)

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window or frame; bytes are float32 weights and the widest activations."""
        spec = self._placed(spec)
        features, width, hidden = spec.size("feature"), self.width, self.mlp * self.width
        attention = 4 * width * width + 4 * width
        feed_forward = 2 * width * hidden + hidden + width
        norms = 4 * width
        parameters = (features + 1) * width + self.layers * (attention + feed_forward + norms) + 2 * width
        per_token = features * width + self.layers * (4 * width * width + 2 * width * hidden)
        if spec.dims == FRAMES:
            frames = spec.sizes[1]  # of a window; utterances have any number
            tokens, seen = (1, round(spec.rate_hz)) if frames is None else (frames, frames)
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
        from myoflow.nn.adapt import adapt, layer_rates

        self.plan(spec)
        encoder = self._of_frames(spec) if spec.dims == FRAMES else self._of_patches(spec)
        adapt(encoder, self.adapt, self.rank)
        if self.layer_decay != 1:
            layer_rates(encoder, self.layer_decay)
        return encoder

    def _of_patches(self, spec: Spec) -> Encoder:
        from myoflow.nn.encoder import Encoder

        assert self.positions != "relative", "plan says so"
        return Encoder(
            channels=self._placed(spec).size("channel"),
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
            leave=self.channels == "subset",
        )

    def _of_frames(self, spec: Spec) -> FrameEncoder:
        from myoflow.nn.frames import FrameEncoder

        assert self.positions != "flat", "plan says so"
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
            context=self._back(spec),
        )
