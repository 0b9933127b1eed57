"""Writer: adds recordings to a store, each whole or not at all.

A recording is written aside, in the store's `.tmp/`, and renamed into place; the index follows. What a killed
writer leaves is put right when the next one opens: a whole group that the index lacks is indexed again, the
rest of `.tmp/` is removed. Only the process that holds the lock renames, so workers cannot interfere.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from attrs import frozen

from myoflow.errors import InputError, MyoflowError
from myoflow.recording import Recording
from myoflow.store import index, layout
from myoflow.store.index import Row
from myoflow.store.layout import Origin

ASIDE = ".tmp"
KIND = "myoflow store"
_MANY = 500  # recordings above which each subject's folder repeats the metadata of its own, too
_INDEX_EVERY_S = 1.0  # the index is written whole: per recording it would grow quadratic over thousands of them
_ORPHANS_S = 10.0  # workers of a killed writer end by themselves, but may write into `.tmp/` until then
_INDEX_SHARE = 20  # nor more often than 20 times what writing it takes


@frozen
class Staged:
    """A recording written aside, waiting to be committed. Picklable: workers stage, the writer commits."""

    path: Path
    row: Row


def stage(store: Path, recording: Recording, origin: Origin, threads: int = 1) -> Staged:
    """Write a recording aside, `threads` compressing; nothing of it can be seen in the store. Safe in any process.

    Raises:
        MyoflowError: the recording contradicts itself.
        OSError: the disk.
    """
    path = store / ASIDE / f"{recording.id.replace('/', '_')}-{uuid.uuid4().hex}"
    try:
        layout.write_group(path, recording, origin, threads)
        return Staged(path, index.row_of(path))
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


class Writer:
    """Adds recordings to the store at `path`, which is made if it is not there. Use it in a `with`.

    `attributes` describe the dataset (root attributes). `digest` stands for every choice that changes what is
    written; a store with another digest refuses.

    Raises:
        InputError: something else is at `path`, another process writes, or the digest differs.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any], digest: str) -> None:
        self.path = path
        self._attributes = {"kind": KIND, **attributes, "digest": digest}
        _refuse_foreign(path, digest, str(attributes.get("dataset", "")))
        (path / ASIDE).mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path)
        try:
            _refuse_foreign(path, digest, str(attributes.get("dataset", "")))  # the other writer may just have made it
            fresh = not (path / layout.META).exists() or not any(groups(path))
            self._rows = self._repair()
            self._skipped: dict[str, str] = {} if fresh else dict(layout.attributes(path).get("skipped", {}))
            if fresh:
                self._write(layout.META, layout.dumps(layout.group_metadata(self._attributes)))
            self._save()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, identity: object) -> bool:
        return identity in self._rows

    @property
    def rows(self) -> tuple[Row, ...]:
        """Rows of the recordings now in the store, by id."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def add(self, recording: Recording, origin: Origin) -> Row:
        """Stage and commit."""
        with _uninterrupted():
            return self.commit(stage(self.path, recording, origin))

    def commit(self, staged: Staged) -> Row:
        """Put a staged recording in its place.

        Raises:
            MyoflowError: the store already has a recording of that id.
        """
        row = staged.row
        target = self.path / row.id
        if row.id in self._rows or target.exists():
            shutil.rmtree(staged.path, ignore_errors=True)
            raise MyoflowError(f"{self.path} already has {row.id}")
        self._parents(row.id)
        os.rename(staged.path, target)
        self._rows[row.id] = row
        if time.monotonic() >= self._due:
            self._save()
        return row

    def skipped(self, bad: Mapping[str, str]) -> None:
        """Note recordings that could not be made, and why; the root's attribute `skipped` until they can."""
        self._skipped |= bad

    def close(self) -> None:
        """Bring index and root metadata up to date, leave nothing aside, give up the lock."""
        with _uninterrupted():
            try:
                self._save()
                self._consolidate()
                shutil.rmtree(self.path / ASIDE, ignore_errors=True)
            finally:
                os.close(self._lock)

    def _save(self) -> None:
        """Write the index, and say when it is due again."""
        start = time.monotonic()
        self._write(index.FILE, index.dumps(self._rows.values()))
        took = time.monotonic() - start
        self._due = start + took + max(_INDEX_EVERY_S, _INDEX_SHARE * took)

    def _consolidate(self) -> None:
        """Repeat the metadata of everything below in the root's, so that plain xarray opens it without a warning.

        It takes 4 kB a recording, which only xarray reads. Above `_MANY` recordings, where opening the whole takes
        long, each subject's folder has that of its own, too.
        """
        skipped = {name: why for name, why in sorted(self._skipped.items()) if name not in self._rows}
        attributes = {**self._attributes, **({"skipped": skipped} if skipped else {})}
        many = len(self._rows) > _MANY
        subjects: dict[str, list[str]] = {}
        for identity in sorted(self._rows):
            subjects.setdefault(_above(identity)[0], []).append(identity)
        for subject, mine in subjects.items():
            inside = self._below(mine, f"{subject}/") if many else None
            self._write(f"{subject}/{layout.META}", layout.dumps(layout.group_metadata({}, inside)))
        self._write(layout.META, layout.dumps(layout.group_metadata(attributes, self._below(self._rows, ""))))

    def _below(self, identities: Iterable[str], prefix: str) -> dict[str, Any]:
        """Metadata of recordings, their arrays and the folders between, by path below `prefix`."""
        below: dict[str, Any] = {}
        for identity in identities:
            meta = layout.metadata(self.path / identity)
            arrays = meta["consolidated_metadata"]["metadata"]
            below.update({f"{identity}/{name}": arrays[name] for name in arrays})
            below[identity] = layout.group_metadata(meta["attributes"])
            for parent in _above(identity):
                below[parent] = layout.group_metadata({})
        return {path.removeprefix(prefix): meta for path, meta in below.items() if path.startswith(prefix)}

    def _parents(self, identity: str) -> None:
        for parent in _above(identity):
            (self.path / parent).mkdir(exist_ok=True)
            if not (self.path / parent / layout.META).exists():
                self._write(f"{parent}/{layout.META}", layout.dumps(layout.group_metadata({})))

    def _write(self, name: str, text: str) -> None:
        layout.write_text(self.path / name, text, self.path / ASIDE)

    def _repair(self) -> dict[str, Row]:
        """Rows that agree with the groups that are there; empties `.tmp/`."""
        for left in (self.path / ASIDE).iterdir():
            if left.name != "lock":
                _remove(left)
        rows: dict[str, Row] = {}
        file = self.path / index.FILE
        if file.exists():
            rows = {row.id: row for row in index.loads(file.read_text(encoding="utf-8"), file)}
        there = set(groups(self.path))
        for identity in there:
            self._parents(identity)
        known = {identity: row for identity, row in rows.items() if identity in there}
        return known | {identity: index.row_of(self.path / identity) for identity in there - known.keys()}


def _remove(left: Path) -> None:
    """Remove what a killed writer had aside, though a worker of its may be writing there for a moment more."""
    until = time.monotonic() + _ORPHANS_S
    while True:
        try:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        except FileNotFoundError:
            pass  # the worker may tidy up itself
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        if not left.exists():
            return


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end of the block: zarr writes in threads that complain when they are cut off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt


def groups(path: Path) -> Iterator[str]:
    """Ids of the recordings that lie in a store's folder, indexed or not."""
    for run in sorted(path.glob("sub-*/ses-*/run-*")):
        if run.is_dir():
            yield run.relative_to(path).as_posix()


def _above(identity: str) -> list[str]:
    subject, session, _ = identity.split("/")
    return [subject, f"{subject}/{session}"]


def _refuse_foreign(path: Path, digest: str, dataset: str) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path} is a file; a store is a folder")
    meta = path / layout.META
    if not meta.exists():
        others = sorted(p.name for p in path.iterdir() if p.name != ASIDE)
        if others:
            raise InputError(f"{path} is not a myoflow store (it holds {', '.join(others[:3])}); name an empty folder")
        return
    try:
        attributes = layout.attributes(path)
    except (ValueError, KeyError) as error:
        raise InputError(f"{meta} is not zarr v3 metadata; name another folder for the store") from error
    if attributes.get("kind") != KIND:
        raise InputError(f"{path} is a zarr hierarchy, but not a myoflow store; name another folder")
    if attributes["digest"] != digest and any(groups(path)):
        found = attributes.get("dataset")
        what = f"dataset {found}" if found != dataset else f"other options (or another reader version) of {dataset}"
        raise InputError(f"{path} was written from {what}; they cannot be mixed: name another folder or delete it")


def _lock(path: Path) -> int:
    """A held lock's descriptor. Another process's lock is an InputError."""
    file = path / ASIDE / "lock"
    while True:
        file.parent.mkdir(exist_ok=True)
        try:
            held = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # the last writer just removed `.tmp/`
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(held)
            raise InputError(f"another process is writing {path}; wait for it or stop it") from error
        try:
            if os.stat(file).st_ino == os.fstat(held).st_ino:
                return held
        except FileNotFoundError:
            pass
        os.close(held)  # locked a file that the last writer has removed: once more
