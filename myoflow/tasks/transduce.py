"""transduce: the voice of an utterance, as a spectrum that a vocoder makes sound of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs.validators import ge, gt

from myoflow.speech.base import Spoken
from myoflow.speech.voicing import GRIFFIN_LIM
from myoflow.task import task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@task("transduce")
@frozen
class Transduce(Spoken):
    """Euclidean distance of log-mel spectra, frame by frame, and `phoneme_weight` times the phonemes' cross-entropy.

    Where the mouth was silent the target is the same sentence spoken aloud, aligned by dynamic time warping
    (Gaddy and Klein 2020 and 2021). `silent_weight` is how much its frames weigh. Bands are divided by `mel_scale`
    after their mean over the training split is taken off: with a larger scale phonemes weigh more. The published code
    divides by 9.84, which is no standard deviation of such bands. A recogniser trained on the true voices for
    `listener_epochs` (0 for none) says how much of the made ones is understood; speech/judge.py. `vocoder` makes them
    audible: `griffin_lim`, or the run of a vocoder's recipe, or a file of HiFi-GAN's weights.
    """

    phoneme_weight: float = attrs.field(default=0.5, validator=ge(0))
    silent_weight: float = attrs.field(default=1.0, validator=ge(0))
    mel_scale: float = attrs.field(default=2.0, validator=gt(0))
    listener_epochs: int = attrs.field(default=40, validator=ge(0))
    vocoder: str = GRIFFIN_LIM

    defaults: ClassVar[tuple[str, ...]] = ("mcd", "wer_audio", "wer_audio_floor", "phoneme_accuracy")
    needs: ClassVar[tuple[str, ...]] = ("audio",)
    learns: ClassVar[tuple[str, ...]] = ("audio", "phonemes")
    sound: ClassVar[bool] = True

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Spectra and phonemes; see speech/losses.py."""
        from myoflow.speech.losses import spectra

        return spectra(self.named(output), target, self.phoneme_weight, self.silent_weight)
