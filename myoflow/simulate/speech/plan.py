"""Plan: who says what when in a simulated corpus; cheap, so that one utterance can be made without the others.

Every draw has its own random stream, named by what it is for: the same settings give the same utterance, whatever else
is made. The number of a file, the place in a session and the session itself are drawn apart from the text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.simulate.speech import grammar, recorder, timing
from myoflow.simulate.speech.settings import Speech
from myoflow.simulate.speech.timing import Script

Floats = npt.NDArray[np.floating[Any]]

RATE_HZ = 1000.0


@frozen(eq=False)
class Session:
    """One sitting in one mode: clip k says sentence `sentence[k]` (-1: silence) as `script[k]`.

    `begin` `(clip + 1,)` are first samples in the session, `baseline` `(clip + 1, channel)` in µV at them.
    """

    number: int
    silent: bool
    sentence: tuple[int, ...]
    script: tuple[Script, ...]
    begin: npt.NDArray[np.int64]
    baseline: Floats

    @property
    def name(self) -> str:
        """`1-3` or `1-3_silent`, as Gaddy's folders are named by month and day."""
        return f"1-{self.number + 1}{'_silent' if self.silent else ''}"


def stream(settings: Speech, *purpose: int) -> np.random.Generator:
    """Random numbers for one purpose."""
    return np.random.default_rng([settings.seed, *purpose])


@lru_cache(maxsize=4)
def sentences(settings: Speech) -> tuple[str, ...]:
    """What is said, by index."""
    return grammar.distinct(settings.grammar, settings.sentences, settings.seed)


@lru_cache(maxsize=4)
def held_out(settings: Speech) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of test and dev sentences; every word of theirs is in a training sentence, where that can be."""
    words = [text.split() for text in sentences(settings)]
    left: dict[str, int] = {}
    for word in (word for text in words for word in set(text)):
        left[word] = left.get(word, 0) + 1
    chosen: list[int] = []
    order = stream(settings, 1).permutation(len(words)).tolist()
    wanted = settings.test + settings.dev
    for least in (1, 0):
        for index in order:
            own = set(words[index])
            if len(chosen) < wanted and index not in chosen and all(left[word] > least for word in own):
                chosen.append(index)
                for word in own:
                    left[word] -= 1
    return tuple(sorted(chosen[: settings.test])), tuple(sorted(chosen[settings.test :]))


def texts(settings: Speech, count: int = 20_000) -> list[str]:
    """Text for a language model: training sentences, then fresh draws of the grammar, never a held-out sentence."""
    test, dev = held_out(settings)
    all_of = sentences(settings)
    held = {all_of[index] for index in (*test, *dev)}
    return [text for text in all_of if text not in held] + grammar.sample(settings.grammar, count, settings.seed, held)


@lru_cache(maxsize=64)
def session(settings: Speech, number: int, silent: bool) -> Session:
    """A session's order, timings and baselines. Clip 0 is silence, as in the set."""
    mine = [index for index in range(settings.sentences) if _place(settings)[index] == number]
    order = (-1, *stream(settings, 2, number, silent).permutation(mine).tolist())
    said = []
    for clip, index in enumerate(order):
        rng = stream(settings, 3, number, silent, clip)
        if index < 0:
            said.append(timing.silence(rng))
        else:
            said.append(timing.script(sentences(settings)[index], rng, silent=silent, pace=settings.pace))
    lengths = np.array([round(script.seconds * RATE_HZ) for script in said])
    baseline = recorder.baselines(stream(settings, 4, number, silent), lengths / RATE_HZ)
    return Session(number, silent, order, tuple(said), np.concatenate([[0], lengths.cumsum()]), baseline)


@lru_cache(maxsize=4)
def _place(settings: Speech) -> tuple[int, ...]:
    """In which session each sentence is said."""
    order = stream(settings, 5).permutation(settings.sentences)
    place = np.empty(settings.sentences, int)
    place[order] = np.arange(settings.sentences) % settings.sessions
    return tuple(place.tolist())
