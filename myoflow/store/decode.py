"""Decode: chunks of many recordings, kept decoded for training. A window reads its one or two chunks itself."""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from myoflow import files
from myoflow.errors import InputError, MyoflowError
from myoflow.files import beside
from myoflow.store.chunks import Array, Chunked, chunked
from myoflow.store.index import Row

_MAPS = 4096  # open maps of cache files; Linux allows a process 65,530
_SPARE = 1 << 28  # bytes that a cache leaves free on its disk


def cache_folder(store: Path) -> Path:
    """Where decoded recordings are kept: `$MYOFLOW_CACHE/raw`, or `<store>.cache/raw` beside the store.

    Raises InputError when it cannot be written.
    """
    if os.environ.get("MYOFLOW_CACHE"):
        return files.cache_folder("raw")
    return files.writable(store.with_name(f"{store.name}.cache") / "raw")


class Decoded:
    """Chunks of many recordings, `(channel, sample)` in the recorder's integers, each recording cut as on disk.

    With a `folder`, a recording is decoded once into a file there, named by its checksum, and read memory-mapped ever
    after. Without, chunks are decoded when asked for and the `limit` bytes used last are kept. Safe in threads.
    """

    def __init__(self, store: Path, rows: tuple[Row, ...], folder: Path | None, limit: int) -> None:
        self._store = store
        self._rows = rows
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._arrays: dict[int, Chunked] = {}
        self._maps: OrderedDict[int, Array] = OrderedDict()
        self._chunks: OrderedDict[tuple[int, int], Array] = OrderedDict()
        self._held = 0
        self.decoded = 0  # chunks so far, for tests and benchmarks

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process gets: where things are, nothing that is open."""
        return {"store": self._store, "rows": self._rows, "folder": self._folder, "limit": self._limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def array(self, number: int) -> Chunked:
        """The EMG of recording `number` on disk."""
        found = self._arrays.get(number)
        if found is None:
            found = self._arrays[number] = chunked(self._store / self._rows[number].id, "emg")
        return found

    def copy(self, number: int, start: int, out: Array) -> None:
        """Samples `start` to `start + out.shape[1]` of recording `number` into `out` `(channel, time)`."""
        size = self.array(number).chunk[-1]
        at, offset = divmod(start, size)
        stop = offset + out.shape[1]
        if self._folder is not None:
            chunks = self._mapped(number)
            if stop <= size:
                out[...] = chunks[at][:, offset:stop]
            else:
                _across(chunks.__getitem__, at, offset, out)
            return
        with self._lock:
            if stop <= size:
                out[...] = self._chunk(number, at)[:, offset:stop]
            else:
                _across(lambda which: self._chunk(number, which), at, offset, out)

    def _mapped(self, number: int) -> Array:
        """Recording `number` as `(chunk, channel, sample)`, memory-mapped."""
        found = self._maps.get(number)
        if found is not None:
            return found
        array = self.array(number)
        shape = (array.count, *array.chunk)
        path = self._path(number)
        if not path.exists() or path.stat().st_size != int(np.prod(shape)) * array.dtype.itemsize:
            self._fill(number, path)
        # a plain view: slicing a np.memmap costs twice as much
        opened = np.asarray(np.memmap(path, array.dtype, "r", shape=shape))
        with self._lock:
            self._maps[number] = opened
            if len(self._maps) > _MAPS:
                self._maps.popitem(last=False)
        return opened

    def _path(self, number: int) -> Path:
        assert self._folder is not None, "only with a cache folder"
        name = self._rows[number].checksum
        return self._folder / name[:2] / f"{name}.raw"

    def prepare(self, advance: Callable[[int], None] | None = None) -> None:
        """Decode every recording into the cache that is not there; `advance` counts them.

        Raises:
            InputError: the disk has no room for it.
        """
        if self._folder is None:
            return
        missing = []
        need = 0
        for number in range(len(self._rows)):
            array = self.array(number)
            size = array.count * int(np.prod(array.chunk)) * array.dtype.itemsize
            path = self._path(number)
            if size and not (path.exists() and path.stat().st_size == size):
                missing.append(number)
                need += size
        if missing:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
            if need + _SPARE > free:
                raise InputError(
                    f"{self._folder} would take {need / 1e9:.1f} GB of decoded recordings and has {free / 1e9:.1f} GB "
                    'free; set MYOFLOW_CACHE to another disk, or read with cache="none"'
                )
        for number in missing:
            self._fill(number, self._path(number))
            if advance is not None:
                advance(1)

    def _fill(self, number: int, path: Path) -> None:
        array = self.array(number)
        try:
            with beside(path) as part, part.open("wb") as file:
                for block in decoded(array):
                    file.write(block.data)
        except OSError as error:
            raise MyoflowError(f"writing the decode cache {path.parent.parent} failed: {error.strerror}") from error

    def _chunk(self, number: int, at: int) -> Array:
        """A decoded chunk, good until the lock is given up."""
        key = (number, at)
        found = self._chunks.get(key)
        if found is not None:
            self._chunks.move_to_end(key)
            return found
        array = self.array(number)
        size = int(np.prod(array.chunk)) * array.dtype.itemsize
        room: Array | None = None
        while self._chunks and self._held + size > self._limit:
            room = self._chunks.popitem(last=False)[1]
            self._held -= room.nbytes
        # memory that has been touched before: a fresh page costs as much as decoding it
        fits = room is not None and room.shape == array.chunk
        made = self._chunks[key] = array.read(at, room if fits else None)
        self._held += size
        self.decoded += 1
        return made


def _across(chunk: Callable[[int], Array], at: int, offset: int, out: Array) -> None:
    """Copy a stretch that reaches over the end of chunk `at`."""
    done = 0
    while done < out.shape[1]:
        part = chunk(at)[:, offset : offset + out.shape[1] - done]
        out[:, done : done + part.shape[1]] = part
        done, at, offset = done + part.shape[1], at + 1, 0


def decoded(array: Chunked) -> Iterator[Array]:
    """An array's chunks in order, each whole; every one is overwritten by the next."""
    out = np.empty(array.chunk, array.dtype)
    for number in range(array.count):
        yield array.read(number, out)
