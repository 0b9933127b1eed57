"""meta_hdf5: Meta's wristband sets, HDF5 with one compound row a sample: emg2pose, emg2qwerty, neuromotor interface."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.formats.base import guard
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed
from myoflow.readers.meta_files import LAYOUTS, Layout, Row, digest, entries, opened, span, survey, text_of, values_of
from myoflow.readers.pandas_frame import frame
from myoflow.readers.source import File, Source
from myoflow.readers.spans import spans
from myoflow.recording import Events, Recording, Stream
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

TRACKED = ("tracked", "untracked")
PROMPT, STAGE = "prompt", "stage"
_OTHER = {"emg2qwerty": "other_key", "neuromotor": "other"}
_SHIFT = {"Key.shift_l": "Key.shift", "Key.shift_r": "Key.shift"}
_OFF_S = 0.002  # the clock may be this far from an even one before its times are kept
_UNIX = re.compile(r"\d{4}-\d\d-\d\d-(\d{10})(?=-|$)")


@frozen
class Options:
    """`task` (neuromotor only) is the task that a file must name: discrete_gestures, handwriting or wrist.

    `attributes` are added to every recording as they are; use BIDS-EMG's names.
    """

    layout: Literal["emg2pose", "emg2qwerty", "neuromotor"] = "emg2pose"
    task: str = ""
    attributes: dict[str, Any] = attrs.Factory(dict)


@READERS.add("meta_hdf5")
class MetaHdf5(Reader):
    """One recording a file, every sample as published, on the file's own clock.

    emg2pose: `joint_angles` is a stream beside the EMG, sample by sample (double in the file, kept in single
    precision); events cover all: `tracked`, or `untracked` where all 20 angles are zero because no pose was found.
    emg2qwerty: a key is an event from press to release, a prompt an event called `prompt` whose text stands in the
    attribute `prompts`. neuromotor: gestures are events of one sample, prompts and stages are events with their texts
    in the attributes `prompts` and `stages`. Keys and gestures that are not on the card are `other_key` and `other`,
    their names stand in the attribute `other_names`. All of these are in the events' order. What the set's metadata
    file says of a recording is the attribute `metadata`, its split `subset`.
    """

    Options = Options

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        needed = TRACKED if self.options.layout == "emg2pose" else (_OTHER[self.options.layout],)
        for label in needed:
            if label not in card.labels:
                raise InputError(f"dataset {card.name}: layout {self.options.layout} needs the label '{label}'")
        if self.options.layout == "neuromotor" and not self.options.task:
            raise InputError(f"dataset {card.name}: options.task: layout neuromotor needs the task's name")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        layout, options = LAYOUTS[self.options.layout], self.options
        files = [name for name in source.names if name.lower().endswith((".hdf5", ".h5"))]
        lists = [name for name in source.names if re.search(layout.lists.format(task=options.task), name)]
        if not files or (not lists and options.layout != "neuromotor"):
            also = "" if options.layout == "neuromotor" else " and metadata.csv"
            raise InputError(f"{source.place}: expected .hdf5 files{also}; found {source.brief()}")
        known = _metadata(source, lists, layout)
        found: dict[tuple[str, str, str], tuple[str, dict[str, str]]] = {}
        for name in files:
            stem = name.rpartition("/")[2].rpartition(".")[0]
            if options.layout != "neuromotor" and stem not in known:
                raise InputError(f"{source.place}: {name} is not in {listed(lists)}, so whose it is is not known")
            row = known.get(stem, {})
            key = _key(options, stem, row, f"{source.place}: {name}")
            if key in found:
                raise InputError(f"{source.place}: {found[key][0]} and {name} would both be {'/'.join(key)}")
            found[key] = (name, row)
        for key, (name, row) in sorted(found.items()):
            if wanted is None or wanted(key[0]):
                yield Item(
                    id=f"sub-{key[0]}/ses-{key[1]}/run-{key[2]}",
                    parse=partial(_recording, self.card, options, key, row),
                    names=(name,),
                    source=source,
                )


def _metadata(source: Source, names: list[str], layout: Layout) -> dict[str, dict[str, str]]:
    """Rows of the metadata files by the recording's file name. Of several rows, what they agree on."""
    known: dict[str, dict[str, str]] = {}
    for name in names:
        file = source.file(name)
        with guard(file.where, "a table (csv)"):
            rows = csv.DictReader(io.StringIO(file.read().decode("utf-8-sig")), strict=True)
            for row in rows:
                if layout.file not in row or None in row or None in row.values():
                    raise InputError(
                        f"{file.where}:{rows.line_num}: expected {len(rows.fieldnames or ())} columns, one of them "
                        f"{layout.file}"
                    )
                stem = row[layout.file].removesuffix(".hdf5")
                before = known.get(stem, row)
                known[stem] = {name: word for name, word in row.items() if before.get(name) == word}
    return known


def _key(options: Options, stem: str, row: Mapping[str, str], where: str) -> tuple[str, str, str]:
    """Subject, session and run of a file."""
    if options.layout == "neuromotor":
        match = re.fullmatch(rf"{re.escape(options.task)}_user_(\d+)_dataset_(\d+)", stem)
        if match is None:
            raise InputError(f"{where}: expected a name such as {options.task}_user_000_dataset_000.hdf5")
        return match[1], match[2], "1"
    name, _, side = stem.rpartition("_")
    if options.layout == "emg2qwerty" or side not in ("left", "right"):
        name, side = stem, "1"
    unix = _UNIX.match(name) if options.layout == "emg2qwerty" else None
    words = [_plain(row.get("user", "")), unix[1] if unix else _plain(name), side]
    if not all(words):
        raise InputError(f"{where}: has no user in metadata.csv, or a name without letters and digits")
    return words[0], words[1], words[2]


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)


def _recording(
    card: Card, options: Options, key: tuple[str, str, str], row: Mapping[str, str], files: tuple[File, ...]
) -> Recording:
    (file,) = files
    layout = LAYOUTS[options.layout]
    with opened(file) as root:
        seen = survey(card, layout, file, root)
        head = dict(root[layout.table if options.layout == "neuromotor" else options.layout].attrs)
        _agree(card, options, file, head, row, key)
        repairs: list[str] = []
        told = _told(options, file, root, head, repairs)
    samples = len(seen.time)
    clock = _clock(card, file.where, seen.time, repairs)
    if seen.holes:
        repairs.append(f"emg: {seen.holes} values are no numbers: set to 0")
    if options.layout == "emg2pose":
        label = seen.still.astype(np.int16)
        names = [card.labels.index(name) for name in TRACKED]
        events = spans(np.take(names, label), np.zeros(samples, np.int16), card.labels)
        more: dict[str, Any] = {name: text_of(head[name]) for name in ("stage", "side", "session") if name in head}
        more = {"hand" if name == "side" else f"{name}_name": value for name, value in more.items()}
    else:
        events, more = _events(card, options, seen.time, told, repairs)
    streams = {}
    for name in seen.streams:
        units, channels = layout.streams[name]
        streams[name] = Stream(
            values_of(file, layout.table, (name,), (len(channels), samples)), card.rate, units, channels
        )
    if row:
        more |= {"metadata": dict(row)} | ({"subset": row["split"]} if row.get("split") else {})
    return Recording(
        subject=key[0],
        session=key[1],
        run=key[2],
        emg=values_of(file, layout.table, layout.emg, (len(card.channels), samples), fill=True),
        gain=np.ones(len(card.channels), np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=events,
        units=card.units,
        timestamp_ms=clock,
        streams=streams,
        attrs=bids_attributes(card) | {"start_unix_s": float(seen.time[0])} | more | options.attributes,
        sources=((file.name.rpartition("/")[2], digest(file)),),
        repairs=tuple(repairs),
    )


def _agree(
    card: Card,
    options: Options,
    file: File,
    head: Mapping[str, Any],
    row: Mapping[str, str],
    key: tuple[str, str, str],
) -> None:
    """Refuse a file that says itself that it is another one."""
    if options.layout == "neuromotor":
        task = text_of(head.get("task", "nothing"))
        if task != options.task:
            raise InputError(f"{file.where}: its task is '{task}', the card's {options.task}")
        return
    if "sample_rate" in head and float(head["sample_rate"]) != card.rate:
        raise InputError(f"{file.where}: is sampled at {float(head['sample_rate']):g} Hz, {card.name} at {card.rate:g}")
    for name in ("user", "side", "stage"):
        said, listed_as = text_of(head.get(name, "")), row.get(name, "")
        if said and listed_as and said.lstrip("0") != listed_as.lstrip("0"):
            raise InputError(f"{file.where}: its {name} is '{said}', metadata.csv says '{listed_as}'")


def _told(options: Options, file: File, root: Any, head: Mapping[str, Any], repairs: list[str]) -> dict[str, list[Row]]:
    """What a file says of its course: rows of `prompts`, `stages` and single `marks`, by the file's clock."""
    if options.layout == "emg2pose":
        return {}
    if options.layout == "emg2qwerty":
        keys = [span(file, "keystrokes", i, item, "key") for i, item in enumerate(entries(file, head, "keystrokes"))]
        listed_ = entries(file, head, "prompts")
        shown = [item for item in listed_ if isinstance(item, dict) and isinstance(item.get("payload"), dict)]
        if len(shown) < len(listed_):
            repairs.append(f"{len(listed_) - len(shown)} prompts without a text are left out")
        texts = [span(file, "prompts", i, item | item["payload"], "text") for i, item in enumerate(shown)]
        return {"marks": [(a, b, _SHIFT.get(name, name)) for a, b, name in keys], PROMPT: texts}
    out: dict[str, list[Row]] = {"marks": [], PROMPT: [], STAGE: []}
    for group, text, kind in (("prompts", "name", "marks"), ("prompts", "prompt", PROMPT), ("stages", "name", STAGE)):
        if group not in root:
            continue
        columns = frame(root[group])
        begin = columns.get("start", columns.get("time"))
        if text not in columns or begin is None:
            continue
        rows = zip(begin, columns.get("end", begin), columns[text], strict=True)
        out[kind] += [
            span(file, group, i, {"start": a, "end": b, text: word}, text) for i, (a, b, word) in enumerate(rows)
        ]
    if options.task == "discrete_gestures" and "prompts" not in root:
        raise InputError(f"{file.where}: has no table prompts, which says when gestures happened")
    return out


def _events(
    card: Card, options: Options, time: npt.NDArray[np.float64], told: Mapping[str, list[Row]], repairs: list[str]
) -> tuple[Events, dict[str, list[str]]]:
    """Events in order of time, and the texts of those whose label does not say them."""
    other = _OTHER[options.layout]
    names = (*card.labels, *(name for name in (PROMPT, STAGE) if name not in card.labels))
    rows: list[tuple[int, int, int, str]] = []
    outside = 0
    for kind, spans_ in told.items():
        for begin, end, text in spans_:
            onset, stop = (int(i) for i in np.searchsorted(time, (begin, end)))
            if end < time[0] or onset >= len(time):
                outside += 1
                continue
            label = kind if kind != "marks" else text if text in card.labels else other
            rows.append((onset, max(1, stop - onset), names.index(label), text))
    if outside:
        repairs.append(f"{outside} events lie outside the recording and are left out")
    rows.sort(key=lambda row: (row[0], -row[1], row[2]))
    seen: dict[int, int] = {}
    texts: dict[str, list[str]] = {f"{PROMPT}s": [], f"{STAGE}s": [], "other_names": []}
    repetition = []
    for _, _, label_id, text in rows:
        seen[label_id] = min(seen.get(label_id, 0) + 1, 32767)
        repetition.append(seen[label_id])
        kind = "other_names" if names[label_id] == other else f"{names[label_id]}s"
        if kind in texts:
            texts[kind].append(text)
    onset_, length, label_, _ = zip(*rows, strict=True) if rows else ((), (), (), ())
    events = Events(
        np.array(onset_, np.int64),
        np.array(length, np.int64),
        np.array(label_, np.int16),
        np.array(repetition, np.int16),
        names,
    )
    return events, {name: words for name, words in texts.items() if words}


def _clock(card: Card, where: str, time: npt.NDArray[np.float64], repairs: list[str]) -> npt.NDArray[np.int32] | None:
    """The file's times in ms, where they are not those of an even clock."""
    since = time - time[0]
    off = float(np.abs(since - np.arange(len(time)) / card.rate).max())
    if off <= _OFF_S:
        return None
    repairs.append(f"its clock is up to {off:.3g} s from an even {card.rate:g} Hz: time stamps are kept, in ms")
    if since[-1] * 1e3 >= 1 << 31:
        raise InputError(f"{where}: its times span {since[-1] / 86400:.0f} days; this is no recording")
    stamps: npt.NDArray[np.int32] = np.rint(since * 1e3).astype(np.int32)
    return stamps
