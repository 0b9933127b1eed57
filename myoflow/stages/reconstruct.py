"""reconstruct: a linear decoder that guesses each patch from its token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("reconstruct")
@frozen
class Reconstruct(Stage):
    """Linear decoder for pre-training: `(window, channel, patch, feature)` -> the samples of every patch.

    Source: TinyMyo's decoder, arXiv 2512.15729. With `power` it also guesses the logarithm of each patch's root mean
    square, one more feature (ours): of a signal that nearly is noise, the strength can be known where samples cannot.
    """

    power: bool = False

    def plan(self, spec: Spec) -> Spec:
        spec.expect(TOKENS)
        return spec.evolve(sizes=(*spec.sizes[:3], self._length(spec) + self.power))

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window."""
        width, features = spec.size("feature"), self._length(spec) + self.power
        tokens, parameters = spec.size("channel") * spec.size("patch"), (width + 1) * features
        return Cost(parameters, tokens * width * features, 4 * (parameters + tokens * (width + features)))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.masking import Decoder

        return Decoder(spec.size("feature"), self.plan(spec).size("feature"))

    def _length(self, spec: Spec) -> int:
        """Samples of a patch."""
        if spec.window_s is None:
            raise PlanError("guesses the samples of windows; put a window stage before the patches")
        return round(spec.window_s * spec.rate_hz) // spec.size("patch")
