"""tokens: the features of a window, laid out by electrode and part, as an encoder takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FEATURES, TOKENS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch

    from myoflow.dsp.kernel import Kernel


@stage("tokens")
@frozen
class Tokens(Stage):
    """Features of a window as tokens: `(window, feature)` -> `(window, channel, patch, feature)`; a reshape.

    What `features` says of one electrode in one of its `parts` becomes one token, so that an encoder can begin with
    the logarithms of amplitude that classical decoders begin with, where `patch` gives it the samples themselves.
    That takes far fewer labels: a network must first learn from samples how strong a muscle is. Between the two,
    `zscore: {over: train}` brings amplitudes and counts to one scale.
    """

    parts: int = 1

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FEATURES)
        if self.parts < 1:
            raise PlanError(f"parts must be at least 1, got {self.parts}", field="parts")
        features, channels = spec.size("feature"), len(spec.channels)
        if not channels or features % (channels * self.parts):
            raise PlanError(
                f"cannot share {features} features among {channels} channels of {self.parts} parts; `parts` is that of "
                "the features stage",
                field="parts",
            )
        kinds = features // (channels * self.parts)
        return spec.evolve(dims=TOKENS, sizes=(None, channels, self.parts, kinds))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        channels, parts, kinds = self._sizes(spec)
        return Mapped(lambda x: x.reshape(-1, channels, parts, kinds), (0, channels, parts, kinds), axis=0)

    def module(self, spec: Spec) -> torch.nn.Module:
        from torch import nn

        return nn.Unflatten(1, self._sizes(spec))

    def _sizes(self, spec: Spec) -> tuple[int, int, int]:
        after = self.plan(spec)
        return after.size("channel"), after.size("patch"), after.size("feature")
