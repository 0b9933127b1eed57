"""recognise: the text of an utterance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs.validators import ge, gt, optional

from myoflow.errors import did_you_mean
from myoflow.speech.base import Spoken
from myoflow.task import task
from myoflow.typed import Mismatch, Seconds, frozen

if TYPE_CHECKING:
    import torch

LEXICA = ("closed", "corpus", "open")


@task("recognise")
@frozen
class Recognise(Spoken):
    """CTC over characters (Graves et al. 2006), then a search for words.

    `lexicon: closed` allows the words of the training sentences only, `corpus` those of all sentences, held-out
    ones, too (nothing else is learned from those; the report says so), `open` any word; else it is a file, each
    line of which begins with a word, such as a dictionary. `order` is that of the n-gram model of words, 0 for
    none; `language` where it learns: the `training` sentences, fresh sentences of the simulated corpus' `grammar`
    (without those of dev and test), or a file, one sentence a line, or an ARPA model. How much the model and each
    word weigh is chosen on the validation split; without one, on some training utterances, whose sentences the
    model then does not learn. `beam` is how many prefixes stay in play. With `pause` a sentence is over when
    nothing has been spelled for so long, and the search begins anew, as it must in a live stream; without, an
    utterance is one sentence.
    """

    lexicon: str = "closed"
    order: int = attrs.field(default=4, validator=ge(0))
    language: str = "training"
    beam: int = attrs.field(default=32, validator=ge(1))
    pause: Seconds | None = attrs.field(default=None, validator=optional(gt(0)))

    defaults: ClassVar[tuple[str, ...]] = ("wer", "wer_greedy", "cer", "wer_control")
    curve: ClassVar[str | None] = "characters"
    needs: ClassVar[tuple[str, ...]] = ("text",)

    def __attrs_post_init__(self) -> None:
        if self.lexicon not in LEXICA and not Path(self.lexicon).is_file():
            close = did_you_mean(self.lexicon, LEXICA) or ";"
            known = ", ".join(LEXICA)
            raise Mismatch(f"'{self.lexicon}' is no file{close} write {known}, or a file of words", ("lexicon",))

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """CTC of the head `text`; see speech/losses.py."""
        from myoflow.speech.losses import characters

        return characters(self.named(output), target)

    def gauge(self, output: Any, target: Any) -> torch.Tensor:
        """1 minus the character error rate of the best path, summed over utterances."""
        from myoflow.speech.losses import right

        found = self.named(output)
        return right(found["text"], target, found["length"])
