"""epn612: EMG-EPN-612, one file per user: the JSON original, or the authors' conversion to .mat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import field

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, sha256
from myoflow.readers.epn612_files import SETS, Sample, User, parse_json, parse_mat
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording, Stream
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

USERS = 306  # in each of the two groups; numbers of the testing users follow those of the training users
SAMPLES = 150  # of a user in each set
SEEN = 10  # repetitions of a testing user that most papers train on
_JSON = re.compile(r"(?:^|/)user(\d{1,3})/user\1\.json$", re.IGNORECASE)
_MAT = re.compile(r"(?:^|/)user(\d{1,3})/userData\.mat$", re.IGNORECASE)
_GROUP = re.compile(r"training|testing", re.IGNORECASE)
_EXPECTED = "trainingJSON and testingJSON with user1/user1.json.. (or the authors' .mat, user1/userData.mat..)"


@frozen
class Options:
    """`events` chooses what an event is: the whole sample of about 5 s, named by its gesture (`sample`, as the authors
    and most papers do), or only where the hand moves (`ground_truth`; samples of no gesture stay whole).

    `recordings: joined` puts a user's 150 samples of a set end to end: one recording, or two of a testing user's
    training set, whose repetitions up to 10 most papers train on; `sample` makes one of each, with the inertial streams
    (183,600 recordings in all). `group` is what a user belongs to where no folder's name says
    training or testing. `attributes` are added to every recording; use BIDS-EMG's names.
    """

    events: Literal["sample", "ground_truth"] = "sample"
    recordings: Literal["joined", "sample"] = "joined"
    group: Literal["training", "testing"] = "training"
    attributes: dict[str, Any] = field(factory=dict)


@READERS.add("epn612")
class Epn612(Reader):
    """The armband's counts. Session 1 is a user's training set, session 2 the testing set.

    Users 1 to 306 are the training users, 307 to 612 the testing users 1 to 306. Repetitions count per gesture. The
    authors' marking of the movement is the stream `ground_truth`. Testing users' testing samples bear no label in the
    original: they are `unlabelled`. `subset` is what most papers do with a recording: train, valid or test.
    """

    Options = Options
    version = "2"

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        users = _users(source, self.options.group)
        for subject in sorted(users):
            if wanted is not None and not wanted(subject):
                continue
            name, told = users[subject]
            beside = name.rpartition("/")[0] + "/labels.csv" if "/" in name else "labels.csv"
            names = (name, beside) if name.lower().endswith(".mat") and beside in source.names else (name,)
            for session, chosen in enumerate(SETS, start=1):
                for run in _runs(self.options, subject, chosen):
                    yield Item(
                        id=f"sub-{subject}/ses-{session:02d}/run-{run}",
                        parse=partial(_recording, self.card, self.options, subject, chosen, run, told),
                        names=names,
                        source=source,
                    )


def _runs(options: Options, subject: str, chosen: str) -> list[str]:
    """The recordings that a set of a user becomes."""
    if options.recordings == "sample":
        return [f"{number:03d}" for number in range(1, SAMPLES + 1)]
    return ["1", "2"] if _tested(subject, chosen) else ["1"]


def _tested(subject: str, chosen: str) -> bool:
    """Whether papers train on one part of the set and test on the other."""
    return int(subject) > USERS and chosen == SETS[0]


def _subset(subject: str, chosen: str, repetition: int) -> str:
    if _tested(subject, chosen):
        return "train" if repetition <= SEEN else "test"
    if int(subject) > USERS:
        return "unlabelled"
    return "train" if chosen == SETS[0] else "valid"


def _users(source: Source, group: str) -> dict[str, tuple[str, bool]]:
    """File of each subject, and whether a folder told the user's group."""
    found: dict[str, tuple[str, bool]] = {}
    for name in source.names:
        match = _JSON.search(name) or _MAT.search(name)
        if match is None:
            continue
        number = int(match[1])
        if not 1 <= number <= USERS:
            raise InputError(f"{source.place}: {name}: users are numbered 1 to {USERS}")
        above = _GROUP.findall(name[: match.start()]) or _GROUP.findall(source.place.name)
        testing = (above[-1].lower() == "testing") if above else group == "testing"
        subject = f"{number + USERS * testing:03d}"
        if subject in found:
            raise InputError(f"{source.place} has two files for one user: {found[subject][0]} and {name}")
        found[subject] = (name, bool(above))
    if not found:
        raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
    return found


def _recording(
    card: Card,
    options: Options,
    subject: str,
    chosen: str,
    run: str,
    told: bool,
    files: tuple[File, ...],
) -> Recording:
    user, digest = _parsed(files)
    samples = user.sets[chosen]
    repetition = _repetitions(samples)
    repairs = [note for note in user.repairs if note.startswith(chosen)]
    if not told:
        repairs.append(f"no folder says training or testing: taken as a {options.group} user (options.group)")
    alone = options.recordings == "sample"
    if alone:
        if int(run) > len(samples):
            raise InputError(f"{files[0].where}: {chosen} has {len(samples)} samples, there is no number {int(run)}")
        samples, repetition = samples[int(run) - 1 : int(run)], repetition[int(run) - 1 : int(run)]
    else:
        if any(sample.streams for sample in samples):
            repairs.append("inertial streams left out: joined samples would lose their alignment (options.recordings)")
        if _tested(subject, chosen):
            kept = [i for i, count in enumerate(repetition) if (count <= SEEN) == (run == "1")]
            samples, repetition = tuple(samples[i] for i in kept), [repetition[i] for i in kept]
        if not samples:
            raise InputError(f"{files[0].where}: {chosen} has no repetition above {SEEN}; is the file complete?")
    truth = np.concatenate([sample.truth for sample in samples])[None]
    streams = {"ground_truth": Stream(truth, card.rate, "n/a", ("ground_truth",))}
    if alone:
        streams |= samples[0].streams
    kind: dict[str, Any] = {
        "RecordingType": "continuous" if alone else "discontinuous",
        "subset": _subset(subject, chosen, repetition[0]),
    }
    return Recording(
        subject=subject,
        session=f"{SETS.index(chosen) + 1:02d}",
        run=run,
        emg=np.ascontiguousarray(np.concatenate([sample.emg for sample in samples], axis=1)),
        gain=np.ones(len(card.channels), np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=_events(card, options, samples, repetition),
        units=card.units,
        streams=streams,
        attrs=bids_attributes(card) | {"Participant": user.info} | options.attributes | kind,
        sources=(("/".join(files[0].name.split("/")[-2:]), digest),),
        repairs=tuple(repairs),
    )


def _parsed(files: tuple[File, ...]) -> tuple[User, str]:
    """A user's file, read once for all of its recordings."""
    try:
        stats = [file.path.stat() for file in files if file.path is not None]
    except OSError as error:
        raise InputError(f"{files[0].where} cannot be read: {error.strerror or error}") from error
    return _remembered(files, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))


@lru_cache(maxsize=1)
def _remembered(files: tuple[File, ...], changed: tuple[tuple[int, int], ...]) -> tuple[User, str]:
    data = files[0].read()
    if files[0].name.lower().endswith(".json"):
        return parse_json(data, files[0].where), sha256(data)
    return parse_mat(files[0], data, files[1] if len(files) > 1 else None), sha256(data)


def _repetitions(samples: tuple[Sample, ...]) -> list[int]:
    """How often each sample's gesture has occurred up to it."""
    seen: dict[str | None, int] = {}
    out = []
    for sample in samples:
        seen[sample.gesture] = seen.get(sample.gesture, 0) + 1
        out.append(seen[sample.gesture])
    return out


def _events(card: Card, options: Options, samples: tuple[Sample, ...], repetition: list[int]) -> Events:
    rows: list[tuple[int, int, int, int]] = []
    at = 0
    for sample, count in zip(samples, repetition, strict=True):
        length = sample.emg.shape[1]
        label = card.unmarked if sample.gesture is None else sample.gesture
        if label not in card.labels:
            raise InputError(f"dataset {card.name}: its labels lack '{label}'")
        start, end = 0, length
        if options.events == "ground_truth" and sample.truth.any():
            inside = np.flatnonzero(sample.truth)
            start, end = int(inside[0]), int(inside[-1]) + 1
        if label != card.unmarked:
            rows.append((at + start, end - start, card.labels.index(label), count))
        at += length
    columns: npt.NDArray[np.int64] = np.array(rows, np.int64).reshape(-1, 4).T
    return Events(columns[0], columns[1], columns[2].astype(np.int16), columns[3].astype(np.int16), card.labels)
