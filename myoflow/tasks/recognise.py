"""recognise: the text of an utterance."""

from __future__ import annotations

from collections.abc import Sequence
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

    from myoflow.pipeline import Step
    from myoflow.prepared import Prepared
    from myoflow.speech.utterances import Utterances
    from myoflow.split import Fold

LEXICA = ("closed", "corpus", "open")
LANGUAGES = ("training", "grammar")


@task("recognise")
@frozen
class Recognise(Spoken):
    """CTC over characters (Graves et al. 2006), then a search for words.

    `lexicon: closed` allows the words of the training sentences and of the language model only, `corpus` those of all
    sentences, held-out ones, too (nothing else is learned from those; the report says so), `open` any word; else it
    is a file, each line of which begins with a word, such as a dictionary. `order` is that of the n-gram model of
    words, 0 for none; `language` where it learns: the `training` sentences, fresh sentences of the simulated corpus'
    `grammar` (without those of dev and test), or a file, one sentence a line, or an ARPA model. How much the model
    and each word weigh is chosen on the validation split; without one, on some training utterances, whose sentences
    the model then does not learn. `beam` is how many prefixes stay in play. With `pause` a sentence is over when
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
    learns: ClassVar[tuple[str, ...]] = needs

    def __attrs_post_init__(self) -> None:
        for field, known, file in (
            ("lexicon", LEXICA, "a file of words"),
            ("language", LANGUAGES, "a file of sentences or an ARPA model"),
        ):
            given = getattr(self, field)
            if given not in known and not Path(given).is_file():
                close = did_you_mean(given, known) or ";"
                raise Mismatch(f"'{given}' is no file{close} write {', '.join(known)}, or {file}", (field,))

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Utterances]:
        """As of every task of speech. Raises InputError: no sentence is left to learn words from."""
        from myoflow.speech.words import left_over

        found = super().examples(prepared, step, fold, by)
        left_over(self, found[2])
        return found

    def begin(self, module: torch.nn.Module, examples: Utterances) -> None:
        """Wrong words, language model or rate of frames are told of before training. Raises InputError."""
        from myoflow.speech.losses import spellable
        from myoflow.speech.words import check

        super().begin(module, examples)
        check(self, examples)
        spellable(module, examples)

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """CTC of the head `text`; see speech/losses.py."""
        from myoflow.speech.losses import characters

        return characters(self.named(output), target)

    def gauge(self, output: Any, target: Any) -> torch.Tensor:
        """1 minus the character error rate of the best path, summed over utterances."""
        from myoflow.speech.losses import right

        found = self.named(output)
        return right(found["text"], target, found["length"])
