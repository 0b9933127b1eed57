"""Flashlight: the search of flashlight-text behind the same call as our own, for whoever has it installed.

It is compiled and several times faster with wide beams; it has wheels for few platforms, so nothing here needs it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.text.beam import LN10, SPACE, Decoder, Hypothesis
from myoflow.text.ngram import UNKNOWN

Floats = npt.NDArray[np.floating[Any]]


class Flashlight:
    """A closed-lexicon search with `decoder`'s settings; a language model is given as the ARPA file it came from.

    Raises InputError: flashlight-text is not installed, the decoder has no lexicon, or the file cannot be read.
    """

    def __init__(self, decoder: Decoder, arpa: Path | None = None) -> None:
        try:
            from flashlight.lib.text import decoder as engine
            from flashlight.lib.text import dictionary
        except ImportError as error:
            raise InputError("this search needs the package flashlight-text: pip install flashlight-text") from error
        if decoder.lexicon is None:
            raise InputError("flashlight searches a closed lexicon; give the decoder one")
        symbols = [*("|" if c == SPACE else c for c in decoder.characters), "#"]
        self._words = (*decoder.lexicon, UNKNOWN)
        table = dictionary.Dictionary()
        for word in self._words:
            table.add_entry(word)
        if arpa is not None:
            if not arpa.is_file():
                raise InputError(f"{arpa}: No such file")
            model: Any = engine_kenlm()(str(arpa), table)
        else:
            model = engine.ZeroLM()
        space, blank = symbols.index("|"), len(symbols) - 1
        trie = engine.Trie(len(symbols), space)
        start = model.start(False)
        for number, word in enumerate(decoder.lexicon):
            _, score = model.score(start, number)
            trie.insert([*(decoder.characters.index(c) for c in word), space], number, score)
        trie.smear(engine.SmearingMode.MAX)
        options = engine.LexiconDecoderOptions(
            beam_size=max(decoder.width, 1),
            beam_size_token=len(symbols),
            beam_threshold=50.0,
            lm_weight=decoder.weights.model * LN10 if arpa else 0.0,
            word_score=decoder.weights.bonus,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=engine.CriterionType.CTC,
        )
        unknown = table.get_index(UNKNOWN)
        self._table, self._model, self._trie = table, model, trie  # the engine keeps no hold of them
        self._engine = engine.LexiconDecoder(options, trie, model, space, blank, unknown, [], False)
        self._space = space

    def decode(self, frames: Floats, best: int = 1) -> list[Hypothesis]:
        """As `Decoder.decode`; `frames` of a hypothesis is the engine's own score of the network's output."""
        closing = np.full((1, frames.shape[1]), -100.0)
        closing[0, self._space] = 0.0  # the last word ends with a separator
        table = np.ascontiguousarray(np.concatenate([frames, closing]), np.float32)
        found = self._engine.decode(table.ctypes.data, *table.shape)
        out = [
            Hypothesis(" ".join(self._words[k] for k in one.words if k >= 0), one.score, one.emittingModelScore)
            for one in found[:best]
        ]
        return out or [Hypothesis("", -math.inf, -math.inf)]

    def text(self, frames: Floats) -> str:
        """The best text."""
        return self.decode(frames)[0].text


def engine_kenlm() -> Any:
    """flashlight's KenLM. Raises InputError where it was built without."""
    try:
        from flashlight.lib.text.decoder.kenlm import KenLM
    except ImportError as error:
        raise InputError("this flashlight-text was built without KenLM: leave the language model out") from error
    return KenLM
