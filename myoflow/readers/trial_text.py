"""trial_text: folders of delimited text, one trial or series a file, described by a card alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed, sha256
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording
from myoflow.typed import Mismatch, frozen

if TYPE_CHECKING:
    from myoflow.card import Card

_PLACE = re.compile(r"\{(\w+)\}")
_WHOLE = 1e-3  # how far from a whole count a value may be


@frozen
class Options:
    """How the files are named and laid out.

    `pattern` is searched in each file's path and ends with it; its named groups fill the `{name}`s of `subject`,
    `session`, `run`, `label` and `repetition` (a group that did not take part is empty) and of texts in
    `attributes`, which use BIDS-EMG's names. Files that it does not match are left alone.

    `columns` are the file's, all of them and in order; those that bear the names of the card's channels are the signal.
    `header`: the first line must name them. `time` is a column in whole milliseconds. `labels` translates the
    file's words to the card's. A `label_column` marks spans within a file; without it, `label` is the whole file's,
    and an empty one means that the file is not labelled. With both, they must agree.

    `range` says which counts there can be, `step` what number in the file is one count (all must be whole
    multiples of it) and `gain` what a count is in the card's units. Without `range` the file's numbers are kept, as
    float32. `rows`: each file has so many. `closed`: files end in a line end, so one that does not is cut off.
    """

    pattern: str
    columns: tuple[str, ...]
    range: tuple[int, int] | None = None
    subject: str = "01"
    session: str = "01"
    run: str = "1"
    label: str = ""
    repetition: str = ""
    labels: dict[str, str] = attrs.Factory(dict)
    label_column: str | None = None
    time: str | None = None
    header: bool = False
    delimiter: str = ","
    step: float = 1.0
    gain: float = 1.0
    rows: int | None = None
    closed: bool = True
    attributes: dict[str, Any] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise Mismatch(f"is not a regular expression: {error}", ("pattern",)) from None
        texts = {name: getattr(self, name) for name in ("subject", "session", "run", "label", "repetition")}
        texts |= {f"attributes.{name}": text for name, text in self.attributes.items() if isinstance(text, str)}
        for name, text in texts.items():
            for group in _PLACE.findall(text):
                if group not in groups:
                    raise Mismatch(f"the pattern has no group '{group}'", tuple(name.split(".")))
        for name in ("label_column", "time"):
            if getattr(self, name) not in (None, *self.columns):
                raise Mismatch(f"'{getattr(self, name)}' is not one of the columns", (name,))
        if self.range and not -(2**31) <= self.range[0] < self.range[1] < 2**31:
            raise Mismatch("must rise, within 32 bits", ("range",))
        if not (self.step > 0 and self.gain > 0):
            raise Mismatch("must be above zero", ("step" if not self.step > 0 else "gain",))
        if not self.delimiter:
            raise Mismatch("is empty", ("delimiter",))


@attrs.frozen(eq=False)
class Table:
    """One file: `values` `(row, channel)`, counts or float32; `time` in ms and `words`, the label column, `(row,)`."""

    values: npt.NDArray[np.signedinteger[Any]] | npt.NDArray[np.float32]
    time: npt.NDArray[np.int32] | None
    words: list[str] | None


@READERS.add("trial_text")
class TrialText(Reader):
    """One recording a file; its place in the study is in its path, its label there or in a column."""

    Options = Options

    def __init__(self, card: Card) -> None:
        try:
            super().__init__(card)
        except Mismatch as error:
            at = ".".join(str(part) for part in ("options", *error.path))
            raise InputError(f"dataset {card.name}: {at}: {error}") from error
        options: Options = self.options
        for channel in card.channels:
            if channel not in options.columns:
                raise InputError(f"dataset {card.name}: options.columns: there is no column for channel {channel}")
        for word, label in options.labels.items():
            if label not in card.labels:
                raise InputError(f"dataset {card.name}: options.labels.{word}: '{label}' is not one of its labels")

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        options: Options = self.options
        pattern = re.compile(options.pattern)
        found: dict[str, tuple[str, re.Match[str]]] = {}
        for name in source.names:
            match = pattern.search(name)
            if match is None or match.end() != len(name):
                continue
            place = source.place / name
            parts = [
                f"{prefix}-{_bids(fill(getattr(options, field), match), field, str(place))}"
                for prefix, field in (("sub", "subject"), ("ses", "session"), ("run", "run"))
            ]
            identity = "/".join(parts)
            if identity in found:
                raise InputError(f"{source.place} has two files for {identity}: {found[identity][0]} and {name}")
            found[identity] = (name, match)
        if not found:
            expected = self.card.files or f"files named as {options.pattern}"
            raise InputError(f"{source.place}: expected {expected}; found {source.brief()}")
        for identity, (name, match) in sorted(found.items()):
            if wanted is None or wanted(identity.split("/")[0].removeprefix("sub-")):
                groups = {key: value or "" for key, value in match.groupdict().items()}
                short = match.group(0).lstrip("/")
                job = partial(_recording, self.card, options, identity, groups, short)
                yield Item(identity, job, (name,), source)


def fill(text: str, groups: re.Match[str] | Mapping[str, str]) -> str:
    """`text` with each `{name}` replaced by that group; one that did not take part is empty."""
    return _PLACE.sub(lambda found: groups[found[1]] or "", text)


def _bids(text: str, field: str, where: str) -> str:
    """Letters and digits of `text`, plain numbers with two digits at least."""
    word = "".join(char for char in text if char.isascii() and char.isalnum())
    if not word:
        raise InputError(f"{where}: its path gives no {field}")
    return word.zfill(2) if word.isdigit() and field != "run" else word


def _recording(
    card: Card, options: Options, identity: str, groups: Mapping[str, str], short: str, files: tuple[File, ...]
) -> Recording:
    (file,) = files
    data = file.read()
    table = parse(data, file.where, options, card.channels)
    subject, session, run = (part.split("-", 1)[1] for part in identity.split("/"))
    clock = table.time
    if clock is not None and np.all(np.abs((clock - clock[0]) - np.arange(len(clock)) * 1000 / card.rate) < 1):
        clock = None  # even, at the card's rate: it says nothing more
    attributes = {k: fill(v, groups) if isinstance(v, str) else v for k, v in options.attributes.items()}
    return Recording(
        subject=subject,
        session=session,
        run=run,
        emg=np.ascontiguousarray(table.values.T),
        gain=np.full(len(card.channels), options.gain, np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=_events(card, options, groups, table, file.where),
        units=card.units,
        timestamp_ms=clock,
        attrs=bids_attributes(card) | attributes,
        sources=((short, sha256(data)),),
    )


def _events(card: Card, options: Options, groups: Mapping[str, str], table: Table, where: str) -> Events:
    """Spans of equal words in the label column, or one over the whole file; never those of the unmarked label."""
    ids = {word: card.labels.index(label) for word, label in options.labels.items()}
    ids |= {label: i for i, label in enumerate(card.labels) if label not in ids}
    word, text = fill(options.label, groups), fill(options.repetition, groups)
    words = table.words if table.words is not None else [word] * len(table.values)
    for row in [0, *_changes(words)]:
        at = where if table.words is None else f"{where}:{row + 1 + options.header}"
        if words[row] not in ids and (words[row] or table.words is not None):
            raise InputError(f"{at}: label '{words[row][:40]}' is not one of {listed(list(ids), 12)}")
        if word and words[row] != word:
            raise InputError(f"{at}: label '{words[row][:40]}' in a file of '{word}'")
    if text and not (text.isascii() and text.isdigit() and int(text) < 2**15):
        raise InputError(f"{where}: repetition '{text}' is not a whole number")
    unmarked = -1 if card.unmarked is None else card.labels.index(card.unmarked)
    onset = np.array([0, *_changes(words)], np.int64)
    length = np.diff(np.append(onset, len(words)))
    label = np.array([ids.get(words[row], unmarked) if words[row] else -1 for row in onset], np.int16)
    keep = (label >= 0) & (label != unmarked)
    onset, length, label = onset[keep], length[keep], label[keep]
    seen = np.array([np.count_nonzero(label[: i + 1] == value) for i, value in enumerate(label)], np.int16)
    repetition = np.full(len(label), int(text), np.int16) if text else seen
    return Events(onset, length, label, repetition, card.labels)


def _changes(words: list[str]) -> list[int]:
    return [row for row in range(1, len(words)) if words[row] != words[row - 1]]


def parse(data: bytes, where: str, options: Options, channels: tuple[str, ...]) -> Table:
    """One file's rows.

    Raises:
        InputError: not such a file; names it and the 1-based line.
    """
    rows, first = _rows(data, where, options)
    if options.rows is not None and len(rows) != options.rows:
        raise InputError(
            f"{where}:{len(rows) + first - 1}: {len(rows)} rows, expected {options.rows}; is the file whole?"
        )
    columns = {name: [row[i] for row in rows] for i, name in enumerate(options.columns)}
    values = np.stack([_signal(columns[name], name, where, first, options) for name in channels], axis=1)
    time = None
    if options.time is not None:
        clock, words = _numbers(columns[options.time], options.time, where, first), columns[options.time]
        bad = (clock != np.rint(clock)) | (np.abs(clock) > 2**31 - 1)
        _refuse(where, first, options.time, words, bad, "is no time in whole milliseconds")
        _refuse(where, first, options.time, words, np.diff(clock, prepend=clock[0]) < 0, "goes backwards")
        time = clock.astype(np.int32)
    return Table(values, time, columns.get(options.label_column or ""))


def _signal(words: list[str], name: str, where: str, first: int, options: Options) -> npt.NDArray[Any]:
    """One channel, in the smallest integers that hold its range, or as float32."""
    values = _numbers(words, name, where, first)
    if options.range is None:
        _refuse(where, first, name, words, np.abs(values) > np.finfo(np.float32).max, "is too large")
        return values.astype(np.float32)
    low, high = options.range
    counts = np.rint(values / options.step)
    off = np.abs(values / options.step - counts) > _WHOLE
    _refuse(where, first, name, words, off, f"is not a multiple of {options.step:g}")
    limits = f"is not within {low * options.step:g}..{high * options.step:g}"
    _refuse(where, first, name, words, (counts < low) | (counts > high), limits)
    kind = next(k for k in (np.int8, np.int16, np.int32) if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return counts.astype(kind)


def _rows(data: bytes, where: str, options: Options) -> tuple[list[list[str]], int]:
    """Words of every row, as many as columns, and the line number of the first."""
    if not data.strip():
        raise InputError(f"{where}:1: the file is empty; expected the columns {listed(options.columns, 12)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: is not text (byte 0x{data[error.start]:02x})") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    elif options.closed:
        raise InputError(f"{where}:{len(lines)}: the last line does not end: the file is cut off")
    rows = [[word.strip() for word in line.split(options.delimiter)] for line in lines]
    if options.header and tuple(rows[0]) != options.columns:
        expected = options.delimiter.join(options.columns)
        raise InputError(
            f"{where}:1: expected the columns {expected}, found {listed([word[:40] for word in rows[0]], 12)}"
        )
    first = 1 + options.header
    rows = rows[options.header :]
    if not rows:
        raise InputError(f"{where}:1: there are no rows below the header")
    for number, row in enumerate(rows, start=first):
        if len(row) != len(options.columns):
            count = len(row) if any(row) else 0
            raise InputError(f"{where}:{number}: {count} of {len(options.columns)} values")
    return rows, first


def _numbers(words: list[str], name: str, where: str, first: int) -> npt.NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in words])
        if np.isfinite(values).all() and not any("_" in word for word in words):
            return values
    except ValueError:
        pass
    for line, word in enumerate(words, start=first):
        try:
            good = np.isfinite(float(word)) and "_" not in word
        except ValueError:
            good = False
        if not good:
            raise InputError(f"{where}:{line}: {name} is '{word[:40]}', not a number")
    raise AssertionError("one of the words was no number")


def _refuse(where: str, first: int, name: str, words: list[str], bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{where}:{row + first}: {name} {words[row][:40]} {why}")
