"""Beam: search for the words behind frames of letters, with a language model and an open or a closed lexicon.

Prefix beam search for CTC (Hannun et al. 2014, arXiv 1408.2873): each prefix keeps the chance of all alignments that
give it, apart for those that end in a blank; a language model speaks whenever a word ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.errors import InputError, MyoflowError
from myoflow.text.ngram import END, Gram, NGram
from myoflow.text.spelling import CHARACTERS

Floats = npt.NDArray[np.floating[Any]]

NEVER = -math.inf
LN10 = math.log(10.0)
SPACE = " "


@frozen
class Weights:
    """What a hypothesis is ordered by: ln p(frames) + `model` ln p(words) + `bonus` for each word."""

    model: float = 1.0
    bonus: float = 0.0


@frozen
class Hypothesis:
    """A text, its `score`, and the part of it that the frames alone give, `frames`: ln p over all alignments."""

    text: str
    score: float
    frames: float


class Node:
    """A node of the lexicon's tree of letters; `word` where a word may end."""

    __slots__ = ("next", "word")

    def __init__(self) -> None:
        self.next: dict[str, Node] = {}
        self.word = False


def tree(words: Iterable[str]) -> Node:
    """The lexicon as a tree. Raises InputError without a word, or for one with a blank in it."""
    root = Node()
    for word in words:
        if not word or SPACE in word:
            raise InputError(f"a lexicon cannot hold '{word}'")
        node = root
        for letter in word:
            node = node.next.setdefault(letter, Node())
        node.word = True
    if not root.next:
        raise InputError("the lexicon is empty")
    return root


class _Prefix:
    """What has been spelled so far. Prefixes form a tree, so that one text is one object."""

    __slots__ = (
        "blank",
        "children",
        "context",
        "extra",
        "letter",
        "next_blank",
        "next_spoken",
        "node",
        "parent",
        "spoken",
        "word",
    )  # fmt: skip

    def __init__(self, parent: _Prefix | None, letter: str, node: Node | None, word: str, context: Gram) -> None:
        self.parent, self.letter, self.node, self.word, self.context = parent, letter, node, word, context
        self.children: dict[str, _Prefix | None] = {}
        self.extra: float = parent.extra if parent else 0.0
        self.blank = self.spoken = self.next_blank = self.next_spoken = NEVER

    @property
    def frames(self) -> float:
        return _sum(self.blank, self.spoken)

    def text(self) -> str:
        out, prefix = [], self
        while prefix.parent is not None:
            out.append(prefix.letter)
            prefix = prefix.parent
        return "".join(reversed(out))


def _sum(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))


@frozen(eq=False)
class Decoder:
    """Settings of a search. With `lexicon` None any spelling is a word; without a `model` all texts are alike.

    `characters` are the network's symbols in order, the blank behind them. `width` prefixes survive a frame; symbols
    rarer than `least` in a frame are not tried. Raises InputError: the alphabet has no blank between words but words
    are asked for, or a lexicon's word cannot be spelled.
    """

    characters: str = CHARACTERS
    lexicon: tuple[str, ...] | None = None
    model: NGram | None = None
    weights: Weights = Weights()
    width: int = 32
    least: float = 1e-4
    _root: Node | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"a beam must be at least 1 wide, got {self.width}")
        if self.lexicon is not None:
            for word in self.lexicon:
                wrong = next((letter for letter in word if letter not in self.characters), None)
                if wrong is not None:
                    raise InputError(f"the lexicon's '{word}' has '{wrong}', which the network does not spell")
            object.__setattr__(self, "_root", tree(self.lexicon))

    def search(self) -> Search:
        """A new search, to be fed frames."""
        return Search(self, self._root)

    def decode(self, frames: Floats, best: int = 1) -> list[Hypothesis]:
        """The `best` texts for log probabilities `(frame, symbol)`, best first; never empty."""
        search = self.search()
        search.feed(frames)
        return search.finish(best)

    def text(self, frames: Floats) -> str:
        """The best text."""
        return self.decode(frames)[0].text


class Search:
    """A search in progress. `feed` frames as they come; `stable` and `best` read it at any time."""

    def __init__(self, decoder: Decoder, root: Node | None) -> None:
        self.decoder = decoder
        self._root = root
        start = _Prefix(None, "", root, "", decoder.model.start() if decoder.model else ())
        start.blank = 0.0
        self._beam = [start]

    def feed(self, frames: Floats) -> None:
        """Take log probabilities `(frame, symbol)`. Raises MyoflowError for another number of symbols, or nan."""
        wanted = len(self.decoder.characters) + 1
        if np.ndim(frames) != 2 or np.shape(frames)[1] != wanted:
            raise MyoflowError(f"expected log probabilities (frame, {wanted}), got shape {np.shape(frames)}")
        if np.isnan(frames).any():
            raise MyoflowError("the network's output is not a number (nan): it cannot be decoded")
        table = np.asarray(frames, np.float64)
        floor = math.log(self.decoder.least) if self.decoder.least > 0 else NEVER
        for row in table:
            chosen = np.flatnonzero(row[:-1] > floor).tolist()
            self._step([(self.decoder.characters[k], float(row[k])) for k in chosen], float(row[-1]))

    def _step(self, symbols: list[tuple[str, float]], blank: float) -> None:
        """One frame."""
        now: dict[int, _Prefix] = {}
        given = dict(symbols)
        for prefix in self._beam:
            whole = prefix.frames
            now[id(prefix)] = prefix
            prefix.next_blank = _sum(prefix.next_blank, whole + blank)
            again = given.get(prefix.letter)
            if again is not None:
                prefix.next_spoken = _sum(prefix.next_spoken, prefix.spoken + again)
            for letter, chance in symbols:
                start = prefix.blank if letter == prefix.letter else whole
                if start == NEVER:
                    continue
                child = self._child(prefix, letter)
                if child is not None:
                    now[id(child)] = child
                    child.next_spoken = _sum(child.next_spoken, start + chance)
        found = list(now.values())
        for prefix in found:
            prefix.blank, prefix.spoken = prefix.next_blank, prefix.next_spoken
            prefix.next_blank = prefix.next_spoken = NEVER
        if len(found) > self.decoder.width:
            found.sort(key=lambda prefix: prefix.frames + prefix.extra, reverse=True)
            for lost in found[self.decoder.width :]:
                lost.blank = lost.spoken = NEVER
            del found[self.decoder.width :]
        self._beam = found

    def _child(self, prefix: _Prefix, letter: str) -> _Prefix | None:
        """The prefix with one letter more; None where the lexicon has no such word, or a word would be empty."""
        if letter in prefix.children:
            return prefix.children[letter]
        child: _Prefix | None = None
        if letter == SPACE:
            if prefix.word and (prefix.node is None or prefix.node.word):
                child = _Prefix(prefix, letter, self._root, "", prefix.context)
                self._close(child, prefix.word)
        else:
            node = prefix.node.next.get(letter) if prefix.node is not None else None
            if node is not None or self._root is None:
                child = _Prefix(prefix, letter, node, prefix.word + letter, prefix.context)
        prefix.children[letter] = child
        return child

    def _close(self, prefix: _Prefix, word: str) -> None:
        weights = self.decoder.weights
        prefix.extra += weights.bonus
        if self.decoder.model is not None:
            value, prefix.context = self.decoder.model.score(prefix.context, word)
            prefix.extra += weights.model * LN10 * value

    def stable(self) -> str:
        """What all prefixes of the beam begin with: later frames can hardly change it."""
        texts = [prefix.text() for prefix in self._beam]
        first, last = min(texts), max(texts)
        size = next(
            (k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
        )
        return first[:size]

    def best(self) -> str:
        """The best prefix so far, its last word perhaps unfinished."""
        return max(self._beam, key=lambda prefix: prefix.frames + prefix.extra).text().strip()

    def finish(self, best: int = 1) -> list[Hypothesis]:
        """The `best` whole texts, best first. Where all of the beam is within a word, that word is left out."""
        chance: dict[str, float] = {}
        extra: dict[str, float] = {}
        for prefix in self._beam:
            if prefix.word and prefix.node is not None and not prefix.node.word:
                continue
            text = prefix.text().strip()
            chance[text] = _sum(chance.get(text, NEVER), prefix.frames)
            if text not in extra:
                extra[text] = self._ended(prefix)
        for prefix in () if chance else self._beam:
            text = prefix.text().rpartition(SPACE)[0]
            chance[text] = _sum(chance.get(text, NEVER), prefix.frames)
            extra.setdefault(text, prefix.extra + self._end(prefix.context))
        found = [Hypothesis(text, chance[text] + extra[text], chance[text]) for text in chance]
        found.sort(key=lambda hypothesis: hypothesis.score, reverse=True)
        return found[:best] or [Hypothesis("", NEVER, NEVER)]

    def _ended(self, prefix: _Prefix) -> float:
        """What words add to the score when the text ends here."""
        weights, model = self.decoder.weights, self.decoder.model
        total, context = prefix.extra, prefix.context
        if prefix.word:
            total += weights.bonus
            if model is not None:
                value, context = model.score(context, prefix.word)
                total += weights.model * LN10 * value
        return total + self._end(context)

    def _end(self, context: Gram) -> float:
        model = self.decoder.model
        return self.decoder.weights.model * LN10 * model.score(context, END)[0] if model is not None else 0.0
