"""simulated: gestures from the simulator, for trying everything with no download."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject
from myoflow.readers.source import File, Source
from myoflow.recording import Recording
from myoflow.simulate.gestures import Gestures, simulate

if TYPE_CHECKING:
    from myoflow.card import Card


@READERS.add("simulated")
class Simulated(Reader):
    """Recordings of `myoflow.simulate.gestures`; the card's options are its settings. Needs no raw files."""

    needs_source = False
    Options = Gestures

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        settings: Gestures = self.options
        for name, promised, given in (
            ("labels", card.labels, settings.gestures),
            ("subjects", card.subjects, settings.subjects),
            ("rate", card.rate, settings.rate_hz),
        ):
            if promised != given:
                raise InputError(f"dataset {card.name}: {name} is {promised}, but its options simulate {given}")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        settings: Gestures = self.options
        for subject in range(1, settings.subjects + 1):
            if wanted is not None and not wanted(f"{subject:02d}"):
                continue
            for session in range(1, settings.sessions + 1):
                yield Item(
                    id=f"sub-{subject:02d}/ses-{session:02d}/run-1",
                    parse=partial(_recording, self.card, settings, subject, session),
                )


def _recording(card: Card, settings: Gestures, subject: int, session: int, files: tuple[File, ...]) -> Recording:
    recording = simulate(settings, subject, session)
    if recording.channels != card.channels:
        raise InputError(f"dataset {card.name}: its channels should be {', '.join(recording.channels)}")
    return evolve(recording, attrs={"RecordingType": "continuous", **recording.attrs})
