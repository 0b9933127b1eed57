"""ninapro_mat: the NinaPro databases, one .mat file per subject and exercise, acquisition, or day and time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import field

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, sha256
from myoflow.readers.matlab import Mat, load
from myoflow.readers.source import File, Source
from myoflow.readers.spans import rest_before, spans
from myoflow.recording import Events, Recording, Stream
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

Array = npt.NDArray[Any]

_FILE = re.compile(r"(?:^|/)S(\d{1,3})_(?:A(\d{1,2})_E(\d{1,2})|E(\d{1,2})_A(\d{1,2}))\.mat$", re.IGNORECASE)
_DAY_FILE = re.compile(r"(?:^|/)S(\d{1,3})_D(\d{1,2})_T([12])\.mat$", re.IGNORECASE)
_REPETITION = {"restimulus": "rerepetition", "stimulus": "repetition"}
_PERSON = ("age", "gender", "laterality", "height", "weight", "circumference")
_UNEVEN = 0.01  # share of rows by which variables of one file may differ in length

# From 18 glove angles to five degrees of actuation, in degrees: Krasoulis et al. 2019 (Front. Neurosci. 13:891),
# supplement, equation S2. Rows are the angles in the glove's order; the names follow from which joints are weighted.
ACTUATION = ("thumb_rotation", "thumb_flexion", "index_flexion", "middle_flexion", "ring_little_flexion")
_WEIGHTS = (
    {0: 0.639, 1: 0.383, 3: -0.639, 16: -0.19},
    {2: 1.0},
    {4: 0.4, 5: 0.6},
    {6: 0.4, 7: 0.6},
    {9: 0.1667, 10: 0.3333, 12: 0.1667, 13: 0.3333},
)
GLOVE_ANGLES = 18


@frozen
class Options:
    """How one database differs from the others.

    `exercises` is the number of movements in each exercise; the labels of exercise 2 follow those of exercise 1 and so
    on, whether the file starts again at 1 or goes on. `values` are the numbers used for the movements where they are
    neither. `labels` chooses which labelling makes the events: `restimulus` (corrected to the real movement) or
    `stimulus` (as shown); the other one stays as a stream. `rest: next` gives rest without repetition that of the next
    movement, `file` leaves it. `storage` is how values are kept, in steps of `step` for integers. `drop` are
    columns of `emg` to leave out (from 0). `streams` are other variables and their units. `actuation` adds the stream
    `kinematics`, five degrees of actuation made from the glove. `check` are variables that must agree with the file's
    name. `sessions` says what a file's name counts. `attributes` are added to every recording; use BIDS-EMG's names.
    """

    exercises: tuple[int, ...]
    storage: Literal["int8", "int16", "int32", "float32"] = "float32"
    step: float = 1.0
    values: tuple[int, ...] = ()
    labels: Literal["restimulus", "stimulus"] = "restimulus"
    rest: Literal["next", "file"] = "next"
    drop: tuple[int, ...] = ()
    streams: dict[str, str] = field(factory=dict)
    actuation: bool = False
    check: tuple[str, ...] = ("subject",)
    sessions: Literal["acquisition", "day_time"] = "acquisition"
    attributes: dict[str, Any] = field(factory=dict)


@READERS.add("ninapro_mat")
class NinaproMat(Reader):
    """Every sample as published, with events that cover all of it: rest is a class.

    `S1_A1_E2.mat` and `S1_E2_A1.mat` become session 1, run 2 (a run is an exercise); `S1_D2_T1.mat` becomes session 3
    (two a day). Gloves and inertial sensors were brought to the EMG's rate by the authors and stay so.
    """

    Options = Options

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[tuple[str, str, str], str] = {}
        for name in source.names:
            key = _key(name, self.options.sessions)
            if key is None:
                continue
            if key in found:
                raise InputError(f"{source.place} has two files for one recording: {found[key]} and {name}")
            found[key] = name
        if not found:
            form = "S1_D1_T1.mat" if self.options.sessions == "day_time" else "S1_E1_A1.mat or S1_A1_E1.mat"
            raise InputError(f"{source.place}: expected files such as {form} (in any folders); found {source.brief()}")
        for (subject, session, run), name in sorted(found.items()):
            if wanted is None or wanted(subject):
                yield Item(
                    id=f"sub-{subject}/ses-{session}/run-{run}",
                    parse=partial(_recording, self.card, self.options, subject, session, run),
                    names=(name,),
                    source=source,
                )


def _key(name: str, sessions: str) -> tuple[str, str, str] | None:
    """Subject, session and run by a file's name."""
    if sessions == "day_time":
        match = _DAY_FILE.search(name)
        return (match[1].zfill(2), f"{2 * int(match[2]) + int(match[3]) - 2:02d}", "1") if match else None
    match = _FILE.search(name)
    if match is None:
        return None
    acquisition, exercise = match[2] or match[5], match[3] or match[4]
    return match[1].zfill(2), acquisition.zfill(2), str(int(exercise))


def _recording(
    card: Card, options: Options, subject: str, session: str, run: str, files: tuple[File, ...]
) -> Recording:
    (file,) = files
    data = file.read()
    wanted = {"emg", "subj", "subject", "exercise", "frequency", *_PERSON, *_REPETITION, *_REPETITION.values()}
    mat = load(file, data, wanted | set(options.streams) | ({"glove"} if options.actuation else set()))
    _agree(card, options, mat, subject, run)
    mat.matrix("emg", len(card.channels) + len(options.drop))  # another database shows here first
    repairs: list[str] = []
    rows = _rows(options, mat, repairs)
    emg = _emg(card, options, mat, repairs)[:, :rows]
    known = {name: mat.scalar(name) for name in _PERSON if name in mat}
    person = {name: value for name, value in known.items() if isinstance(value, str) or np.isfinite(value)}
    return Recording(
        subject=subject,
        session=session,
        run=run,
        emg=np.ascontiguousarray(emg),
        gain=np.full(len(emg), 1.0 if options.storage == "float32" else options.step, np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=_events(card, options, mat, int(run), rows),
        units=card.units,
        streams=_streams(card, options, mat, rows, repairs),
        attrs=bids_attributes(card) | ({"Participant": person} if person else {}) | options.attributes,
        sources=((file.name.split("/")[-1], sha256(data)),),
        repairs=tuple(repairs),
    )


def _rows(options: Options, mat: Mat, repairs: list[str]) -> int:
    """Rows that all variables have. They may differ by little: some published files do."""
    lengths = {name: len(mat.matrix(name)) for name in ("emg", *options.streams) if name in mat or name == "emg"}
    labels = {name for pair in _REPETITION.items() for name in pair}
    needed = {options.labels, _REPETITION[options.labels]}
    lengths |= {name: len(mat.column(name)) for name in sorted(labels) if name in mat or name in needed}
    rows, least = lengths["emg"], min(lengths.values())
    for name, length in lengths.items():
        if abs(length - rows) > _UNEVEN * rows:
            raise InputError(f"{mat.where}: variable {name} has {length:,} rows, but emg has {rows:,}")
    if least < max(lengths.values()):
        uneven = ", ".join(f"{name} {length}" for name, length in lengths.items() if length != least)
        repairs.append(f"variables differ in length ({uneven}): only the first {least} rows are kept")
    return least


def _agree(card: Card, options: Options, mat: Mat, subject: str, run: str) -> None:
    """Refuse a file whose own variables say that it is another one."""
    name_says = {"subject": int(subject), "subj": int(subject), "exercise": int(run)}
    for name in options.check:
        if name not in name_says:
            raise InputError(f"dataset {card.name}: options.check: '{name}' is not one of {', '.join(name_says)}")
        if name in mat and mat.scalar(name) != name_says[name]:
            raise InputError(
                f"{mat.where}: variable {name} is {mat.scalar(name)}, but the file's name says {name_says[name]}. "
                f"If the name is right, take '{name}' out of options.check in the dataset's card"
            )
    if "frequency" in mat and mat.scalar("frequency") != card.rate:
        raise InputError(f"{mat.where}: is sampled at {mat.scalar('frequency')} Hz, {card.name} at {card.rate:g} Hz")


def _emg(card: Card, options: Options, mat: Mat, repairs: list[str]) -> Array:
    """EMG `(channel, row)` in its storage type."""
    values = mat.matrix("emg")
    for column in sorted(set(options.drop)):
        if not 0 <= column < values.shape[1]:
            raise InputError(f"dataset {card.name}: options.drop: emg has no column {column}")
        left = np.nan_to_num(values[:, column])
        if np.any(left != left[0]):
            repairs.append(f"emg column {column} (from 0) left out although it is not constant")
    values = np.delete(values, sorted(set(options.drop)), axis=1).T
    if options.storage == "float32":
        gaps = ~np.isfinite(values)
        out = values.astype(np.float32)
        if not np.array_equal(out, values, equal_nan=values.dtype.kind == "f"):
            repairs.append("emg rounded from double to single precision")
        if gaps.any():
            repairs.append(f"emg: {np.count_nonzero(gaps)} values are not finite: set to 0")
            out[gaps] = 0
        return out
    counts = values / options.step
    whole = np.rint(counts)
    most = np.iinfo(options.storage)
    with np.errstate(invalid="ignore"):
        bad = ~((np.abs(counts - whole) < 1e-3) & (whole >= most.min) & (whole <= most.max))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad.T)[0])
        raise InputError(
            f"{mat.where}: variable emg row {row + 1} column {column + 1} is {values[column, row]:g}, not a multiple "
            f"of {options.step:g} that fits {options.storage}; options.storage: float32 keeps any value"
        )
    return whole.astype(options.storage)


def _events(card: Card, options: Options, mat: Mat, exercise: int, rows: int) -> Events:
    """Events by the chosen labelling, rest included."""
    label = _numbered(card, options, mat, mat.column(options.labels)[:rows], exercise)
    repetition = mat.column(_REPETITION[options.labels])[:rows]
    return spans(label, rest_before(label, repetition) if options.rest == "next" else repetition, card.labels)


def _numbered(card: Card, options: Options, mat: Mat, value: Array, exercise: int) -> npt.NDArray[np.int16]:
    """The file's label numbers as indices of the card's labels."""
    if not 1 <= exercise <= len(options.exercises):
        raise InputError(f"{mat.where}: there is no exercise {exercise}; {card.name} has {len(options.exercises)}")
    first, count = sum(options.exercises[: exercise - 1]), options.exercises[exercise - 1]
    if first + count >= len(card.labels):
        raise InputError(f"dataset {card.name}: its labels end before exercise {exercise}; options.exercises is wrong")
    seen = set(np.unique(value[value > 0]).tolist())
    ways = {tuple(range(1, count + 1)), tuple(range(first + 1, first + count + 1))}
    if options.values:
        ways = {options.values}
    fits = [way for way in sorted(ways) if seen <= set(way)]
    if len(fits) != 1 and seen:
        shown = ", ".join(str(i) for i in sorted(seen))
        forms = " or ".join(f"{min(way)}..{max(way)}" for way in sorted(ways))
        why = f"exercise {exercise} of {card.name} has {forms}" if not fits else f"they could mean {forms}"
        raise InputError(f"{mat.where}: variable {options.labels} has the labels {shown}; {why}")
    table = np.zeros(max(fits[0]) + 1, np.int16)
    table[list(fits[0])] = np.arange(first + 1, first + count + 1)
    return table[value]


def _streams(card: Card, options: Options, mat: Mat, rows: int, repairs: list[str]) -> dict[str, Stream]:
    """The other variables as the file has them, and the other labelling; what this file lacks is left out."""
    found: dict[str, Stream] = {}
    for name, units in options.streams.items():
        if name not in mat:
            continue
        values = mat.matrix(name)[:rows]
        if values.dtype == np.float64:
            single = values.astype(np.float32)
            values = single if np.array_equal(single, values, equal_nan=True) else values
        channels = tuple(f"{name}{i + 1:02d}" for i in range(values.shape[1]))
        found[name] = Stream(np.ascontiguousarray(values.T), card.rate, units, channels)
        if values.dtype.kind == "f" and (gaps := np.isnan(values).any(axis=1)).any():
            repairs.append(f"{name}: {np.count_nonzero(gaps)} of {rows} rows have NaN: kept")
    if options.actuation and "glove" in mat:
        angles = mat.matrix("glove", GLOVE_ANGLES)[:rows].astype(np.float64)
        degrees = np.ascontiguousarray((angles @ actuation_matrix()).T.astype(np.float32))
        found["kinematics"] = Stream(degrees, card.rate, "deg", ACTUATION)
    other = "stimulus" if options.labels == "restimulus" else "restimulus"
    pair = (other, _REPETITION[other])
    if all(name in mat for name in pair):
        found[other] = Stream(np.stack([mat.column(name)[:rows] for name in pair]), card.rate, "n/a", pair)
    return found


def actuation_matrix() -> npt.NDArray[np.float64]:
    """`(18, 5)`: glove angles times this are degrees of actuation. A NaN in any angle makes all five NaN."""
    matrix = np.zeros((GLOVE_ANGLES, len(ACTUATION)))
    for column, weights in enumerate(_WEIGHTS):
        for row, weight in weights.items():
            matrix[row, column] = weight
    return matrix
