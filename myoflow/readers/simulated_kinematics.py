"""simulated_kinematics: finger movements with their EMG from the simulator, for trying regression with no download."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject
from myoflow.readers.source import File, Source
from myoflow.recording import Recording
from myoflow.simulate.kinematics import DEGREES, MOVEMENTS, Kinematics, simulate

if TYPE_CHECKING:
    from myoflow.card import Card


@READERS.add("simulated_kinematics")
class SimulatedKinematics(Reader):
    """Recordings of `myoflow.simulate.kinematics`; the card's options are its settings. Needs no raw files."""

    needs_source = False
    Options = Kinematics

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        settings: Kinematics = self.options
        stream = card.streams.get("kinematics")
        for name, promised, given in (
            ("labels", card.labels, ("rest", *MOVEMENTS)),
            ("subjects", card.subjects, settings.subjects),
            ("rate", card.rate, settings.rate_hz),
            ("channels", card.channels, tuple(f"E{n}" for n in range(1, settings.channels + 1))),
            ("streams", stream and (stream.channels, stream.rate), (tuple(DEGREES), settings.angle_hz)),
        ):
            if promised != given:
                raise InputError(f"dataset {card.name}: {name} is {promised}, but its options simulate {given}")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        settings: Kinematics = self.options
        for subject in range(1, settings.subjects + 1):
            if wanted is not None and not wanted(f"{subject:02d}"):
                continue
            for session in range(1, settings.sessions + 1):
                yield Item(
                    id=f"sub-{subject:02d}/ses-{session:02d}/run-1",
                    parse=partial(_recording, settings, subject, session),
                )


def _recording(settings: Kinematics, subject: int, session: int, files: tuple[File, ...]) -> Recording:
    recording = simulate(settings, subject, session)
    return evolve(recording, attrs={"RecordingType": "continuous", **recording.attrs})
