"""Conversion: raw files of a dataset into a store, whole recordings only, continuing where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from myoflow.errors import InputError, MyoflowError
from myoflow.parallel import Workers
from myoflow.progress import Progress
from myoflow.readers.base import READERS, Item, Reader, listed
from myoflow.recording import Recording
from myoflow.split import unit_key, units_of
from myoflow.store import layout
from myoflow.store.index import Row, Tally
from myoflow.store.info import tally
from myoflow.store.layout import Origin
from myoflow.store.read import Store, open_store
from myoflow.store.write import ASIDE, Staged, Writer, stage
from myoflow.typed import Mismatch

if TYPE_CHECKING:
    from myoflow.card import Card


@frozen
class Summary:
    """What a conversion did. Totals are over everything that was asked for, written now or before.

    `repairs` are (recording, what was dropped or mended); `skipped` are (recording, what is wrong with its files);
    `missing` are subjects that the card promises and the raw files lack.
    """

    store: Path
    dataset: str
    written: int
    there: int
    samples: int
    hours: float
    labels: dict[str, Tally] = attrs.field(hash=False)
    repairs: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    missing: int = 0

    def __str__(self) -> str:
        lines = [
            f"{self.store}: {self.written} recordings written, {self.there} were there; "
            f"{self.samples:,} samples, {self.hours:.2f} h"
        ]
        lines += [f"  {name}: {t.events:,} events, {t.samples:,} samples" for name, t in self.labels.items()]
        lines += [f"  {identity}: {what}" for identity, what in self.repairs]
        lines += [f"  skipped {identity}: {why}" for identity, why in self.skipped]
        if self.missing:
            lines.append(f"  {self.missing} of the dataset's subjects are not in the raw files")
        return "\n".join(lines)


def convert(
    card: Card,
    raw: Path | str | None,
    store: Path | str,
    subjects: str | Iterable[int | str] | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
    skip_bad: bool = False,
) -> Summary:
    """Read every recording of a dataset and add it to the store, which is made if it is not there.

    `raw` is the folder or archive as downloaded, None for simulated sets. `subjects` chooses some: `"1..6"`, `"1,4,7"`
    or a sequence of such items. `workers` says who does it: cores of this machine (by default one; with more, a script
    that calls this needs the usual `if __name__ == "__main__":`), or a cluster's, which must see `raw` and `store`
    under the same paths. Recordings that the store has are not read again. After an error, or a kill, the store holds
    whole recordings only and the same call continues. With `skip_bad` a recording whose files are wrong does not stop
    the others; it is tried again by every call, and the store's attribute `skipped` says what was wrong.

    Raises:
        InputError: wrong raw files (file and line are named), nothing but such, an unknown subject, a store that is
            something else, or no such cluster.
        MyoflowError: the disk failed, or a worker died.
    """
    store, raw = Path(store), None if raw is None else Path(raw)
    workers = workers or Workers(jobs=1)
    if workers.cluster is not None:
        store, raw = store.absolute(), None if raw is None else raw.absolute()
    reader = READERS[card.reader](card)
    reader.bad = {} if skip_bad else None
    items, found = _items(card, reader, raw, subjects)
    origin = Origin(card.name, card.reader, reader.version)
    digest = card_digest(card, reader)
    done = _complete(store, digest, items)
    if done is not None:
        return _summary(card, done, items, 0, found)
    with _disk(store), Writer(store, root_attributes(card), digest) as writer:
        todo = [item for item in items if item.id not in writer]
        todo.sort(key=_rank(items))
        whole = f"{store} is whole, the same command continues"
        threads = workers.jobs if len(todo) == 1 else 1  # one alone may use all cores, several use one each
        bad = {name: _from(raw, why) for name, why in (reader.bad or {}).items()}
        tasks = ((item.id, partial(_job, item, writer.path, origin, threads, skip_bad)) for item in todo)
        with (progress or Progress()).phase(f"Converting {card.name}", len(todo)) as advance:
            for staged in workers.each(tasks, whole):
                if isinstance(staged, Bad):
                    bad[staged.id] = _from(raw, staged.why)
                else:
                    writer.commit(staged)
                advance(1)
        writer.skipped(bad)
        if bad and not any(item.id in writer for item in items):
            name, why = next(iter(bad.items()))
            raise InputError(f"all {len(bad)} recordings are bad; the first one, {name}: {why}")
    items = [item for item in items if item.id not in bad]
    return _summary(card, open_store(store), items, len([item for item in todo if item.id not in bad]), found, bad)


@frozen
class Bad:
    """A recording that is skipped, and what is wrong with its files."""

    id: str
    why: str


def _from(raw: Path | None, why: str) -> str:
    """The message with paths below `raw`, so that it does not depend on where the raw files were."""
    return why if raw is None else why.replace(f"{raw}/", "").replace(f"{raw}:", "")


def card_digest(card: Card, reader: Reader) -> str:
    """Stands for everything in a card that changes what is written, and for the reader's version."""
    names = ("name", "reader", "options", "channels", "rate", "labels", "units", "placement", "power_line")
    values = {name: getattr(card, name) for name in names}
    text = layout.dumps({**values, "reader_version": reader.version})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def root_attributes(card: Card) -> dict[str, Any]:
    """What a store's root says about its dataset."""
    names = ("title", "citation", "licence", "restrictions", "home", "rate_note", "unmarked")
    known = {name: getattr(card, name) for name in names}
    return {
        "dataset": card.name,
        **{name: value for name, value in known.items() if value},
        "labels": list(card.labels),
        "defects": list(card.defects),
    }


def _items(
    card: Card, reader: Reader, raw: Path | None, subjects: str | Iterable[int | str] | None
) -> tuple[list[Item], int]:
    """What is asked for, and how many subjects the raw files hold."""
    if reader.needs_source and raw is None:
        raise InputError(f"{card.name} is converted from raw files; give {card.files or 'their folder or archive'}")
    if not reader.needs_source and raw is not None:
        raise InputError(
            f"{card.name} needs no raw files, but got {raw}; a store's place is given after them or by name"
        )
    source = reader.open(raw) if raw is not None else None
    chosen = None if subjects is None else _chosen(subjects)
    # a chosen subject's files are checked, the others' need not be there
    items = list(reader.recordings(source, None if chosen is None else lambda name: unit_key(name) in chosen))
    there = {_subject(item) for item in items}
    for unit in chosen or ():
        if unit not in {unit_key(name) for name in there}:
            known = sorted({_subject(item) for item in reader.recordings(source)})
            raise InputError(f"there is no subject {unit} in {raw or card.name}; it has {listed(known)}")
    missing = (card.subjects or len(there)) - len(there) if chosen is None else 0
    return items, max(0, missing)


def _chosen(subjects: str | Iterable[int | str]) -> tuple[str, ...]:
    parts = [part.strip() for part in subjects.split(",")] if isinstance(subjects, str) else list(subjects)
    try:
        units = [unit for part in parts for unit in units_of(part)]
    except Mismatch as error:
        raise InputError(f"subjects: {error}") from error
    if not units or not all(units):
        raise InputError(f"subjects: expected a list such as 1..6 or 1,4,7, got '{subjects}'")
    return tuple(dict.fromkeys(units))


def _subject(item: Item) -> str:
    return item.id.split("/")[0].removeprefix("sub-")


def _rank(items: list[Item]) -> Callable[[Item], tuple[int, str]]:
    """Order in which the source is best read."""
    source = next((item.source for item in items if item.source is not None), None)
    order = {name: i for i, name in enumerate(source.names)} if source is not None else {}
    return lambda item: (min((order[name] for name in item.names), default=0), item.id)


def _complete(path: Path, digest: str, items: list[Item]) -> Store | None:
    """The store when it already has everything, so that nothing needs its lock."""
    if not (path / layout.META).exists() or (path / ASIDE).exists():
        return None
    try:
        store = open_store(path)
    except MyoflowError:
        return None  # the writer says what is wrong, or mends it
    have = {row.id for row in store.rows if (path / row.id).is_dir()}
    same = store.attrs.get("digest") == digest
    return store if same and all(item.id in have for item in items) else None


def _summary(
    card: Card, store: Store, items: list[Item], written: int, missing: int, bad: Mapping[str, str] | None = None
) -> Summary:
    wanted = {item.id for item in items}
    rows: list[Row] = [row for row in store.rows if row.id in wanted]
    repairs = []
    for row in rows:
        notes = layout.metadata(store.path / row.id)["attributes"]["repairs"]
        repairs += [(row.id, str(note)) for note in notes]
    return Summary(
        store=store.path,
        dataset=card.name,
        written=written,
        there=len(rows) - written,
        samples=sum(row.samples for row in rows),
        hours=sum(row.seconds for row in rows) / 3600,
        labels=tally(rows, card.labels, card.unmarked),
        repairs=tuple(repairs),
        skipped=tuple((bad or {}).items()),
        missing=missing,
    )


def _job(item: Item, store: Path, origin: Origin, threads: int, skip_bad: bool) -> Callable[[], Staged | Bad]:
    try:
        job = item.load()
    except InputError as error:
        if not skip_bad:
            raise
        return partial(Bad, item.id, str(error))
    return partial(_staged, store, job, origin, threads, item.id if skip_bad else None)


@contextmanager
def _disk(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise MyoflowError(
            f"writing {store} failed: {reason}. What is in it is whole; the same command continues"
        ) from error


def _staged(
    store: Path, job: Callable[[], Recording], origin: Origin, threads: int, skippable: str | None
) -> Staged | Bad:
    """What a worker does: the recording written aside, or, where that may be skipped, what is wrong with it."""
    if not (store / ASIDE).is_dir():
        import socket

        raise InputError(
            f"the worker on {socket.gethostname()} does not see {store}; a cluster needs a folder that all "
            "its machines share, under one path"
        )
    try:
        recording = job()
    except InputError as error:
        if skippable is None:
            raise
        return Bad(skippable, str(error))
    return stage(store, recording, origin, threads)
