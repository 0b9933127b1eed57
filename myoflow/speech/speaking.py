"""Speaking: from the frames of an utterance that goes on to its words and its voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.mel import RATE_HZ
from myoflow.heads import Heads
from myoflow.listener import Said
from myoflow.spec import Spec
from myoflow.speech.ask import ALONE, heads_of, stage_of
from myoflow.speech.sentences import Sentence, Sentences, frames_of
from myoflow.speech.voicing import Running, running
from myoflow.speech.words import log_softmax

if TYPE_CHECKING:
    from myoflow.pipeline import Plan
    from myoflow.speech.known import Known

Array = npt.NDArray[Any]


class Speaking:
    """A listener behind a pipeline of silent speech: `partial` words after each piece of frames that changes them, the
    `text` of a sentence at a pause or the end, and `sound` as the vocoder gives it.

    Texts and sound are those that the task scores offline, however the frames come.
    """

    def __init__(self, plan: Plan, known: Known) -> None:
        self._plan, self._known = plan, known
        self._rate = plan.output.rate_hz
        heads = heads_of(plan)
        self._sentences = None
        if "text" in heads and known.decoder is not None:
            self._sentences = Sentences(known.decoder, frames_of(known.pause_s, self._rate))
        self._vocoder: Running | None = None
        self.delay_s = 0.0
        self.sound: Spec | None = None
        if "audio" in heads:
            self._vocoder, self.delay_s = running(known.vocoder)
            self.sound = Spec.signal(("voice",), float(RATE_HZ), units="1")
            self._several: int = getattr(stage_of(plan, "audio"), "per_frame", 1)
        self._begin_s: float | None = None  # where frame 0 begins
        self._sounded = 0
        self._last = ""

    def feed(self, values: Array, end_s: float) -> list[Said]:
        """Frames `(frame, feature)` of the plan's output."""
        if self._begin_s is None:
            self._begin_s = end_s - len(values) / self._rate
        frames = self._split(values)
        said: list[Said] = []
        if self._vocoder is not None:
            audio = frames["audio"]
            bands = self._known.bands(audio.reshape(len(audio) * self._several, -1))
            said += self._heard(self._vocoder.feed(bands))
        if self._sentences is not None:
            said += self._over(self._sentences.feed(log_softmax(frames["text"])))
            text, stable, first = self._sentences.partial()
            if text != self._last:
                self._last = text
                said.append(Said("partial", self._at(first), end_s, text, stable=stable))
        return said

    def flush(self) -> list[Said]:
        said: list[Said] = []
        if self._vocoder is not None:
            said += self._heard(self._vocoder.flush())
        if self._sentences is not None:
            said += self._over(self._sentences.flush())
        return said

    def _split(self, values: Array) -> dict[str, Array]:
        last = self._plan.steps[-1]
        if isinstance(last.stage, Heads):
            return last.stage.split(last.before, values)
        return {ALONE[last.stage.name]: values}

    def _at(self, frame: int) -> float:
        return (self._begin_s or 0.0) + frame / self._rate

    def _over(self, sentences: list[Sentence]) -> list[Said]:
        if sentences:
            self._last = ""
        return [Said("text", self._at(s.first), self._at(s.end), s.text) for s in sentences]

    def _heard(self, sound: Array) -> list[Said]:
        if not len(sound):
            return []
        begin = self._begin_s or 0.0
        start_s = begin + self._sounded / RATE_HZ
        self._sounded += len(sound)
        values = np.asarray(sound, np.float32)[None]
        return [Said("sound", start_s, begin + self._sounded / RATE_HZ, values=values, rate_hz=float(RATE_HZ))]
