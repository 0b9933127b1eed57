"""voice: an utterance's sound as frames of log-mel bands, in place of its EMG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, UTTERANCES, Spec
from myoflow.stage import Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("voice")
@frozen
class Voice(Stage):
    """`(utterance, channel, time)` -> `(utterance, frame, band)` of the sound that `data.target` names: for vocoders.

    80 log-mel bands of 22 050 Hz every 256 samples, as HiFi-GAN defines them (dsp/mel.py). The task `vocoder` computes
    them of the recorded stream; the EMG is left alone, and a live signal does not bring sound.
    """

    def plan(self, spec: Spec) -> Spec:
        spec.expect(UTTERANCES)
        if spec.target is None or len(spec.target.channels) != 1:
            raise PlanError("needs recorded sound of one track: name its stream in data.target, such as audio_clean")
        blocked = spec.block("voice: takes recorded sound, which a live signal does not bring")
        return blocked.evolve(dims=FRAMES, sizes=(None, None, 80), rate_hz=22_050 / 256, labels=(), units="1")

    def module(self, spec: Spec) -> torch.nn.Module:
        from torch import nn

        return nn.Identity()  # batches hold the bands already
