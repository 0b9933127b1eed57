"""Card: what a dataset is, from `datasets/*.yaml`; everything a reader and a reader of the report need."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from myoflow import library
from myoflow.language.build import load_one
from myoflow.split import Split
from myoflow.typed import Hz, Mismatch, frozen

FASTEST_HZ = 1e6


@frozen
class Download:
    """A file to fetch; `unpack` makes a folder of an archive, which readers do not need.

    `bytes`, `sha256` and `md5` where they are published or known from an earlier download.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    unpack: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise Mismatch(f"expected an http(s) address, got '{self.url}'", ("url",))
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise Mismatch("expected 64 hexadecimal digits in lower case", ("sha256",))
        if self.md5 is not None and not re.fullmatch("[0-9a-f]{32}", self.md5):
            raise Mismatch("expected 32 hexadecimal digits in lower case", ("md5",))


@frozen
class CardStream:
    """A signal that recordings have beside the EMG, at its own rate."""

    channels: tuple[str, ...]
    rate: Hz
    units: str = "n/a"


@frozen
class Card:
    """A dataset: origin and licence, how it was recorded, what is wrong with it, and which reader opens it.

    `labels` in their order are the label ids of the store. `unmarked` is the label of samples that nobody marked,
    which is no class to learn. `rate` is the true rate of the information, and `rate_note` how that was found.
    `streams` are signals beside the EMG that `data.target` of a recipe may name.
    `defects` says in words what a user must know. `splits` are the usual ones, by name. `files` says what to
    download and give to `myoflow convert`; `options` are the reader's own. `downloads` are what `myoflow fetch`
    gets, by file name; `login` says why it cannot, where a set wants an account or a signed form.
    """

    name: str
    title: str
    reader: str
    channels: tuple[str, ...]
    rate: Hz
    labels: tuple[str, ...]
    citation: str = ""
    licence: str = ""
    home: str = ""
    options: dict[str, Any] = attrs.Factory(dict)
    subjects: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    placement: str = ""
    units: str = "V"
    rate_note: str = ""
    power_line: Hz | None = None
    unmarked: str | None = None
    defects: tuple[str, ...] = ()
    streams: dict[str, CardStream] = attrs.Factory(dict)
    splits: dict[str, Split] = attrs.Factory(dict)
    files: str = ""
    restrictions: str = ""
    downloads: dict[str, Download] = attrs.Factory(dict)
    login: str = ""

    def __attrs_post_init__(self) -> None:
        if not re.fullmatch(r"[^\W_][\w.-]*", self.name):
            raise Mismatch(f"{self.name!r} is no name: use letters, digits, '_', '-' and '.'", ("name",))
        if not self.rate > 0:
            raise Mismatch(f"must be above zero, got {self.rate:g} Hz", ("rate",))
        if self.rate > FASTEST_HZ:
            raise Mismatch(f"{self.rate:g} Hz is no rate of EMG; give it in Hz, at most {FASTEST_HZ:g}", ("rate",))
        for field in ("channels", "labels"):
            names: tuple[str, ...] = getattr(self, field)
            if not names:
                raise Mismatch("is empty", (field,))
            for i, name in enumerate(names):
                if name in names[:i]:
                    raise Mismatch(f"names '{name}' twice", (field, i))
        if self.unmarked is not None and self.unmarked not in self.labels:
            raise Mismatch(f"'{self.unmarked}' is not one of the labels: {', '.join(self.labels)}", ("unmarked",))

    @property
    def simulated(self) -> bool:
        """Whether the reader makes the recordings itself and needs no files. Raises InputError: no such reader."""
        from myoflow.readers.base import READERS

        return not READERS[self.reader].needs_source

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that can be learnt: all but `unmarked`."""
        return tuple(label for label in self.labels if label != self.unmarked)


def load_card(name: str) -> Card:
    """A dataset's card by name or path.

    Raises:
        InputError: there is none of that name.
        RecipeError: its file is wrong, with line and column.
    """
    path = library.find("datasets", name)
    return _load(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: Path, changed: int) -> Card:
    return load_one(Card, path, "dataset")[0]
