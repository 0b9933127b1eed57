"""replay: a stored recording at the speed of life, or faster."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from myoflow.errors import InputError
from myoflow.live.block import Block, Signal
from myoflow.live.source import SOURCES, Connection, Context, Ended, Source
from myoflow.typed import Duration, Mismatch, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.recording import Events
    from myoflow.store import Row, Store
    from myoflow.store.chunks import Chunked

_SEEN = ("on which models were trained", "by which models were chosen", "which no model has seen")  # in the first fold


@SOURCES.add("replay")
@frozen
class Replay(Source):
    """A recording of a store, `STORE/sub-01/ses-01/run-1`, as if it came from a device now.

    Without a recording it is the first one, without a store that of the recipe, and then the first recording of the
    test split. `speed` is seconds of signal per second, or `max`: as fast as the decoder asks, and nothing is ever
    dropped. `chunk` is how much comes at a time. What the recipe's `data` section asks for (`regularise`, `splice`) is
    done before.
    """

    address: str = ""
    speed: float | Literal["max"] = 1.0
    chunk: Duration = Duration(0.02)

    def __attrs_post_init__(self) -> None:
        if self.speed != "max" and not self.speed > 0:
            raise Mismatch(f"speed must be above 0, or max, got {self.speed:g}")

    @property
    def waits(self) -> bool:
        return self.speed == "max"

    @property
    def _pace(self) -> float | None:
        return None if self.speed == "max" else float(self.speed)

    def open(self, context: Context) -> Connection:
        store, row = self._find(context)
        origin = f"replaying {row.id} of {store.path}{_seen(store, row, context)}"
        data = context.recipe.data if context.recipe is not None else None
        uneven = data is not None and (data.regularise is not None or data.splice)
        if uneven:
            from myoflow.data.prepare import read

            assert data is not None, "an uneven clock is the recipe's to mend"
            recording = read(store, row, data)
            signal = Signal(
                channels=recording.channels,
                rate_hz=recording.rate_hz,
                units=recording.units,
                gain=tuple(float(g) for g in recording.gain),
                labels=recording.events.names,
                dtype=str(recording.emg.dtype),
                clock="count",
                pace=self._pace,
            )
            return _Playing(self, signal, recording.emg, recording.emg.shape[1], recording.events, origin)
        from myoflow.store.chunks import chunked

        emg, events = chunked(store.path / row.id, "emg"), store.events(row.id)
        signal = Signal(
            channels=row.channels,
            rate_hz=row.rate_hz,
            units=row.units,
            gain=tuple(float(g) for g in chunked(store.path / row.id, "gain").whole()),
            labels=events.names,
            dtype=str(emg.dtype),
            clock="count",
            pace=self._pace,
        )
        return _Playing(self, signal, _Stored(emg), row.samples, events, origin)

    def _find(self, context: Context) -> tuple[Store, Row]:
        from myoflow.store import open_store

        if not self.address:
            if context.recipe is None:
                raise InputError("replay needs a store: replay:data/uci_emg.zarr/sub-01/ses-01/run-1")
            from myoflow.data.source import is_simulated, locate_store, store_path
            from myoflow.progress import Progress

            data = context.recipe.data
            place = store_path(data.dataset, data.store)
            if not place.exists() and is_simulated(data.dataset):
                logging.getLogger("myoflow.live").warning("%s is not there: simulating it, which takes a while", place)
            store = locate_store(context.recipe.data, Progress())
            return store, _first_of_test(store, context)
        path = Path(self.address)
        for folder in (path, *path.parents):
            if (folder / "index.json").is_file():
                store = open_store(folder)
                rest = path.relative_to(folder).as_posix()
                if not store.rows:
                    raise InputError(f"{folder} holds no recordings")
                return store, store.row(rest) if rest != "." else store.rows[0]
        raise InputError(f"there is no store at {path}; write replay:STORE/sub-01/ses-01/run-1")


class _Playing:
    """Samples of an array `(channel, time)` when their time has come."""

    def __init__(
        self, replay: Replay, signal: Signal, emg: Array | _Stored, samples: int, events: Events, origin: str
    ) -> None:
        self.signal, self.events, self.origin = signal, events, origin
        self._emg, self._samples = emg, samples
        self._chunk = max(1, replay.chunk.samples(signal.rate_hz))
        self._speed = signal.pace
        self._began: float | None = None
        self._at = 0

    def read(self, timeout_s: float) -> Block | None:
        import numpy as np

        if self._at >= self._samples:
            raise Ended
        stop = min(self._at + self._chunk, self._samples)
        if self._speed is not None:
            now = time.perf_counter()
            self._began = self._began or now
            due = self._began + stop / self.signal.rate_hz / self._speed
            if due - now > timeout_s:
                time.sleep(timeout_s)
                return None
            if due > now:
                time.sleep(due - now)
        values = np.array(self._emg[:, self._at : stop])  # of its own: the array may be a map of a file
        first, self._at = self._at, stop
        return Block(values, time.perf_counter(), first=first, stamp_s=stop / self.signal.rate_hz)

    def close(self) -> None:
        self._at = self._samples


class _Stored:
    """An array `(channel, time)` on disk, read forward: its chunks are decoded into one and the same memory.

    New memory for each, taken by this thread beside the small blocks that wait to be decoded, breaks the heap up.
    """

    def __init__(self, array: Chunked) -> None:
        import numpy as np

        self._array, self._number = array, -1
        self._chunk = np.empty(array.chunk, array.dtype)

    def __getitem__(self, where: tuple[slice, slice]) -> Array:
        import numpy as np

        start, stop, size = where[1].start, where[1].stop, self._array.chunk[-1]
        out = np.empty((len(self._chunk), stop - start), self._array.dtype)
        at = start
        while at < stop:
            number, offset = divmod(at, size)
            if number != self._number:
                self._array.read(number, self._chunk)
                self._number = number
            part = self._chunk[:, offset : offset + stop - at]
            out[:, at - start : at - start + part.shape[1]] = part
            at += part.shape[1]
        return out


def _parts(store: Store, context: Context) -> tuple[str, Sequence[Sequence[str]]] | None:
    """By what attribute recordings are split, and the names of the parts of the first fold; None where within them."""
    assert context.recipe is not None, "the caller has looked"
    by = context.recipe.data.split.by
    if by not in ("subject", "session", "subset"):
        return None
    names = list(dict.fromkeys(getattr(row, by) for row in store.rows))
    return by, context.recipe.data.split.assign(names)[0]


def _first_of_test(store: Store, context: Context) -> Row:
    """The first recording that the recipe's models have not seen in training."""
    parts = _parts(store, context)
    tested = [row for row in store.rows if parts is not None and getattr(row, parts[0]) in parts[1][2]]
    return [*tested, *store.rows][0]


def _seen(store: Store, row: Row, context: Context) -> str:
    """What to know of a recording of the recipe's own dataset: whether its models were made by it."""
    if context.recipe is None or store.attrs.get("dataset") != Path(context.recipe.data.dataset).stem:
        return ""
    try:
        parts = _parts(store, context)
    except InputError:
        return ""  # a part of the set, in which the split's names are not all there
    if parts is None:
        return ", parts of which the models were trained on"
    name = getattr(row, parts[0])
    return next((f", {why}" for part, why in zip(parts[1], _SEEN, strict=True) if name in part), "")
