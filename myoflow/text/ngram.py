"""NGram: a back-off model of word sequences, built from text with modified Kneser-Ney smoothing.

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 4.1.6, in the
interpolated form and with the counting rules of KenLM (Heafield et al. 2013).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from myoflow.errors import InputError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
RESERVED = (BEGIN, END, UNKNOWN)
FALLBACK = (0.5, 1.0, 1.5)  # discounts where a corpus is too small to tell them
NEVER = -99.0  # log10 of what cannot be predicted, as ARPA files write it

Gram = tuple[str, ...]


@frozen(eq=False)
class NGram:
    """Log probabilities (base 10) of word sequences up to `order` words, with back-off weights.

    `probability[n - 1]` and `backoff[n - 1]` hold the n-grams of n words; a back-off weight that is not there is 0.
    """

    probability: tuple[Mapping[Gram, float], ...]
    backoff: tuple[Mapping[Gram, float], ...]

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.probability)

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary, without the marks of sentences and of the unknown."""
        return tuple(gram[0] for gram in self.probability[0] if gram[0] not in RESERVED)

    def start(self) -> Gram:
        """The context at a sentence's beginning."""
        return (BEGIN,) if self.order > 1 else ()

    def score(self, context: Gram, word: str) -> tuple[float, Gram]:
        """log10 p(word | context), and the context that the next word has.

        A word that is not in the vocabulary counts as `<unk>`, and so does `<s>`, which nothing predicts.
        """
        if (word,) not in self.probability[0] or word == BEGIN:
            word = UNKNOWN
        context = context[max(0, len(context) - self.order + 1) :]
        total = 0.0
        for first in range(len(context) + 1):
            history = context[first:]
            found = self.probability[len(history)].get((*history, word))
            if found is not None:
                return total + found, self._shortened((*history, word))
            total += self.backoff[len(history) - 1].get(history, 0.0) if history else 0.0
        return total + NEVER, ()  # a model without <unk> gives the unknown no chance

    def _shortened(self, gram: Gram) -> Gram:
        """The longest end of `gram` that can be a context: more of it could not change a score."""
        for first in range(max(0, len(gram) - self.order + 1), len(gram)):
            if gram[first:] in self.backoff[len(gram) - first - 1]:
                return gram[first:]
        return ()

    def sentence(self, words: Sequence[str]) -> float:
        """log10 p of a whole sentence, its end included."""
        context, total = self.start(), 0.0
        for word in (*words, END):
            value, context = self.score(context, word)
            total += value
        return total

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Perplexity per word, sentence ends counted as words. Raises InputError without a sentence."""
        total, count = 0.0, 0
        for words in sentences:
            total += self.sentence(words)
            count += len(words) + 1
        if not count:
            raise InputError("there is no sentence to measure the perplexity of")
        return float(10 ** (-total / count))


def build(sentences: Iterable[Sequence[str]], order: int = 4) -> NGram:
    """A model of `order` words from sentences, each a sequence of words.

    Raises:
        InputError: no word at all, a reserved mark used as a word, or an order below 1.
    """
    if order < 1:
        raise InputError(f"the order of a language model must be at least 1, got {order}")
    counts = _adjusted(_raw(sentences, order))
    probability: list[dict[Gram, float]] = []
    backoff: list[dict[Gram, float]] = []
    uniform = 1 / (len(counts[0]) + 1)  # the words and </s>, and <unk>
    for n, table in enumerate(counts, 1):
        chance, rest = _smoothed(table, _discounts(table))
        found = {}
        for gram, own in chance.items():
            lower = uniform if n == 1 else probability[n - 2][gram[1:]]
            found[gram] = own + rest[gram[:-1]] * lower
        if n == 1:
            found[(UNKNOWN,)] = rest[()] * uniform
            found[(BEGIN,)] = 1.0  # written, as elsewhere, with a log of 0; nothing predicts it
        probability.append(found)
        if n > 1:
            backoff.append(rest)
    logs = tuple({gram: math.log10(p) for gram, p in table.items()} for table in probability)
    weights = [{gram: math.log10(w) for gram, w in table.items()} for table in backoff]
    return NGram(logs, (*weights, {}))


def _raw(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """How often each n-gram stands in the text, with one mark at each end of a sentence."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for number, words in enumerate(sentences, 1):
        wrong = [word for word in words if word in RESERVED or not word or word.split() != [word]]
        if wrong:
            raise InputError(f"sentence {number} has the word {wrong[0]!r}, which a language model cannot hold")
        line = (BEGIN, *words, END)
        for n in range(1, order + 1):
            for first in range(len(line) - n + 1):
                counts[n - 1][line[first : first + n]] += 1
    if not any(gram[0] not in RESERVED for gram in counts[0]):
        raise InputError("there are no words to build a language model from")
    return counts


def _adjusted(counts: list[Counter[Gram]]) -> list[Counter[Gram]]:
    """Below the highest order an n-gram counts once for each word that it follows.

    One that begins a sentence follows nothing and keeps its count; `<s>` alone is never predicted.
    """
    found = []
    for n, table in enumerate(counts, 1):
        if n == len(counts):
            adjusted = Counter(table)
        else:
            adjusted = Counter(gram[1:] for gram in counts[n])
            adjusted.update({gram: count for gram, count in table.items() if gram[0] == BEGIN})
        if n == 1:
            adjusted.pop((BEGIN,), None)
        found.append(adjusted)
    return found


def _discounts(table: Mapping[Gram, int]) -> tuple[float, float, float]:
    """What is taken from counts of one, two, and three or more."""
    times = Counter(table.values())
    if not all(times[k] for k in (1, 2, 3, 4)):
        return FALLBACK
    share = times[1] / (times[1] + 2 * times[2])
    found = tuple(k - (k + 1) * share * times[k + 1] / times[k] for k in (1, 2, 3))
    return (found[0], found[1], found[2]) if all(0 <= d <= k for k, d in enumerate(found, 1)) else FALLBACK


def _smoothed(
    table: Mapping[Gram, int], discounts: tuple[float, float, float]
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """Discounted chance of each n-gram in its context, and what each context leaves for shorter ones."""
    total: Counter[Gram] = Counter()
    times: tuple[Counter[Gram], ...] = (Counter(), Counter(), Counter())
    for gram, count in table.items():
        total[gram[:-1]] += count
        times[min(count, 3) - 1][gram[:-1]] += 1  # whole numbers: the order of the text does not matter
    chance = {gram: (count - discounts[min(count, 3) - 1]) / total[gram[:-1]] for gram, count in table.items()}
    rest = {
        context: sum(discount * some[context] for discount, some in zip(discounts, times, strict=True)) / whole
        for context, whole in total.items()
    }
    return chance, rest
