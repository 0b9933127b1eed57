"""files: a laboratory's own files of any known format, described by a card alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError, did_you_mean
from myoflow.formats.base import FORMATS, Mark, Signals, find_format, format_of, guard
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed
from myoflow.readers.source import ARCHIVES, File, Source, open_source
from myoflow.readers.spans import spans
from myoflow.recording import Blocks, Events, RawArray, Recording, Stream
from myoflow.typed import Mismatch, frozen
from myoflow.units import VOLTS, known, spelt

if TYPE_CHECKING:
    from myoflow.card import Card

_PLACE = re.compile(r"\{(\w+)\}")
_SAME_RATE = 1e-4  # relative; texts round
_TEXTS = ("subject", "session", "run", "label", "repetition")


@frozen
class Options:
    """How the files are named, and what of them is the EMG.

    `pattern` is searched in each file's path and ends with it; its named groups fill the `{name}`s of `subject`,
    `session`, `run`, `label` and `repetition`. Files that it does not match are left alone. `format` is one of
    `myoflow list formats`; without it, each file's ending and content say. `variable` chooses a table, stream or device
    in files that hold several.

    `channels` are the card's channels as the files call them, in the card's order (default: the card's own names).
    `streams` are other channels to keep, by a name for them. `rate: card` takes the card's rate whatever a file says;
    by default a file that says another is refused. `units` is what numbers are in where a file does not say (default:
    the card's), `gain` a factor besides.

    `labels_from`: `path` (`label` is the whole file's), `events` (the file's own; with `until_next` each lasts until
    the next) or `column` (`label_column`, a number per sample; `repetition_column` likewise). `labels` translates the
    file's words to the card's. `missing: hold` repeats the last value where a number is missing; the store says so.
    """

    pattern: str
    format: str | None = None
    variable: str | None = None
    subject: str = "01"
    session: str = "01"
    run: str = "1"
    label: str = ""
    repetition: str = ""
    channels: tuple[str, ...] = ()
    streams: dict[str, tuple[str, ...]] = attrs.Factory(dict)
    rate: Literal["file", "card"] = "file"
    units: str | None = None
    gain: float = 1.0
    labels_from: Literal["none", "path", "events", "column"] = "none"
    labels: dict[str, str] = attrs.Factory(dict)
    label_column: str | None = None
    repetition_column: str | None = None
    until_next: bool = False
    missing: Literal["refuse", "hold"] = "refuse"
    attributes: dict[str, Any] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise Mismatch(f"is not a regular expression: {error}", ("pattern",)) from None
        for name in _TEXTS:
            for group in _PLACE.findall(getattr(self, name)):
                if group not in groups:
                    raise Mismatch(f"the pattern has no group '{group}'", (name,))
        if self.format is not None and self.format not in FORMATS:
            raise Mismatch(f"there is no format '{self.format}'{did_you_mean(self.format, FORMATS)}", ("format",))
        if self.units is not None:
            try:
                known(self.units)
            except ValueError as error:
                raise Mismatch(str(error), ("units",)) from None
        if not self.gain or not np.isfinite(self.gain):
            raise Mismatch("must not be zero", ("gain",))
        if (self.labels_from == "column") != (self.label_column is not None):
            raise Mismatch("goes with labels_from: column, and that with it", ("label_column",))
        if self.labels_from == "path" and not self.label:
            raise Mismatch("is empty, but labels_from is path", ("label",))


@attrs.frozen
class Names:
    """Where one file stands in the study."""

    subject: str
    session: str
    run: str
    label: str
    repetition: int


@READERS.add("files")
class Files(Reader):
    """One recording a file. Where a file says otherwise than the card, it is refused, not believed."""

    Options = Options

    def __init__(self, card: Card) -> None:
        try:
            super().__init__(card)
        except Mismatch as error:
            at = ".".join(str(part) for part in ("options", *error.path))
            raise InputError(f"dataset {card.name}: {at}: {error}") from error
        options: Options = self.options
        if options.channels and len(options.channels) != len(card.channels):
            raise InputError(
                f"dataset {card.name}: options.channels: {len(options.channels)} for the card's {len(card.channels)}"
            )
        for word, label in options.labels.items():
            if label not in card.labels:
                raise InputError(f"dataset {card.name}: options.labels.{word}: the card has no label '{label}'")

    def open(self, place: Path) -> Source:
        """Besides folders and archives, a single file with what stands beside it."""
        return Single(place) if place.is_file() and not place.name.lower().endswith(ARCHIVES) else open_source(place)

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        options: Options = self.options
        pattern = re.compile(rf"(?:{options.pattern})\Z")
        found: dict[str, tuple[str, Names]] = {}
        for name in source.names:
            match = pattern.search(name)
            if match is None:
                continue
            place = _names(options, match, f"{source.place}: {name}")
            identity = f"sub-{place.subject}/ses-{place.session}/run-{place.run}"
            if identity in found:
                raise InputError(
                    f"{source.place}: {found[identity][0]} and {name} would both be {identity}; "
                    "let the pattern tell them apart"
                )
            found[identity] = (name, place)
        if not found:
            raise InputError(f"{source.place}: no file matches the pattern '{options.pattern}'; found {source.brief()}")
        for identity, (name, place) in sorted(found.items()):
            if wanted is None or wanted(place.subject):
                names = (name, *beside(source, name, options.format))
                yield Item(identity, partial(_recording, self.card, options, place), names, source)


class Single(Source):
    """One file and its neighbours, which a header may point to."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        others = (path.name for path in place.parent.iterdir() if path.is_file() and path != place)
        self.names = (place.name, *sorted(others))

    def file(self, name: str) -> File:
        path = self.place.parent / name
        return File(name, str(path), path=path)


def beside(source: Source, name: str, format_name: str | None) -> tuple[str, ...]:
    """The other files that are needed to read `name`: samples and markers of a header."""
    if format_name is None and not name.lower().endswith(_HEADERS):
        return ()
    file = source.file(name)
    folder = name.rpartition("/")[0]
    near = [other for other in source.names if other.rpartition("/")[0] == folder and other != name]
    fmt = FORMATS[format_name]() if format_name else find_format(name, file.read(), file.where)
    with guard(file.where, fmt.what):
        return fmt.companions(file, near)


_HEADERS = (".vhdr", ".ahdr", ".hea")


def _names(options: Options, match: re.Match[str], where: str) -> Names:
    def fill(text: str) -> str:
        return _PLACE.sub(lambda found: match[found[1]] or "", text)

    words = {name: re.sub(r"[^0-9A-Za-z]", "", fill(getattr(options, name))) for name in ("subject", "session", "run")}
    for name, word in words.items():
        if not word:
            raise InputError(f"{where}: its {name} is empty; it needs letters or digits")
    repetition = fill(options.repetition)
    if repetition and not (repetition.isdecimal() and int(repetition) < 1 << 15):
        raise InputError(f"{where}: repetition '{repetition}' is not a whole number")
    return Names(words["subject"], words["session"], words["run"], fill(options.label), int(repetition or 0))


def _recording(card: Card, options: Options, place: Names, files: tuple[File, ...]) -> Recording:
    fmt = format_of(files[0], options.format)
    if fmt.head is None:
        files = tuple(attrs.evolve(file, data=file.read()) for file in files)  # each is looked at more than once
    file, others = files[0], {other.name: other for other in files[1:]}
    signals = fmt.read(file, others, options.variable, in_blocks=True)
    return recording_of(card, options, place, signals, files)


def recording_of(card: Card, options: Options, place: Names, signals: Signals, files: tuple[File, ...]) -> Recording:
    """A file's signals as the card wants them.

    Raises:
        InputError: channels, rate, units or labels that do not go with the card; names the file.
    """
    where = files[0].where
    block, rows = pick(where, signals, options.channels or card.channels)
    rate = _rate(where, card, options, block)
    notes = list(signals.notes)
    emg = _whole(where, block, rows, options, notes)
    gain = block.gain[rows] * options.gain * [_factor(where, card, options, block, row) for row in rows]
    if emg.dtype == np.float32 and not np.all(gain == 1):
        emg, gain = (emg * gain[:, None]).astype(np.float32), np.ones(len(rows))
    return Recording(
        subject=place.subject,
        session=place.session,
        run=place.run,
        emg=emg if isinstance(emg, Blocks) else np.ascontiguousarray(emg),
        gain=gain.astype(np.float32),
        rate_hz=rate,
        channels=card.channels,
        events=_events(where, card, options, place, signals, block, notes),
        units=card.units,
        timestamp_ms=_clock(where, block),
        streams=_streams(where, options, signals, rate, block),
        attrs=bids_attributes(card) | signals.attrs | options.attributes,
        sources=tuple((PurePosixPath(file.name).name, file.sha256()) for file in files),
        repairs=tuple(notes),
    )


def pick(where: str, signals: Signals, names: tuple[str, ...]) -> tuple[Signals, list[int]]:
    """The block that holds all of the named channels, and their rows."""
    blocks = (signals, *signals.streams.values())
    for block in blocks:
        if all(name in block.channels for name in names):
            return block, [block.channels.index(name) for name in names]
    known = [name for block in blocks for name in block.channels]
    lost = [name for name in names if name not in known]
    if not lost:
        raise InputError(f"{where}: {listed(names)} are recorded at different rates; take them from one")
    raise InputError(f"{where}: has no channel '{lost[0]}'{did_you_mean(lost[0], known)}; it has {listed(known, 12)}")


def _rate(where: str, card: Card, options: Options, block: Signals) -> float:
    said = block.rate_hz
    if options.rate == "card" or said is None or abs(said - card.rate) <= _SAME_RATE * card.rate:
        return card.rate
    raise InputError(
        f"{where}: is recorded at {said:.10g} Hz, the card says {card.rate:.10g} Hz; change the card's rate, or set "
        "options.rate to card where the file is known to be wrong"
    )


def _factor(where: str, card: Card, options: Options, block: Signals, row: int) -> float:
    unit = spelt(block.units[row] or options.units or card.units)
    if unit == card.units:
        return 1.0
    if unit in VOLTS and card.units in VOLTS:
        return VOLTS[unit] / VOLTS[card.units]
    raise InputError(
        f"{where}: channel '{block.channels[row]}' is in {unit}, the card's unit is {card.units}; no factor is known"
    )


def _whole(where: str, block: Signals, rows: list[int], options: Options, notes: list[str]) -> npt.NDArray[Any]:
    """The chosen rows, without holes."""
    values: npt.NDArray[Any] = block.values[rows]
    if values.dtype.kind == "i":
        return values
    values = np.asarray(values)
    bad = ~np.isfinite(values)
    if not bad.any():
        return values.astype(np.float32)
    row, column = (int(i) for i in np.argwhere(bad)[0])
    name = block.channels[rows[row]]
    if options.missing == "refuse":
        more = f", nor at {int(bad.sum()) - 1} more" if bad.sum() > 1 else ""
        raise InputError(
            f"{where}: channel '{name}' has no number at sample {column + 1}{more}; options.missing: hold "
            "(or --hold) repeats the last one"
        )
    notes.append(f"{int(bad.sum())} missing values repeat the one before (0 at the start), the first in '{name}'")
    at = np.where(bad, 0, np.arange(values.shape[1]))
    held: npt.NDArray[Any] = np.take_along_axis(values, np.maximum.accumulate(at, axis=1), axis=1)
    filled: npt.NDArray[Any] = np.where(np.isfinite(held), held, 0).astype(np.float32)
    return filled


def _clock(where: str, block: Signals) -> npt.NDArray[np.int32] | None:
    if block.time_s is None:
        return None
    ms = np.round((block.time_s - block.time_s[0]) * 1e3)
    if not np.isfinite(ms).all() or ms[-1] >= 1 << 31:
        raise InputError(f"{where}: its times are no numbers, or span over 24 days")
    falls = np.flatnonzero(np.diff(ms) < 0)
    if len(falls):
        raise InputError(f"{where}: its clock runs backwards after sample {falls[0] + 1}")
    out: npt.NDArray[np.int32] = ms.astype(np.int32)
    return out


def _streams(where: str, options: Options, signals: Signals, rate: float, emg: Signals) -> dict[str, Stream]:
    kept = {}
    for name, channels in options.streams.items():
        block, rows = pick(where, signals, channels)
        values = block.values[rows]
        plain = bool(np.all(block.gain[rows] == 1))
        units = {block.units[row] for row in rows}
        if len(units) > 1:
            raise InputError(
                f"{where}: stream {name}: its channels are in {listed(sorted(units))}; keep one unit a stream"
            )
        table = values if plain else _physical(values, block.gain[rows])
        kept[name] = Stream(table, rate if block is emg else block.rate_hz or rate, units.pop(), channels)
    return kept


def _physical(values: npt.NDArray[Any], gain: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    def scale(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return (block * gain[:, None]).astype(np.float32)

    return cast(RawArray, values.each(scale, np.float32)) if isinstance(values, Blocks) else scale(values)


def _events(
    where: str, card: Card, options: Options, place: Names, signals: Signals, block: Signals, notes: list[str]
) -> Events:
    samples, rate = block.samples, block.rate_hz or card.rate  # the file's times go by its own rate
    ids: Callable[[str, str], int] = partial(_label, card, options)
    if options.labels_from == "path":
        return _events_of([(0, samples, ids(where, place.label), place.repetition)], card)
    if options.labels_from == "column":
        assert options.label_column is not None, "checked with the card"
        words = _column(where, signals, options.label_column, samples)
        known = {value: ids(where, f"{value:g}") for value in np.unique(words).tolist()}
        label = np.array([known[value] for value in words.tolist()], np.int64)
        repetition = np.full(samples, place.repetition)
        if options.repetition_column:
            repetition = _column(where, signals, options.repetition_column, samples).astype(np.int64)
        return spans(label, repetition, card.labels)
    if options.labels_from == "none":
        return _events_of([], card)
    rows, outside = [], 0
    for mark, stop in _spans(signals.events, options.until_next, samples / rate):
        onset = round(mark.onset_s * rate)
        end = min(samples, max(onset + 1, round(stop * rate)))
        if 0 <= onset < end:
            rows.append((onset, end - onset, ids(where, mark.name), mark.repetition))
        else:
            outside += 1
    if outside:
        notes.append(f"{outside} events lie outside the recording and are left out")
    return _events_of(rows, card)


def _spans(marks: tuple[Mark, ...], until_next: bool, end: float) -> Iterator[tuple[Mark, float]]:
    for i, mark in enumerate(marks):
        following = marks[i + 1].onset_s if i + 1 < len(marks) else end
        yield mark, following if until_next else mark.onset_s + mark.length_s


def _label(card: Card, options: Options, where: str, word: str) -> int:
    label = options.labels.get(word, word)
    if label not in card.labels:
        raise InputError(
            f"{where}: label '{label}' is not on the card{did_you_mean(label, card.labels)}; see options.labels"
        )
    return card.labels.index(label)


def _column(where: str, signals: Signals, name: str, samples: int) -> npt.NDArray[np.float64]:
    block, rows = pick(where, signals, (name,))
    if block.samples != samples:
        raise InputError(f"{where}: channel '{name}' is recorded at another rate than the EMG; it cannot label it")
    values: npt.NDArray[np.float64] = np.asarray(block.values[rows], np.float64)[0] * block.gain[rows]
    if not np.isfinite(values).all() or (np.abs(values) > 30_000).any():
        raise InputError(f"{where}: channel '{name}' holds values that cannot be labels")
    return values


def _events_of(rows: list[tuple[int, int, int, int]], card: Card) -> Events:
    table = np.array(rows, np.int64).reshape(-1, 4)
    onset, length, label, repetition = table.T
    return Events(onset, length, label.astype(np.int16), repetition.astype(np.int16), card.labels)
