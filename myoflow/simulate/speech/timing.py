"""Timing: when each phone of a sentence is said, aloud or silently."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.simulate.speech.lexicon import pronounce
from myoflow.simulate.speech.phones import SILENCE, phones

Floats = npt.NDArray[np.floating[Any]]

SPREAD = 0.08  # of phone durations, relative
FINAL = 1.35  # the last word's phones are drawn out
PAUSES = 0.2  # share of word borders with a short pause
WARP = 0.18  # of the logarithm of a silent phone's duration, with a memory of about three phones
SLOWER = 1.08  # silent speech against voiced


@frozen
class Span:
    """A phone or a word and when it is said, in s."""

    name: str
    begin: float
    end: float


@frozen(eq=False)
class Script:
    """An utterance: its phones without a gap from 0 to `seconds`, silence at both ends, and its words."""

    phones: tuple[Span, ...]
    words: tuple[Span, ...]
    seconds: float


def script(text: str, rng: np.random.Generator, *, silent: bool = False, pace: float = 1.0) -> Script:
    """How a sentence is said this time, its phones `pace` times as long as in fluent speech.

    Two calls differ as two readings do; a silent one is in addition stretched and squeezed by a slow random factor per
    phone, so that finding which moment of it belongs to which moment of a voiced one is a problem of its own.
    """
    words = text.split()
    said: list[tuple[str, float, int]] = [(SILENCE, float(rng.uniform(0.15, 0.3)), -1)]
    for number, word in enumerate(words):
        for name in pronounce(word):
            seconds = pace * phones()[name].seconds * float(np.exp(SPREAD * rng.standard_normal()))
            said.append((name, seconds * (FINAL if number == len(words) - 1 else 1.0), number))
        if number < len(words) - 1 and rng.random() < PAUSES:
            said.append((SILENCE, float(rng.uniform(0.04, 0.12)), -1))
    said.append((SILENCE, float(rng.uniform(0.15, 0.3)), -1))
    tempo = np.exp(0.06 * rng.standard_normal())
    factor = tempo * (_warp(len(said), rng) if silent else np.ones(len(said)))
    return _laid([(name, seconds * f, word) for (name, seconds, word), f in zip(said, factor, strict=True)], words)


def silence(rng: np.random.Generator) -> Script:
    """A clip in which nobody speaks."""
    return _laid([(SILENCE, float(rng.uniform(2.0, 2.6)), -1)], [])


def _warp(count: int, rng: np.random.Generator) -> Floats:
    """How much slower than aloud each of `count` phones is."""
    keep = 0.7
    z = np.empty(count)
    z[0] = rng.standard_normal()
    for i in range(1, count):
        z[i] = keep * z[i - 1] + np.sqrt(1 - keep * keep) * rng.standard_normal()
    return np.asarray(SLOWER * np.exp(WARP * z))


def _laid(said: list[tuple[str, float, int]], words: list[str]) -> Script:
    """Durations laid end to end, on whole milliseconds as the recorder's clock has them."""
    edges = np.round(np.cumsum([0.0, *(seconds for _, seconds, _ in said)]), 3)
    spans = tuple(Span(name, float(a), float(b)) for (name, _, _), a, b in zip(said, edges, edges[1:], strict=False))
    found = []
    for number, word in enumerate(words):
        inside = [span for span, (_, _, owner) in zip(spans, said, strict=True) if owner == number]
        found.append(Span(word, inside[0].begin, inside[-1].end))
    return Script(spans, tuple(found), float(edges[-1]))
