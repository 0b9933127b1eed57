"""speech: text and voice of an utterance from one network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs.validators import ge, gt

from myoflow.speech.voicing import GRIFFIN_LIM
from myoflow.task import task
from myoflow.tasks.recognise import Recognise
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@task("speech")
@frozen
class Speech(Recognise):
    """What `recognise` and `transduce` learn, together: `text_weight` times CTC per character and the spectra's loss.

    Fields are those of both. The heads `text` and `audio` are needed, `phonemes` helps.
    """

    text_weight: float = attrs.field(default=1.0, validator=ge(0))
    phoneme_weight: float = attrs.field(default=0.5, validator=ge(0))
    silent_weight: float = attrs.field(default=1.0, validator=ge(0))
    mel_scale: float = attrs.field(default=2.0, validator=gt(0))
    listener_epochs: int = attrs.field(default=40, validator=ge(0))
    vocoder: str = GRIFFIN_LIM

    defaults: ClassVar[tuple[str, ...]] = (
        "wer", "wer_greedy", "cer", "wer_control", "mcd", "wer_audio", "wer_audio_floor", "phoneme_accuracy",
    )  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ("text", "audio")
    learns: ClassVar[tuple[str, ...]] = ("text", "audio", "phonemes")
    sound: ClassVar[bool] = True

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Both losses; see speech/losses.py."""
        from myoflow.speech.losses import characters, spectra

        sound = spectra(output, target, self.phoneme_weight, self.silent_weight)
        return self.text_weight * characters(output, target) + sound
