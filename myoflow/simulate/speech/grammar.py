"""Grammar: the sentences of the simulated corpora, drawn from templates.

`dates` is a closed vocabulary of about 60 words, as the closed condition of Gaddy and Klein (dates and times) with some
commands. `digits` is three digits, for quick tests. `open` has some 130 words with many homophones (sail, sale) and
words that differ in what no electrode sees (bat, mat, pat), chosen so that a word tells something about the next: there
a language model has work to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np

from myoflow.errors import InputError

Rng = np.random.Generator

_DIGITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_MINUTES = ["ten", "fifteen", "twenty", "thirty", "forty", "fifty"]
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "tenth", "twentieth"]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september"]
_MONTHS += ["october", "november", "december"]
_SLOTS = {"H": _HOURS, "M": _MINUTES, "O": _ORDINALS, "D": _DAYS, "N": _MONTHS, "P": ["am", "pm"]}
_DATES = (
    "H M P", "H M", "D N O", "N O", "N O at H P", "D at H M", "set an alarm for H P", "move the meeting to D",
    "cancel the meeting on N O", "remind me on D", "wake me at H M", "call me next D at H",
)  # fmt: skip

# Of the open grammar: who does what to what, and where. Every row is a small world of words that belong together.
_WORLDS = (
    ("farmer father son", "sold bought found lost", "goat sheep pig mare horse hare bear",
     "old brown big small strong", "hill mill road gate river"),
    ("king queen knight guard", "saw heard took gave", "gold sail ship tower flower",
     "white red blue long green", "sea bay moat wall town"),
    ("baker cook mother maid", "made ate brought sold", "bread meat pear beet flour bowl",
     "sweet cold good clean new", "house bed street pan pail"),
    ("teacher doctor sister brother", "read told brought found", "book tale note map code mail",
     "good new late dark old", "chair light park night ground"),
    ("man men dog cat", "caught saw found heard", "bird mouse fish mole toad bat",
     "small pale dead tall brown", "wood hole pole water boat"),
)  # fmt: skip
_PLACE = ["near", "under", "over", "by", "in", "from"]
_WHEN = ["again", "today", "soon", "now", "too", "then", "here", "there"]


def _digits(rng: Rng) -> str:
    return " ".join(rng.choice(_DIGITS, 3))


def _dates(rng: Rng) -> str:
    words = str(rng.choice(_DATES)).split()
    return " ".join(str(rng.choice(_SLOTS[word])) if word in _SLOTS else word for word in words)


def _open(rng: Rng) -> str:
    def one(words: str) -> str:
        return str(rng.choice(words.split()))

    who, did, what, how, where = _WORLDS[rng.integers(len(_WORLDS))]
    verb = one(did)
    head = f"the {one(who)}" if rng.random() < 0.7 else one("he she we they")
    parts = [head, verb, one("a the his her our"), *([one(how)] if rng.random() < 0.5 else []), one(what)]
    if rng.random() < 0.6:
        parts += [str(rng.choice(_PLACE)), "the", one(where)]
    elif rng.random() < 0.5:
        parts.append(str(rng.choice(_WHEN)))
    return " ".join(parts)


GRAMMARS: dict[str, Callable[[Rng], str]] = {"digits": _digits, "dates": _dates, "open": _open}


def draws(grammar: str, rng: Rng) -> Iterator[str]:
    """Sentences without end; the same one may come again."""
    while True:
        yield GRAMMARS[grammar](rng)


def distinct(grammar: str, count: int, seed: int) -> tuple[str, ...]:
    """So many different sentences. Raises InputError when the grammar has not as many."""
    found: dict[str, None] = {}
    for tried, sentence in enumerate(draws(grammar, np.random.default_rng([seed, 11]))):
        found[sentence] = None
        if len(found) == count:
            return tuple(found)
        if tried > 200 * count:
            break
    raise InputError(f"simulated speech: the grammar '{grammar}' has no {count} different sentences; ask for fewer")


def sample(grammar: str, count: int, seed: int, without: Collection[str] = ()) -> list[str]:
    """Text for a language model: `count` fresh draws, but none of the sentences in `without`."""
    out: list[str] = []
    for sentence in draws(grammar, np.random.default_rng([seed, 12])):
        if sentence not in without:
            out.append(sentence)
        if len(out) == count:
            break
    return out
