"""patch: cuts each channel of a window into tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, WINDOWS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    import torch

    from myoflow.dsp.kernel import Kernel


@stage("patch")
@frozen
class Patch(Stage):
    """Channel-independent patches: `(window, channel, time)` -> `(window, channel, patch, feature)`.

    Every channel is cut into neighbouring pieces of `length` without overlap; a reshape, no arithmetic.
    The window must be a whole number of patches. Source: TinyMyo's tokenizer (20 samples), arXiv 2512.15729.
    """

    length: Duration

    def plan(self, spec: Spec) -> Spec:
        spec.expect(WINDOWS)
        window = spec.size("time")
        length = self.length.samples(spec.rate_hz)
        if length < 1 or window % length:
            size = f"{length} samples at {spec.rate_hz:g} Hz" if self.length.unit == "s" else f"{length} samples"
            fit = ", ".join(str(n) for n in _near(window, length))
            raise PlanError(
                f"a window of {window} samples cannot be cut into patches of {size}; these lengths fit: {fit} samples",
                field="length",
            )
        return spec.evolve(dims=TOKENS, sizes=(None, spec.size("channel"), window // length, length))

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        channels, patches, length = self.plan(spec).sizes[1:]
        assert channels is not None and patches is not None and length is not None
        return Mapped(lambda x: x.reshape(-1, channels, patches, length), (0, channels, patches, length), axis=0)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.encoder import Patches

        return Patches(self.plan(spec).size("feature"))


def _near(window: int, length: int, count: int = 6) -> list[int]:
    """The divisors of `window` nearest to `length`, rising."""
    divisors = [n for n in range(1, window + 1) if window % n == 0]
    return sorted(sorted(divisors, key=lambda n: abs(n - length))[:count])
