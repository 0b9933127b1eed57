"""Reader: the contract of a raw format, and the registry the readers stand in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

from myoflow.errors import InputError, did_you_mean
from myoflow.readers.source import File, Source, open_source
from myoflow.recording import Recording
from myoflow.registry import Registry
from myoflow.typed import Mismatch, coerce, hints_of

if TYPE_CHECKING:
    from myoflow.card import Card

Subject = Callable[[str], bool]


@frozen(eq=False)
class Item:
    """One recording that can be read. `names` are the raw files it needs; `parse` makes it from them.

    `parse` is picklable, so a worker can run what `load` returns.
    """

    id: str
    parse: Callable[[tuple[File, ...]], Recording]
    names: tuple[str, ...] = ()
    source: Source | None = None

    def load(self) -> Callable[[], Recording]:
        """The rest of the work, with the raw files at hand."""
        source = self.source
        files = tuple(source.file(name) for name in self.names) if source is not None else ()
        return _Parse(self.parse, files)

    def read(self) -> Recording:
        """The recording. Raises InputError naming file and line."""
        return self.load()()


@frozen(eq=False)
class _Parse:
    parse: Callable[[tuple[File, ...]], Recording]
    files: tuple[File, ...]

    def __call__(self) -> Recording:
        return self.parse(self.files)


class Reader:
    """Base of all readers: from a card and raw files to recordings.

    `Options` is a `myoflow.typed.frozen` class; the card's `options` are checked against it. Raise `version` when the
    same files give another recording than before: stores of the old version then refuse to be continued.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    needs_source: ClassVar[bool] = True
    Options: ClassVar[type[Any]]
    bad: dict[str, str] | None = None
    """Recordings whose files are wrong, by name, and why: where a dict stands, `refuse` fills it and nothing stops."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.options = options_of(card, self.Options)

    def open(self, place: Path) -> Source:
        """The raw files at a place. Raises InputError: nothing is there, or what is there is damaged."""
        return open_source(place)

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        """Every recording of the subjects for whom `wanted` holds, in order of id; nothing is parsed yet.

        Raises:
            InputError: files that must be there are not, or others are.
        """
        raise TypeError(f"{type(self).__name__} does not define recordings")

    def refuse(self, name: str, why: str) -> None:
        """Say that one recording's files are wrong. Raises InputError, unless such recordings are to be skipped."""
        if self.bad is None:
            raise InputError(why)
        self.bad[name] = why


READERS: Registry[Reader] = Registry("reader", "myoflow.readers")


def options_of(card: Card, cls: type[Any]) -> Any:
    """A card's `options` as the reader's own class. Raises InputError naming card and key."""
    hints = hints_of(cls)
    values = {}
    for key, value in card.options.items():
        if key not in hints:
            known = ", ".join(hints) or "none"
            close = did_you_mean(str(key), hints)
            raise InputError(f"dataset {card.name}: reader {card.reader} has no option '{key}'{close} Options: {known}")
        try:
            values[key] = coerce(value, hints[key], text=True)
        except Mismatch as error:
            at = ".".join(str(part) for part in ("options", key, *error.path))
            raise InputError(f"dataset {card.name}: {at}: {error}") from error
    return cls(**values)


def bids_attributes(card: Card) -> dict[str, Any]:
    """What a card says about every recording, in BIDS-EMG's names."""
    known: dict[str, Any] = {"RecordingType": "continuous"}
    if card.power_line is not None:
        known["PowerLineFrequency"] = card.power_line
    if card.placement:
        known["EMGPlacementScheme"] = "Other"
        known["EMGPlacementSchemeDescription"] = card.placement
    return known


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(words: Collection[str], count: int = 6) -> str:
    """`a, b, c, ... (9 in all)`."""
    shown = ", ".join(list(words)[:count])
    return shown if len(words) <= count else f"{shown}, ... ({len(words)} in all)"
