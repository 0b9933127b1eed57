"""Words: from frames of characters to words, with a lexicon and a language model learned from text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.text import arpa, corpus
from myoflow.text.beam import Decoder
from myoflow.text.measures import errors
from myoflow.text.ngram import NGram, build
from myoflow.text.spelling import letters, normalise
from myoflow.text.tuning import tune

if TYPE_CHECKING:
    from myoflow.speech.search import Search
    from myoflow.speech.utterances import Utterances

Array = npt.NDArray[Any]

DRAWS = 20_000  # sentences of a simulated corpus' grammar that a language model learns from


def decoder_of(task: Search, examples: Utterances, dev: Sequence[Array]) -> tuple[Decoder, dict[str, Any]]:
    """A search with the task's lexicon and language model, its weights chosen on the validation split; and what to say.

    `dev` are log-probabilities of `examples.tuned`. Neither lexicon nor model sees a sentence of dev or test, save
    their words in `lexicon: corpus`, and through `language` files, for which the user answers.

    Raises:
        InputError: a language file that cannot be read.
    """
    tuned = examples.tuned
    held = {target.text for part in (examples, tuned) if part is not None for target in part.targets}
    texts = [text for text in examples.known if text not in held]
    sentences, model, source = _language(task, examples, texts, held)
    lexicon: tuple[str, ...] | None = None
    if task.lexicon not in ("open", "closed", "corpus"):
        lexicon = _listed(Path(task.lexicon), task.characters)
    elif task.lexicon != "open":
        more = held if task.lexicon == "corpus" else ()
        words = {word for text in (*texts, *sentences, *more) for word in text.split()}
        if model is not None:
            words |= {word for word in model.words if not word.startswith("<")}
        lexicon = tuple(sorted(word for word in words if all(letter in task.characters for letter in word)))
    decoder = Decoder(task.characters, lexicon, model, width=task.beam)
    told: dict[str, Any] = {
        "unknown": _unknown(examples, lexicon, model, source),
        "lexicon": len(lexicon) if lexicon is not None else "open",
        "words": task.lexicon,
        "language": source if model is not None else "none",
        "order": model.order if model is not None else 0,
        "beam": task.beam,
    }
    if tuned is not None and len(tuned):
        found = tune(decoder, dev, [target.text for target in tuned.targets])
        decoder = found.decoder
        told["tried"] = [[weights.model, weights.bonus, round(rate, 4)] for weights, rate in found.tried]
    told |= {"model_weight": decoder.weights.model, "word_bonus": decoder.weights.bonus}
    return decoder, told


def check(task: Search, examples: Utterances) -> None:
    """What `decoder_of` would refuse is refused before anything has been trained on these `examples`.

    Raises:
        InputError: as `decoder_of`.
    """
    if task.lexicon not in ("open", "closed", "corpus"):
        _listed(Path(task.lexicon), task.characters)
    if not task.order or task.language == "training":
        return
    if task.language == "grammar":
        _grammar(examples)
        return
    known = tuple(target.text for target in examples.targets)
    _, model, source = _language(task, examples, (), ())
    _unknown(attrs.evolve(examples, known=known), None, model, source)


def left_over(task: Search, test: Utterances) -> None:
    """Raises InputError: every training sentence is one of the held-out ones, so that words and language model, which
    learn from the others alone, have nothing to learn from."""
    held = {target.text for part in (test, test.tuned) if part is not None for target in part.targets}
    learns = task.language == "training" if task.order else task.lexicon == "closed"
    if learns and test.known and held.issuperset(test.known):
        raise InputError(
            "every training sentence is one of validation or test, too: none is left to learn words and a language "
            "model from; write train.lexicon: corpus and train.order: 0, or hold sentences out"
        )


def _unknown(
    examples: Utterances, lexicon: Collection[str] | None, model: NGram | None, source: str
) -> dict[str, list[int]]:
    """How many words of the test sentences lexicon and model do not have, of how many; that is told, not used.

    Raises InputError: the model has no word of the training sentences.
    """
    said = [word for target in examples.targets for word in target.text.split()]
    found = {}
    if lexicon is not None:
        there = set(lexicon)
        found["lexicon"] = [sum(word not in there for word in said), len(said)]
    if model is not None:
        there = set(model.words)
        learned = {word for text in examples.known for word in text.split()}
        if learned and not learned & there:
            some, others = (", ".join(sorted(words)[:3]) for words in (there, learned))
            raise InputError(
                f"train.language: {source} knows no word of the training sentences: it has words such as {some}, they "
                f"have {others}; is it spelled otherwise (capitals), or of another language?"
            )
        found["model"] = [sum(word not in there for word in said), len(said)]
    return found


def _language(
    task: Search, examples: Utterances, texts: Sequence[str], held: Collection[str]
) -> tuple[list[str], NGram | None, str]:
    """Sentences that were learned from, the model, and where it comes from."""
    if task.order == 0:
        return [], None, "none"
    if task.language == "training":
        return [], build([text.split() for text in texts], task.order), f"{len(texts)} training sentences"
    if task.language == "grammar":
        drawn = _drawn(examples, held)
        name = f"{len(drawn)} fresh sentences of the simulation's grammar"
        return drawn, build([text.split() for text in drawn], task.order), name
    path = Path(task.language)
    if path.suffix == ".arpa" or arpa.is_arpa(path):
        return [], arpa.read(path), path.name
    lines = [" ".join(words) for words in corpus.sentences(path)]
    return lines, build([line.split() for line in lines], task.order), path.name


def _listed(path: Path, characters: str) -> tuple[str, ...]:
    """The first words of a file's lines, as they are spelled here, without braces, pronunciations and their numbers.

    Raises:
        InputError: it cannot be read, or a line begins with a word that cannot be spelled.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"train.lexicon: {path} is no text that can be read ({error})") from None
    found = set()
    for number, line in enumerate(lines, 1):
        first = re.sub(r"\(\d+\)$", "", (line.split() or [""])[0].strip("{}"))
        if any(sign.isalnum() for sign in first):  # others stand for silence
            word = normalise(first)
            letters(word, f"{path}:{number}", characters)
            found.update(word.split())
    if not found:
        raise InputError(f"train.lexicon: {path} holds no words")
    return tuple(sorted(found))


def _drawn(examples: Utterances, held: Collection[str]) -> list[str]:
    """Fresh sentences of the grammar that a simulated corpus was drawn from, none of those held out."""
    from myoflow.simulate.speech.grammar import sample

    name, seed = _grammar(examples)
    return sample(name, DRAWS, seed + 1, held)


def _grammar(examples: Utterances) -> tuple[str, int]:
    """Grammar and seed of a simulated corpus. Raises InputError: it is a real one."""
    card = load_card(examples.dataset)
    if card.reader != "simulated_speech":
        raise InputError("train.language: grammar is for simulated corpora; use training, or a file of sentences")
    return str(card.options.get("grammar", "dates")), int(card.options.get("seed", 1))


def chance(known: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Word error rates of `texts` for one who knows the training sentences `known` and no signal: who says nothing, and
    who says their most frequent word as often as they have words on average."""
    words = Counter(word for text in known for word in text.split())
    if not words:
        return {"empty": 1.0}
    best = min(words, key=lambda word: (-words[word], word))
    guess = " ".join([best] * max(1, round(words.total() / len(known))))
    found = [errors(text, guess) for text in texts]
    rate = sum(e.wrong for e in found) / max(1, sum(e.words for e in found))
    return {"empty": 1.0, "word": best, "unigram": round(rate, 4)}


def log_softmax(logits: Array) -> Array:
    """Log-probabilities along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), np.float32)
