"""hifigan: a network that makes sound of log-mel bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, UTTERANCES, Spec
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch

BANDS, HOP, RATE_HZ = 80, 256, 22_050


def sounding(spec: Spec) -> Spec:
    """The Spec of sound made from frames of bands. Raises PlanError: they are not those of dsp/mel.py."""
    spec.expect(FRAMES)
    if spec.size("feature") != BANDS:
        raise PlanError(f"takes {BANDS} log-mel bands, gets {spec.size('feature')} features")
    if abs(spec.rate_hz * HOP / RATE_HZ - 1) > 1e-3:
        raise PlanError(f"takes {RATE_HZ / HOP:.2f} frames a second, gets {spec.rate_hz:.2f}")
    return spec.evolve(dims=UTTERANCES, sizes=(None, 1, None), channels=("voice",), rate_hz=float(RATE_HZ), units="1")


@stage("hifigan")
@frozen
class HifiGan(Stage):
    """`(utterance, frame, band)` -> sound `(utterance, channel 1, time)` at 22 050 Hz, within ±1.

    `size` V1, V2 and V3 are the published generators (arXiv 2010.05646: 13.9, 0.93 and 1.46 million parameters), S and
    XS ours (0.40 and 0.10 million), which learn one voice in minutes on a CPU. `weights` to start from: a run's folder,
    safetensors, or a published checkpoint `g_XXXXXXXX`, read without running code. A sample of sound depends on 13 (V1,
    V2), 11 (V3, S) or 6 frames (XS) on each side.
    """

    size: Literal["V1", "V2", "V3", "S", "XS"] = "XS"
    weights: str | None = None

    def plan(self, spec: Spec) -> Spec:
        return sounding(spec).wait({"V1": 13, "V2": 13, "V3": 11, "S": 11, "XS": 6}[self.size] * HOP / RATE_HZ)

    def cost(self, spec: Spec) -> Cost:
        """Of one sample of sound; published counts, and MACs a second over the rate."""
        parameters = {"V1": 13_926_017, "V2": 925_985, "V3": 1_462_273, "S": 401_921, "XS": 99_729}[self.size]
        gigamacs = {"V1": 26.5, "V2": 1.66, "V3": 1.94, "S": 0.49, "XS": 0.07}[self.size]
        return Cost(parameters=parameters, macs=round(1e9 * gigamacs / RATE_HZ), memory_bytes=4 * parameters)

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.hifigan import SHAPES, Speaker

        return Speaker(SHAPES[self.size])

    def begin(self, module: torch.nn.Module, spec: Spec) -> tuple[str, ...]:
        """Load `weights`, if there are some. Raises InputError: they are of another generator, or cannot be read."""
        if self.weights is None:
            return ()
        from myoflow import tensors
        from myoflow.nn.hifigan import SHAPES, load

        found = {name.removeprefix("weight.hifigan."): value for name, value in tensors.read(self.weights).items()}
        where = f"the weights in {self.weights}"
        module.load_state_dict(load(found, SHAPES[self.size], where).state_dict())
        return (f"hifigan: starts from {self.weights}",)
