"""Spelling: from text as people write it to the characters that a network spells, and the words that are scored."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from myoflow.errors import InputError

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 "
_PARTING = re.compile(r"[-–—‐‑:/]")
_MONEY = re.compile(r"([£$€])\s?(\d[\d,.]*)")
_SIGNS = {
    "£": " pounds ", "$": " dollars ", "€": " euros ", "%": " percent ", "&": " and ", "+": " plus ", "=": " equals ",
    "°": " degrees ", "æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d",
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:,\d{3})*")
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SMALL += [f"{stem}teen" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))


def normalise(text: str, *, dashes: Literal["part", "glue"] = "part", digits: Literal["keep", "spell"] = "keep") -> str:
    """Lower case, no accents, no punctuation, single blanks: what word error rates are counted on.

    Dashes, slashes and colons part words; `dashes: glue` removes them as the published code does, which makes one word
    of two. `digits: spell` writes whole numbers out. Signs that are read aloud become words, an amount of money before
    its currency. Other characters stay; `letters` says which cannot be spelled.
    """
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    text = _MONEY.sub(r"\2 \1", text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    if digits == "spell":
        text = _NUMBER.sub(lambda found: f" {spelled(int(found[0].replace(',', '')))} ", text)
    if dashes == "part":
        text = _PARTING.sub(" ", text)
    text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    return " ".join(text.split())


def spelled(number: int) -> str:
    """A whole number below 10^12 in words: `one hundred twenty three`. Raises InputError for others."""
    if not 0 <= number < 10**12:
        raise InputError(f"cannot write {number} in words")
    if number < 20:
        return _SMALL[number]
    if number < 100:
        rest = f" {_SMALL[number % 10]}" if number % 10 else ""
        return _TENS[number // 10 - 2] + rest
    scale, name = next((s, n) for s, n in _SCALES if number >= s)
    rest = f" {spelled(number % scale)}" if number % scale else ""
    return f"{spelled(number // scale)} {name}{rest}"


def letters(text: str, where: str, characters: str = CHARACTERS) -> list[int]:
    """Numbers of a normalised text's characters.

    Raises:
        InputError: one is not among `characters`; `where` says which text it was, such as the utterance.
    """
    found = []
    for place, character in enumerate(text):
        number = characters.find(character)
        if number < 0:
            raise InputError(
                f"{where}: cannot spell '{character}' (character {place + 1} of '{text[:40]}') with '{characters}'"
            )
        found.append(number)
    return found


def greedy(best: list[int], characters: str = CHARACTERS) -> str:
    """Text from the likeliest symbol of each frame: repeats count once, the blank (the last number) not at all."""
    blank = len(characters)
    kept = [n for k, n in enumerate(best) if n != blank and (k == 0 or best[k - 1] != n)]
    return " ".join("".join(characters[n] for n in kept).split())
