"""simulated_speech: a simulated corpus of silent and voiced speech, made file by file and read as Gaddy's set is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject
from myoflow.readers.gaddy import Gaddy
from myoflow.readers.source import File, Source
from myoflow.simulate.speech import corpus, plan
from myoflow.simulate.speech.corpus import Clip
from myoflow.simulate.speech.face import ELECTRODES
from myoflow.simulate.speech.settings import BOOK, Speech

if TYPE_CHECKING:
    from myoflow.card import Card


@READERS.add("simulated_speech")
class SimulatedSpeech(Reader):
    """Recordings of `myoflow.simulate.speech`; the card's options are its settings. Needs no raw files.

    Reading is the reader `gaddy`'s own: ids, streams, events and attributes are those of the real set.
    """

    needs_source = False
    Options = Speech

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        if card.rate != plan.RATE_HZ:
            raise InputError(f"dataset {card.name}: rate is {card.rate:g} Hz, but the simulation has {plan.RATE_HZ:g}")
        if card.channels != tuple(ELECTRODES):
            raise InputError(f"dataset {card.name}: its channels should be {', '.join(ELECTRODES)}")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        settings: Speech = self.options
        if settings.voice == "espeak":
            from myoflow.simulate.speech import espeak

            espeak.require()  # before anything is simulated
        test, dev = plan.held_out(settings)
        told = {
            "Manufacturer": "myoflow simulation",
            "EMGReference": "below the left ear, shared (simulated)",
            "TaskName": "sentences of a grammar, mouthed silently or aloud (simulated)",
        }
        options = {"book": BOOK, "test": list(test), "dev": list(dev), "attributes": told}
        card: Any = self.card
        yield from Gaddy(attrs.evolve(card, options=options)).recordings(Made(settings), wanted)


class Made(Source):
    """The files of a simulated corpus, each made when it is read."""

    def __init__(self, settings: Speech) -> None:
        super().__init__(Path("the simulated corpus"))
        self.settings = settings
        self._known = corpus.names(settings)
        self.names = tuple(self._known)

    def file(self, name: str) -> File:
        return MadeFile(name, f"{self.place}: {name}", settings=self.settings, clip=self._known[name])


@attrs.frozen
class MadeFile(File):
    """A file that is made where it is read, which may be in a worker."""

    settings: Speech = attrs.field(kw_only=True)
    clip: tuple[Clip, str] = attrs.field(kw_only=True)

    def read(self) -> bytes:
        return corpus.content(self.settings, *self.clip) if self.data is None else self.data
