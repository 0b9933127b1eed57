"""Tuning: the weight of the language model and the bonus for a word, chosen on the dev split and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from attrs import frozen

from myoflow.errors import InputError
from myoflow.text.beam import Decoder, Floats, Weights
from myoflow.text.measures import errors

MODEL = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
BONUS = (-1.0, 0.0, 1.0, 2.0, 4.0)


@frozen
class Tuned:
    """The chosen decoder, and `tried`: weights and the word error rate of each on the dev split."""

    decoder: Decoder
    tried: tuple[tuple[Weights, float], ...]


def tune(
    decoder: Decoder,
    frames: Sequence[Floats],
    texts: Sequence[str],
    model: Sequence[float] = MODEL,
    bonus: Sequence[float] = BONUS,
) -> Tuned:
    """The weights with the fewest wrong words on dev utterances; of equal ones those closest to 1 and 0.

    First the model's weight without a bonus, then the bonus at that weight, then the weight again: a line each, not a
    table, since dev splits are small. Raises InputError without utterances.
    """
    if not frames or len(frames) != len(texts):
        raise InputError(f"tuning needs dev utterances and their texts, got {len(frames)} and {len(texts)}")
    tried: dict[Weights, float] = {}

    def rate(weights: Weights) -> tuple[float, float]:
        if weights not in tried:
            searcher = attrs.evolve(decoder, weights=weights)
            found = [errors(text, searcher.text(one)) for text, one in zip(texts, frames, strict=True)]
            tried[weights] = sum(e.wrong for e in found) / max(1, sum(e.words for e in found))
        return tried[weights], abs(weights.model - 1) + abs(weights.bonus)

    values = model if decoder.model is not None else (0.0,)
    first = min((Weights(value, 0.0) for value in values), key=rate)
    second = min((Weights(first.model, value) for value in bonus), key=rate)
    chosen = min((Weights(value, second.bonus) for value in values), key=rate)
    return Tuned(attrs.evolve(decoder, weights=chosen), tuple(tried.items()))
