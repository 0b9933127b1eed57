"""cote_allard: the Myo armband set of Cote-Allard and others: headerless int16, one gesture a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import field

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed, sha256
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

CHANNELS = 8
GESTURES = 7
CYCLES = 4
_ROW = 2 * CHANNELS
_FILE = re.compile(
    r"(?:^|/)(PreTraining|Evaluation)Dataset/((?:Female|Male)\d+)/(training0|Test0|Test1)/classe_(\d+)\.dat$"
)
_PARTS = {"PreTraining": "Pre", "Evaluation": "Eval"}
_EXPECTED = "PreTrainingDataset or EvaluationDataset with <Female|Male><n>/<training0|Test0|Test1>/classe_<0..27>.dat"


@frozen
class Options:
    """`attributes` are added to every recording as they are; use BIDS-EMG's names."""

    attributes: dict[str, Any] = field(factory=dict)


@READERS.add("cote_allard")
class CoteAllard(Reader):
    """One recording a file, all of it one gesture: number `i` is gesture `i mod 7` in cycle `i div 7`.

    The two halves of the set number their people alike, so a subject is `PreFemale0` or `EvalFemale0`.
    """

    Options = Options

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        for name, values, count in (("channels", card.channels, CHANNELS), ("labels", card.labels, GESTURES)):
            if len(values) != count:
                raise InputError(f"dataset {card.name}: {name} are {count}, not {len(values)}")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[tuple[str, str], dict[int, str]] = {}
        for name in source.names:
            match = _FILE.search(name)
            if match is None:
                continue
            takes = found.setdefault((_PARTS[match[1]] + match[2], match[3]), {})
            number = int(match[4])
            if number in takes:
                raise InputError(f"{source.place} has the same file twice: {takes[number]} and {name}")
            takes[number] = name
        if not found:
            raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
        for (subject, session), takes in sorted(found.items()):
            if wanted is not None and not wanted(subject):
                continue
            folder = next(iter(takes.values())).rpartition("/")[0]
            odd = sorted(set(takes) - set(range(GESTURES * CYCLES)))
            missing = sorted(set(range(GESTURES * CYCLES)) - set(takes))
            if odd:
                raise InputError(f"{source.place}: {takes[odd[0]]} is none of classe_0 to classe_27")
            if missing:
                raise InputError(
                    f"{source.place}: {folder} lacks {listed([f'classe_{number}.dat' for number in missing])}"
                )
            for number, name in sorted(takes.items()):
                job = partial(_recording, self.card, self.options, subject, session, number)
                yield Item(f"sub-{subject}/ses-{session}/run-{number:02d}", job, (name,), source)


def _recording(
    card: Card, options: Options, subject: str, session: str, number: int, files: tuple[File, ...]
) -> Recording:
    (file,) = files
    data = file.read()
    counts = parse(data, file.where)
    return Recording(
        subject=subject,
        session=session,
        run=f"{number:02d}",
        emg=np.ascontiguousarray(counts.T),
        gain=np.ones(CHANNELS, np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=Events(
            onset=np.zeros(1, np.int64),
            length=np.array([len(counts)], np.int64),
            label=np.array([number % GESTURES], np.int16),
            repetition=np.array([number // GESTURES + 1], np.int16),
            names=card.labels,
        ),
        units=card.units,
        attrs=bids_attributes(card) | options.attributes,
        sources=(("/".join(file.name.split("/")[-4:]), sha256(data)),),
    )


def parse(data: bytes, where: str) -> npt.NDArray[np.int8]:
    """One file's counts `(row, 8)`.

    Raises:
        InputError: not such a file; names it and the byte.
    """
    if not data:
        raise InputError(f"{where}: the file is empty; expected rows of {CHANNELS} int16")
    if len(data) % _ROW:
        end = len(data) - len(data) % _ROW
        raise InputError(
            f"{where}: byte {end}: the last row has {len(data) - end} of {_ROW} bytes; the file is cut off or another"
        )
    counts = np.frombuffer(data, "<i2")
    bad = np.flatnonzero((counts < -128) | (counts > 127))
    if len(bad):
        raise InputError(f"{where}: byte {2 * bad[0]}: {counts[bad[0]]} is no count of the armband (-128..127)")
    return counts.reshape(-1, CHANNELS).astype(np.int8)
