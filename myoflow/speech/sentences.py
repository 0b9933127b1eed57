"""Sentences: where one ends and the next begins in frames of characters that come and come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

if TYPE_CHECKING:
    from myoflow.text.beam import Decoder

Array = npt.NDArray[Any]


@frozen
class Sentence:
    """A sentence that is over: its text, its first frame, and the one behind the last that spelled something."""

    text: str
    first: int
    end: int


class Sentences:
    """A search that begins anew behind every pause: `pause` frames in a row whose likeliest symbol is the blank.

    Without one all frames are one sentence. Which frames come together makes no difference.
    """

    def __init__(self, decoder: Decoder, pause: int | None) -> None:
        self._decoder, self._pause = decoder, pause
        self._frame = 0
        self._begin()

    def _begin(self) -> None:
        self._search = self._decoder.search()
        self._first: int | None = None  # the first frame that spells something
        self._end = 0

    def feed(self, logs: Array) -> list[Sentence]:
        """Sentences that end in log probabilities `(frame, symbol)`."""
        over, at = [], 0
        spelled = np.asarray(logs).argmax(-1) != logs.shape[-1] - 1
        for k, spells in enumerate(spelled.tolist()):
            frame = self._frame + k
            if spells:
                self._first = frame if self._first is None else self._first
                self._end = frame + 1
            elif self._pause is not None and self._first is not None and frame + 1 - self._end >= self._pause:
                self._search.feed(logs[at : k + 1])
                over.append(self._close())
                at = k + 1
        self._search.feed(logs[at:])
        self._frame += len(logs)
        return [sentence for sentence in over if sentence.text]

    def partial(self) -> tuple[str, int, int]:
        """The words so far, how many characters of them can hardly change, and the sentence's first frame."""
        if self._first is None:
            return "", 0, self._frame
        text = self._search.best()
        return text, min(len(text), len(self._search.stable())), self._first

    def flush(self) -> list[Sentence]:
        """The sentence that the end of all frames ends."""
        last = self._close()
        return [last] if last.text else []

    def _close(self) -> Sentence:
        first = self._frame if self._first is None else self._first
        found = Sentence(self._search.finish()[0].text, first, max(self._end, first))
        self._begin()
        return found


def frames_of(pause_s: float | None, rate_hz: float) -> int | None:
    """A pause in frames, one or more."""
    return None if pause_s is None else max(1, round(pause_s * rate_hz))


def text_of(decoder: Decoder, logs: Array, pause: int | None) -> str:
    """All sentences of an utterance's log probabilities `(frame, symbol)`."""
    sentences = Sentences(decoder, pause)
    return " ".join(sentence.text for sentence in (*sentences.feed(logs), *sentences.flush()))
