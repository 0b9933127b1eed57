"""uci_text: the UCI set "EMG data for gestures": tab-separated text, one file per series of a subject."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import field
from attrs import frozen as plain_frozen

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed, sha256
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

CHANNELS = tuple(f"channel{i}" for i in range(1, 9))
HEADER = ("time", *CHANNELS, "class")
VOLTS_PER_COUNT = 1e-5  # the authors divided the armband's -128..127 by 1e5 and called it volt
SERIES = ("1", "2")
PAUSE_MS = 100  # a longer gap in the clock is worth telling
_FILE = re.compile(r"(?:^|/)(\d{1,3})/([12])_raw_data_[^/]*\.txt$")
_EXPECTED = "folders 01..36, each with two files 1_raw_data_*.txt and 2_raw_data_*.txt"


@frozen
class Options:
    """`attributes` are added to every recording as they are; use BIDS-EMG's names.

    `class_less` names files (by the end of their path) whose last row is known to stop before its class; in any other
    file such a row is a truncation and an error.
    """

    class_less: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(factory=dict)


@plain_frozen(eq=False)
class Table:
    """One file: `time` in ms `(row,)`, `counts` `(row, 8)`, `label` `(row,)`; `repairs` in words."""

    time: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int8]
    label: npt.NDArray[np.int16]
    repairs: tuple[str, ...]


@READERS.add("uci_text")
class UciText(Reader):
    """Every row as recorded, also the held ones and those of class 0, in the armband's own counts.

    Rows carry a millisecond clock with gaps, kept as `timestamp_ms`. Events are runs of one class above 0, repetitions
    counted per class. In the files of `class_less` a last row cut off before its class counts as class 0.
    """

    Options = Options

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[str, dict[str, str]] = {}
        for name in source.names:
            match = _FILE.search(name)
            if match is None:
                continue
            subject, series = match[1].zfill(2), match[2]
            known = found.setdefault(subject, {})
            if series in known:
                raise InputError(
                    f"{source.place} has two files for subject {subject}, series {series}: {known[series]} and {name}"
                )
            known[series] = name
        if not found:
            raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
        for subject in sorted(found):
            if wanted is not None and not wanted(subject):
                continue
            missing = [series for series in SERIES if series not in found[subject]]
            if missing:
                raise InputError(
                    f"{source.place}: subject {subject} lacks {missing[0]}_raw_data_*.txt; "
                    f"it has only {listed(list(found[subject].values()))}"
                )
            for series in SERIES:
                yield Item(
                    id=f"sub-{subject}/ses-{series.zfill(2)}/run-1",
                    parse=partial(_recording, self.card, self.options, subject, series),
                    names=(found[subject][series],),
                    source=source,
                )


def _recording(card: Card, options: Options, subject: str, series: str, files: tuple[File, ...]) -> Recording:
    (file,) = files
    data = file.read()
    known = any(file.name.endswith(name) for name in options.class_less)
    table = parse(data, file.where, labels=len(card.labels), class_less=known)
    return Recording(
        subject=subject,
        session=series.zfill(2),
        run="1",
        emg=np.ascontiguousarray(table.counts.T),
        gain=np.full(len(CHANNELS), VOLTS_PER_COUNT, np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=runs(table.label, card.labels),
        units=card.units,
        timestamp_ms=table.time,
        attrs=bids_attributes(card) | options.attributes,
        # only folder and file name: the same for the archive and for the folder it unpacks to
        sources=(("/".join(file.name.split("/")[-2:]), sha256(data)),),
        repairs=table.repairs,
    )


def runs(label: npt.NDArray[np.int16], names: tuple[str, ...]) -> Events:
    """Events of the runs of equal label above 0; repetitions count from 1 per label."""
    edges = np.flatnonzero(np.diff(label)) + 1
    onset = np.concatenate(([0], edges)).astype(np.int64)
    length = np.diff(np.concatenate((onset, [len(label)])))
    keep = label[onset] > 0
    kept = label[onset][keep]
    repetition = np.zeros(len(kept), np.int16)
    for value in np.unique(kept):
        repetition[kept == value] = np.arange(1, np.count_nonzero(kept == value) + 1)
    return Events(onset[keep], length[keep].astype(np.int64), kept.astype(np.int16), repetition, names)


def parse(data: bytes, where: str, labels: int = 8, *, class_less: bool = False) -> Table:
    """One file's rows. `labels` is how many classes there are, 0 included; `class_less` mends a cut last row.

    Raises:
        InputError: not such a file; names it and the 1-based line.
    """
    lines, mended = _lines(data, where, class_less)
    try:
        # all of it at once in C; whatever fails is looked up line by line afterwards
        rows = np.loadtxt(lines[1:], delimiter="\t", comments=None, ndmin=2)
    except ValueError:
        _locate(lines, where)
        raise InputError(f"{where}: cannot be read as tab-separated numbers") from None
    if rows.shape != (len(lines) - 1, len(HEADER)) or not np.isfinite(rows).all():
        _locate(lines, where)
    time, counts, label = rows[:, 0], rows[:, 1:9] / VOLTS_PER_COUNT, rows[:, 9]
    whole = np.rint(counts)
    _refuse(where, time != np.rint(time), lines, 0, "is not a whole number of milliseconds")
    _refuse(where, np.abs(time) > 2**31 - 1, lines, 0, "is no time in milliseconds")
    for i in range(len(CHANNELS)):
        off = (np.abs(counts[:, i] - whole[:, i]) > 1e-3) | (whole[:, i] < -128) | (whole[:, i] > 127)
        _refuse(where, off, lines, i + 1, f"is not a multiple of {VOLTS_PER_COUNT:g} within -0.00128..0.00127")
    _refuse(where, ~np.isin(label, np.arange(labels)), lines, 9, f"is not a class from 0 to {labels - 1}")
    back = np.flatnonzero(np.diff(time) < 0)
    if len(back):
        at = int(back[0])
        raise InputError(f"{where}:{at + 3}: time goes backwards, from {time[at]:g} to {time[at + 1]:g} ms")
    clock = time.astype(np.int32)
    repairs = [f"last row (line {len(lines)}) lacks its class: taken as unmarked"] if mended else []
    for row in np.flatnonzero(np.diff(clock) > PAUSE_MS):
        repairs.append(f"the clock jumps by {clock[row + 1] - clock[row]} ms after line {row + 2}: kept as recorded")
    return Table(clock, whole.astype(np.int8), label.astype(np.int16), tuple(repairs))


def _lines(data: bytes, where: str, class_less: bool) -> tuple[list[str], bool]:
    """Lines with the header checked, and whether the last one lacked its class (then given 0)."""
    if not data.strip():
        raise InputError(f"{where}:1: the file is empty; expected the columns {', '.join(HEADER)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: is not text (byte 0x{data[error.start]:02x})") from error
    lines = text.split("\n")
    if not lines[-1].strip("\r"):
        lines.pop()
    header = tuple(word.strip() for word in lines[0].split("\t"))
    if header != HEADER:
        missing = [name for name in HEADER if name not in header]
        what = f"there is no column {missing[0]}" if missing else "the columns are in another order or repeated"
        raise InputError(
            f"{where}:1: {what}; expected {' '.join(HEADER)}, found {listed([word[:40] for word in header], 12)}"
        )
    if len(lines) == 1:
        raise InputError(f"{where}:1: there are no rows below the header")
    last = lines[-1].rstrip("\r\n").split("\t")
    mended = (
        class_less
        and len(lines) > 2
        and len([word for word in last if word]) == len(HEADER) - 1
        and len(last) <= len(HEADER)
    )
    mended = mended and all(last[: len(HEADER) - 1])
    if mended:
        lines[-1] = "\t".join((*last[: len(HEADER) - 1], "0"))
    return lines, mended


def _locate(lines: list[str], where: str) -> None:
    """Raise for the first line that is not ten finite numbers."""
    for i, line in enumerate(lines[1:], start=2):
        words = line.strip("\r").split("\t")
        if len(words) != len(HEADER):
            cut = ": the file is cut off" if i == len(lines) and len(words) < len(HEADER) else ""
            raise InputError(f"{where}:{i}: {len(words) if line.strip() else 0} of {len(HEADER)} values{cut}")
        for name, word in zip(HEADER, words, strict=True):
            try:
                good = np.isfinite(float(word))
            except ValueError:
                good = False
            if not good:
                raise InputError(f"{where}:{i}: {name} is '{word[:40]}', not a number")


def _refuse(where: str, bad: npt.NDArray[np.bool_], lines: list[str], column: int, why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        word = lines[row + 1].strip("\r").split("\t")[column]
        raise InputError(f"{where}:{row + 2}: {HEADER[column]} {word[:40]} {why}")
