"""Corpus: sentences of a text file, one a line, as the words that a language model is built from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from myoflow.errors import InputError
from myoflow.text.arpa import is_arpa
from myoflow.text.spelling import normalise


def sentences(path: Path, *, dashes: Any = "part", digits: Any = "keep", raw: bool = False) -> list[list[str]]:
    """Words of each line that has some; normalised as `spelling.normalise` does unless `raw`.

    Raises:
        InputError: no such file, no text (UTF-8), a language model, or no line with a word.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is no UTF-8; give plain text") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a file of sentences, one a line") from None
    if is_arpa(path):
        raise InputError(f"{path} is a language model already (ARPA); give a file of sentences, one a line")
    words = [(line if raw else normalise(line, dashes=dashes, digits=digits)).split() for line in lines]
    found = [line for line in words if line]
    if not found:
        raise InputError(f"{path} has no line with a word")
    return found
