"""Base of the tasks of silent speech: what they learn from, how they are asked, scored and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from myoflow.errors import PlanError
from myoflow.speech.voicing import GRIFFIN_LIM
from myoflow.task import Measure, Task, View
from myoflow.text.spelling import CHARACTERS

if TYPE_CHECKING:
    import torch

    from myoflow.listener import Listener
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.speech.answers import Transcripts
    from myoflow.speech.utterances import Utterances
    from myoflow.split import Fold
    from myoflow.task import Model

FRAME_HZ = 22050 / 256  # of a voice's spectrum; dsp/mel.py

MEASURES = {
    "wer": Measure("%", "lower"),
    "wer_no_lm": Measure("%", "lower"),
    "wer_greedy": Measure("%", "lower"),
    "cer": Measure("%", "lower"),
    "wer_control": Measure("%", "higher"),
    "phoneme_accuracy": Measure(),
    "mcd": Measure("dB", "lower", 2),
    "wer_audio": Measure("%", "lower"),
    "wer_audio_greedy": Measure("%", "lower"),
    "wer_audio_floor": Measure("%", "lower"),
    "estoi": Measure("", "higher", 2),
}


TUNED = 20  # training utterances that the search is tuned on where there is no validation split


class Spoken(Task):
    """Utterances in, text or voice out. Subclasses say which heads they need, which they learn, and what they lose.

    A pipeline cuts by the `utterance` stage and has heads of these names behind its frames.
    """

    measures: ClassVar[Mapping[str, Measure]] = MEASURES
    lives: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    learns: ClassVar[tuple[str, ...]] = ()
    sound: ClassVar[bool] = False
    vocoder: str = GRIFFIN_LIM  # a field of those tasks that have sound

    def check(self, plan: Plan) -> None:
        """The pipeline ends in the heads that this task needs."""
        from myoflow.speech.ask import heads_of, stage_of
        from myoflow.stages.ctc import BLANK

        if self.vocoder != GRIFFIN_LIM and not Path(self.vocoder).exists():
            raise PlanError(
                f"there is no vocoder at {self.vocoder}: train.vocoder takes a finished run of recipes/vocoder.yaml, a "
                f"file of HiFi-GAN's weights, or {GRIFFIN_LIM}"
            )
        found = heads_of(plan)
        for name in self.needs:
            if name not in found:
                there = ", ".join(found)
                raise PlanError(f"{self.name} needs a head called '{name}', the pipeline's are {there}", head=name)
        for name in found:
            if name not in self.learns:
                raise PlanError(
                    f"{self.name} does not learn the head '{name}', only {', '.join(self.learns)}: leave it out, or "
                    "take the task speech, which learns text, audio and phonemes",
                    head=name,
                )
        for name in ("audio", "phonemes"):
            if name in found:
                rate = found[name].rate_hz * getattr(stage_of(plan, name), "per_frame", 1)
                if abs(rate / FRAME_HZ - 1) > 0.001:
                    raise PlanError(
                        f"the head '{name}' gives {rate:.6g} frames a second, but a voice has {FRAME_HZ:.6g}: "
                        f"resample to {FRAME_HZ * 8:.10g} Hz before strides of 8 in all, or set per_frame",
                        head=name,
                    )
        alphabet = (*self.characters, BLANK)
        if "text" in found and found["text"].labels != alphabet:
            raise PlanError(f"the head 'text' has other characters than the task: '{self.characters}'", head="text")

    @property
    def characters(self) -> str:
        """The alphabet of texts."""
        return CHARACTERS

    def begin(self, module: torch.nn.Module, examples: Any) -> None:
        """A vocoder that cannot be read is told of before training. Raises InputError."""
        from myoflow.speech.voicing import speaker

        speaker(self.vocoder)

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Utterances]:
        """Utterances of a fold; the test part knows the others' texts, and which it may tune on.

        Those are the validation split's. Without one, they are some training utterances, whose sentences are then kept
        from the language model, so that it is tried on sentences that it does not know.
        """
        from myoflow.speech.corpus import utterances

        train, valid, test = utterances(
            prepared,
            step,
            fold,
            by,
            characters=self.characters,
            scale=getattr(self, "mel_scale", 1.0),
            sound=self.sound,
        )
        known = tuple(target.text for target in train.targets)
        voices = tuple((t.text, t.mel) for t in train.targets if len(t.mel) and not t.silent)
        tuned = valid if len(valid) else _spread(train, TUNED)
        return [train, valid, attrs.evolve(test, known=known, voices=voices, tuned=tuned)]

    def asked(self, examples: Utterances, own: Callable[[], Utterances]) -> Utterances:
        """Searched with the run's own words, weights and recogniser of voices, whose training data must be there."""
        like = own()
        return attrs.evolve(examples, known=like.known, voices=like.voices, tuned=like.tuned)

    def named(self, output: Any) -> Mapping[str, torch.Tensor]:
        """A network's output by head, also of a network that has but one."""
        found: Mapping[str, torch.Tensor] = output
        return {**found, self.needs[0]: found["values"]} if "values" in found else found

    def listener(self, plan: Plan, folder: Path) -> Listener:
        """Words and voice as an utterance is still being spoken; speech/speaking.py."""
        from myoflow.speech.known import load
        from myoflow.speech.speaking import Speaking

        return Speaking(plan, load(folder))

    def load(self, path: Path) -> Transcripts:
        """Read what `Transcripts.save` wrote."""
        from myoflow.speech.answers import Transcripts

        return Transcripts.load(path)

    def predict(self, model: Model, examples: Utterances) -> Transcripts:
        """Texts and voices for all utterances."""
        from myoflow.speech.transcribe import transcribe

        return transcribe(self, model, examples)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Metrics with intervals, resampled over utterances; those of what nobody heard or spelled are left out."""
        from myoflow.answers.scores import summarise

        return summarise(models, models[main][0].measured(evaluate) or evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """Voices to hear, spectra, transcripts, and errors by mode, session and length."""
        from myoflow.report.speech import sections

        return sections(view)


def _spread(examples: Utterances, count: int) -> Utterances:
    """So many utterances, evenly spread, at most every fifth; none where no other sentence would be left."""
    import numpy as np

    step = max(5, -(-len(examples) // count))
    rows = np.arange(step // 2, len(examples), step)
    taken = {examples.targets[row].text for row in rows}
    left = any(target.text not in taken for target in examples.targets)
    return examples.select(rows if left else rows[:0])
