"""bids_emg: datasets in BIDS-EMG form: EDF or BDF with tables of channels and events and metadata in JSON.

After BIDS 1.11, "Electromyography": https://bids-specification.readthedocs.io
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from myoflow.errors import InputError
from myoflow.formats import text
from myoflow.formats.base import Mark, Signals, format_of
from myoflow.readers.base import READERS, Item, Reader, Subject
from myoflow.readers.files import Names, recording_of
from myoflow.readers.files import Options as FileOptions
from myoflow.readers.source import File, Source
from myoflow.recording import Recording
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

_FILE = re.compile(r"(?:^|/)((?:[a-zA-Z]+-[0-9a-zA-Z]+_)+)emg\.(edf|bdf)$")
_ENTITY = re.compile(r"([a-zA-Z]+)-([0-9a-zA-Z]+)")
_RUN = ("task", "acq", "run", "recording")  # what tells one subject's files of a session apart
_SKIPPED = ("derivatives/", "sourcedata/", "code/", "stimuli/")
_HEADER_TOLERANCE = 1e-4
_KINDS = ("channels.tsv", "events.tsv", "emg.json")
_STATED = (
    "InstitutionName",
    "Manufacturer",
    "ManufacturersModelName",
    "EMGReference",
    "EMGGround",
    "EMGPlacementScheme",
    "EMGPlacementSchemeDescription",
    "HardwareFilters",
    "SoftwareFilters",
    "PowerLineFrequency",
    "RecordingType",
    "TaskName",
    "TaskDescription",
    "Instructions",
    "InterelectrodeDistance",
)


@frozen
class Options:
    """`task` and `recording` choose among the files (default: all that there are).

    `label_column` is the column of the events' table that names them; `labels` translates its words to the card's.
    `until_next`: an event lasts until the next one, whatever its duration. `attributes` are added to the files'.
    """

    task: str | None = None
    recording: str | None = None
    label_column: str = "trial_type"
    labels: dict[str, str] = attrs.Factory(dict)
    until_next: bool = False
    attributes: dict[str, Any] = attrs.Factory(dict)


@READERS.add("bids_emg")
class BidsEmg(Reader):
    """One recording a file. A table or JSON holds for every file below it whose name has all of its parts."""

    Options = Options

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        options: Options = self.options
        found: dict[str, tuple[str, Names]] = {}
        for name in source.names:
            match = _FILE.search(name)
            if match is None or any(f"/{part}" in f"/{name}" for part in _SKIPPED):
                continue
            parts = dict(_ENTITY.findall(match[1]))
            if "sub" not in parts:
                raise InputError(f"{source.place}: {name} has no sub-<label> in its name")
            if any(
                want not in (None, parts.get(key))
                for key, want in (("task", options.task), ("recording", options.recording))
            ):
                continue
            run = "".join(parts[key] for key in _RUN if key in parts) or "1"
            place = Names(parts["sub"], parts.get("ses", "01"), run, "", 0)
            identity = f"sub-{place.subject}/ses-{place.session}/run-{place.run}"
            if identity in found:
                raise InputError(f"{source.place}: {found[identity][0]} and {name} are both {identity}")
            found[identity] = (name, place)
        if not found:
            raise InputError(f"{source.place}: expected sub-*_task-*_emg.edf or .bdf; found {source.brief()}")
        sidecars = [name for name in source.names if name.endswith(_KINDS)]
        for identity, (name, place) in sorted(found.items()):
            if wanted is None or wanted(place.subject):
                names = (name, *_inherited(source, name, sidecars))
                yield Item(identity, partial(_recording, self.card, options, place), names, source)


def _inherited(source: Source, name: str, sidecars: list[str]) -> list[str]:
    """The tables and JSON that hold for a file: in its folder or above, no parts in the name that it lacks.

    Of tables the nearest counts; JSON are all given, the nearest last.
    """
    own = set(_ENTITY.findall(name.rsplit("/", 1)[-1]))
    folder = name.rpartition("/")[0]
    fit = []
    for other in sidecars:
        place, _, last = other.rpartition("/")
        below = not place or folder == place or folder.startswith(place + "/")
        if below and set(_ENTITY.findall(last)) <= own:
            fit.append((len(place), len(_ENTITY.findall(last)), other))
    out = []
    for kind in _KINDS:
        members = [
            other
            for _, _, other in sorted(fit)
            if other.endswith("_" + kind) or other.endswith("/" + kind) or other == kind
        ]
        out += members if kind.endswith(".json") else members[-1:]
    return out


def _recording(card: Card, options: Options, place: Names, files: tuple[File, ...]) -> Recording:
    file = files[0]
    signals = format_of(file).read(file, in_blocks=True)
    metadata: dict[str, Any] = {}
    for other in files[1:]:
        if other.name.endswith("channels.tsv"):
            signals = _with_channels(signals, rows(other), other.where, file.where)
        elif other.name.endswith("events.tsv"):
            signals = attrs.evolve(signals, events=_marks(rows(other), options.label_column, other.where))
        else:
            metadata |= _json(other)
    stated = metadata.get("SamplingFrequency")
    if isinstance(stated, int | float) and not 0 < stated < 1e9:
        raise InputError(f"{file.where}: its JSON says that it is recorded at {str(stated)[:40]} Hz")
    if (
        isinstance(stated, int | float)
        and signals.rate_hz
        and abs(stated - signals.rate_hz) > _HEADER_TOLERANCE * stated
    ):
        raise InputError(f"{file.where}: is recorded at {signals.rate_hz:g} Hz, its JSON says {stated:g} Hz")
    known = {key: metadata[key] for key in _STATED if key in metadata and metadata[key] != ""}
    how = FileOptions(
        pattern="",
        labels_from="events" if signals.events else "none",
        labels=options.labels,
        until_next=options.until_next,
        attributes=known | options.attributes,
    )
    return recording_of(card, how, place, signals, files)


def _with_channels(signals: Signals, table: list[Mapping[str, str]], where: str, file: str) -> Signals:
    """The file's channels under the names of the table, which has a row for each, in their order."""
    blocks = (signals, *signals.streams.values())
    count = sum(len(block.channels) for block in blocks)
    names = [row.get("name", "") for row in table]
    if len(blocks) == 1 and len(names) == count and len(set(names)) == count and all(names):
        return attrs.evolve(signals, channels=tuple(names))
    known = {name for block in blocks for name in block.channels}
    lost = [name for name in names if name not in known]
    if lost:
        raise InputError(
            f"{where}: channel '{lost[0]}' is not in {file}, which has {count} channels for {len(names)} rows"
        )
    return signals


def _marks(table: list[Mapping[str, str]], column: str, where: str) -> tuple[Mark, ...]:
    marks = []
    for number, row in enumerate(table, 2):
        try:
            onset, length = float(row["onset"]), row.get("duration", "n/a")
            seconds = 0.0 if length in ("n/a", "") else float(length)
            if not (math.isfinite(onset) and math.isfinite(seconds)):
                raise ValueError("not finite")
        except (KeyError, ValueError) as error:
            raise InputError(f"{where}:{number}: has no onset and duration in seconds") from error
        if column not in row:
            raise InputError(f"{where}:1: has no column '{column}'; it has {', '.join(row)}")
        if row[column] not in ("n/a", ""):
            times = row.get("repetition", "")
            marks.append(Mark(onset, seconds, row[column], int(times) if times.isdecimal() and len(times) < 5 else 0))
    return tuple(sorted(marks, key=lambda mark: mark.onset_s))


def rows(file: File) -> list[Mapping[str, str]]:
    """A .tsv file's rows by column. Raises InputError naming the line."""
    lines = [line.rstrip("\n") for line in text.decode(file.read(), file.where).split("\n")]
    names = lines[0].split("\t")
    out: list[Mapping[str, str]] = []
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            fields = line.split("\t")
            if len(fields) != len(names):
                raise InputError(f"{file.where}:{number}: has {len(fields)} fields, expected {len(names)}")
            out.append(dict(zip(names, (field.strip() for field in fields), strict=True)))
    return out


def _json(file: File) -> dict[str, Any]:
    try:
        known = json.loads(text.decode(file.read(), file.where), parse_constant=_finite, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise InputError(f"{file.where}:{error.lineno}: is no JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        raise InputError(f"{file.where}: is no JSON: {error}") from error
    if not isinstance(known, dict):
        raise InputError(f"{file.where}:1: is no JSON object")
    return known


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word[:40]} is no number")
    return value
