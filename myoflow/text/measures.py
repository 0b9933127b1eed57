"""Measures: how many words and characters are wrong, how sure that is, and what chance would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError

Floats = npt.NDArray[np.floating[Any]]
Kind = Literal["equal", "substitute", "delete", "insert"]


@frozen
class Errors:
    """One utterance's errors against `words` words (or characters) of truth."""

    words: int
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def wrong(self) -> int:
        return self.substitutions + self.deletions + self.insertions


@frozen
class Rate:
    """A share of errors over all utterances, with its 95 % interval over utterances."""

    value: float
    low: float
    high: float


def aligned(truth: str, text: str) -> list[tuple[Kind, str, str]]:
    """The fewest edits from `truth` to `text`, word by word: (kind, true word, found word), blanks where none is."""
    try:
        import jiwer
    except ImportError as error:
        raise InputError("word error rates need the package jiwer: pip install 'myoflow[speech]'") from error
    true, found = truth.split(), text.split()
    if not true or not found:
        return [*(("delete", word, "") for word in true), *(("insert", "", word) for word in found)]
    out: list[tuple[Kind, str, str]] = []
    for part in jiwer.process_words(" ".join(true), " ".join(found)).alignments[0]:
        a = true[part.ref_start_idx : part.ref_end_idx] or [""] * (part.hyp_end_idx - part.hyp_start_idx)
        b = found[part.hyp_start_idx : part.hyp_end_idx] or [""] * len(a)
        kind: Kind = part.type  # type: ignore[assignment]  # one of the four
        out += [(kind, x, y) for x, y in zip(a, b, strict=True)]
    return out


def errors(truth: str, text: str) -> Errors:
    """Word errors of one utterance. Texts are taken as they are; see `spelling.normalise`."""
    kinds = [kind for kind, _, _ in aligned(truth, text)]
    counts = {kind: kinds.count(kind) for kind in ("substitute", "delete", "insert")}
    return Errors(len(truth.split()), counts["substitute"], counts["delete"], counts["insert"])


def character_errors(truth: str, text: str) -> Errors:
    """Character errors of one utterance, blanks between words counted as characters."""

    def spread(words: str) -> str:
        return " ".join("␣" if character == " " else character for character in " ".join(words.split()))

    return errors(spread(truth), spread(text))


def rate(found: Sequence[Errors], rounds: int = 1000, seed: int = 0) -> Rate:
    """All errors over all words, and its bootstrap interval: utterances are drawn with replacement.

    Raises InputError without a word of truth.
    """
    wrong, words = (np.array([getattr(e, name) for e in found], float) for name in ("wrong", "words"))
    if not len(found) or not words.sum():
        raise InputError("an error rate needs at least one word of truth")
    picks = np.random.default_rng(seed).integers(len(found), size=(rounds, len(found)))
    total = words[picks].sum(axis=1)
    rates = wrong[picks].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.quantile(rates, [0.025, 0.975])
    return Rate(float(wrong.sum() / words.sum()), float(low), float(high))


def word_error_rate(truth: Sequence[str], texts: Sequence[str]) -> Rate:
    """WER over a corpus with its interval."""
    return rate([errors(a, b) for a, b in zip(truth, texts, strict=True)])


def character_error_rate(truth: Sequence[str], texts: Sequence[str]) -> Rate:
    """CER over a corpus with its interval."""
    return rate([character_errors(a, b) for a, b in zip(truth, texts, strict=True)])
