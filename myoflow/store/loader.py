"""Loader: shuffled windows of a whole store for training, in the recorder's integers until the last moment.

    windows = store.windows(1000, stride=250, labels=("rest", "fist"))
    for batch in windows.loader(64, seed=0):
        x = batch.signal()          # float32 (window, channel, time) in the store's units, on any device

The order of an epoch is a pure function of seed, epoch, rank and number of ranks (and of the number of workers where
these decode for themselves), so a position in it is a number and resuming is exact (`sampler.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from attrs import frozen
from torch.utils.data import DataLoader, Dataset

from myoflow.ahead import ahead
from myoflow.errors import InputError
from myoflow.store.decode import Decoded
from myoflow.store.index import Row
from myoflow.store.sampler import WindowSampler

if TYPE_CHECKING:
    from myoflow.store.read import Store

Array = npt.NDArray[Any]
_BLOCK = 8  # chunks a block: a window that crosses a block's end costs one chunk decoded twice


class Batch(NamedTuple):
    """Windows as torch tensors; pinned and moved as any tuple of tensors.

    `emg` `(window, channel, time)` as stored (the recorder's integers, mostly), `gain` `(window, channel)` float32,
    `label` an index into the store's labels or -1, `recording` an index into the windows' `rows`, `start` in samples.
    """

    emg: torch.Tensor
    gain: torch.Tensor
    label: torch.Tensor
    recording: torch.Tensor
    start: torch.Tensor

    def signal(self, device: torch.device | str | None = None) -> torch.Tensor:
        """`emg` in the store's units, float32, scaled on `device`, to which only the integers are copied."""
        emg = self.emg.to(device, non_blocking=True) if device is not None else self.emg
        return emg.to(torch.float32) * self.gain.to(emg.device, non_blocking=True)[:, :, None]


@frozen(eq=False)
class Spans:
    """Rows of windows at an even stride: `count` windows of `recording` from `first` on, all with one `label`."""

    recording: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int, int, int]]) -> Spans:
        """From (recording, first, count, label); those without a window are left out."""
        table = np.array([span for span in spans if span[2] > 0], np.int64).reshape(-1, 4)
        return cls(*(np.ascontiguousarray(column) for column in table.T))


class WindowSet(Dataset[Batch]):
    """A torch map-style Dataset of windows, fetched by the batch; `Store.windows` makes it.

    Window i has `recording`, `start` and `label` as `locate` says. It can be sent to workers.
    """

    def __init__(
        self, store: Path, rows: tuple[Row, ...], spans: Spans, length: int, stride: int, *, cache: str, buffer: int
    ) -> None:
        from myoflow.store.decode import cache_folder

        self.rows = rows
        self.length = length
        self.stride = stride
        self.cached = cache == "raw"
        self.buffer = buffer
        self._prepared = False
        self._spans = spans
        self._ends = np.cumsum(spans.count)
        # twice the buffer: windows of the next one are wanted before the last of this are gone
        self._decoded = Decoded(store, rows, cache_folder(store) if self.cached else None, 2 * buffer)
        self._gains = _gains(store, rows)
        self._channels = len(rows[0].channels) if rows else 0
        self._dtype = self._decoded.array(0).dtype if rows else np.dtype(np.int16)
        self._chunk = self._decoded.array(0).chunk[-1] if rows else 1
        for number, row in enumerate(rows):
            if (found := self._decoded.array(number).dtype) != self._dtype:
                raise InputError(f"{row.id} is {found}, {rows[0].id} is {self._dtype}; choose recordings of one kind")

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, rows: Array) -> tuple[Array, Array, Array]:
        """Recording, start and label of the given windows."""
        span = np.searchsorted(self._ends, rows, side="right")
        spans = self._spans
        inside = rows - (self._ends[span] - spans.count[span])
        return spans.recording[span], spans.first[span] + inside * self.stride, spans.label[span]

    def __getitem__(self, row: int) -> Batch:
        """One window, with the axis `window` of size 1."""
        return self.__getitems__([row])

    def __getitems__(self, rows: Sequence[int] | Array) -> Batch:
        """A batch in the given order. Raises IndexError: there is no such window."""
        wanted = np.asarray(rows, np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"there are {len(self)} windows")
        recording, start, label = self.locate(wanted)
        out = np.empty((len(wanted), self._channels, self.length), self._dtype)
        copy = self._decoded.copy
        for i, (number, first) in enumerate(zip(recording.tolist(), start.tolist(), strict=True)):
            copy(number, first, out[i])
        gain = self._gains[recording]
        return Batch(*(torch.from_numpy(values) for values in (out, gain, label, recording, start)))

    def prepare(self, advance: Callable[[int], None] | None = None) -> None:
        """Fill the decode cache now; without this each recording is decoded when its first window is wanted.

        Raises:
            InputError: the disk has no room for it.
        """
        if not self._prepared:
            self._decoded.prepare(advance)
            self._prepared = True

    def blocks(self) -> tuple[Array, Array]:
        """First windows of the blocks that are shuffled as one, and the bytes each needs decoded."""
        if self.cached:
            return np.arange(len(self)), np.zeros(len(self), np.int64)
        recording, start, _ = self.locate(np.arange(len(self)))
        key = np.stack([recording, start // (self._chunk * _BLOCK)])
        new = np.flatnonzero(np.any(np.diff(key, axis=1) != 0, axis=0)) + 1
        first = np.concatenate(([0], new)) if len(self) else np.empty(0, np.int64)
        size = self._channels * self._chunk * self._dtype.itemsize
        last = np.concatenate((first[1:], [len(self)])) - 1 if len(self) else first
        chunks = (start[last] + self.length - 1) // self._chunk - start[first] // self._chunk + 1
        return first, chunks * size

    def sampler(
        self,
        batch: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int | None = None,
        ranks: int | None = None,
        streams: int = 1,
        even: bool = True,
    ) -> WindowSampler:
        """The batch sampler for a DataLoader (`batch_sampler=`). See `WindowSampler`."""
        return WindowSampler(
            self, batch, seed=seed, shuffle=shuffle, rank=rank, ranks=ranks, streams=streams, even=even
        )

    def loader(
        self, batch: int, *, workers: int = 0, ahead: int = 2, pin: bool = False, **options: Any
    ) -> WindowLoader:
        """Batches, read ahead by a thread, or by `workers` processes. `options` are the sampler's.

        A thread is usually faster: what a worker reads is copied once more on its way.
        """
        streams = max(1, workers) if not self.cached else 1
        return WindowLoader(self, self.sampler(batch, streams=streams, **options), workers, ahead, pin)

    @property
    def fingerprint(self) -> str:
        """Stands for every choice that an order of windows depends on."""
        import hashlib

        digest = hashlib.sha256(f"{self.length} {self.stride} {self.cached} {self.buffer}".encode())
        for row in self.rows:
            digest.update(f"{row.id} {row.checksum}\n".encode())
        for column in (self._spans.recording, self._spans.first, self._spans.count, self._spans.label):
            digest.update(column.tobytes())
        return digest.hexdigest()[:16]


class WindowLoader:
    """Iterates one epoch of batches, from where it stands; again for the next epoch.

    `state_dict` counts batches given out, not those read ahead, so it is exact at any moment.
    """

    def __init__(self, windows: WindowSet, sampler: WindowSampler, workers: int, ahead: int, pin: bool) -> None:
        self.windows = windows
        self.sampler = sampler
        self._workers, self._ahead, self._pin = workers, max(1, ahead), pin
        self._made: DataLoader[Batch] | None = None
        self._epoch = 0
        self._position = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        self.windows.prepare()
        # the sampler has run ahead of what was given out
        self.sampler.epoch, self.sampler.position = self._epoch, self._position
        for batch in self._forked() if self._workers else self._threaded():
            self._position += 1
            yield batch
        self._epoch, self._position = self._epoch + 1, 0

    def _forked(self) -> Iterator[Batch]:
        if self._made is None:
            self._made = DataLoader(
                self.windows,
                batch_sampler=self.sampler,
                num_workers=self._workers,
                prefetch_factor=self._ahead,
                pin_memory=self._pin,
                collate_fn=_as_it_is,  # __getitems__ has made the batch already
                multiprocessing_context="spawn",
                persistent_workers=True,
            )
        yield from self._made

    def _threaded(self) -> Iterator[Batch]:
        made = (self.windows.__getitems__(rows) for rows in self.sampler)
        if self._pin:
            made = (Batch(*(values.pin_memory() for values in batch)) for batch in made)
        yield from ahead(made, self._ahead)

    def state_dict(self) -> dict[str, Any]:
        """Where the last batch given out stands; load it and the next one follows."""
        return {**self.sampler.state_dict(), "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after that batch. Raises InputError: that state is of other windows."""
        self.sampler.load_state_dict(state)
        self._epoch, self._position = self.sampler.epoch, self.sampler.position


def windows_of(
    store: Store,
    length: int,
    stride: int | None,
    *,
    ids: Sequence[str] | None,
    subjects: Sequence[str] | None,
    labels: Sequence[str] | None,
    share: float,
    cache: str,
    buffer_mb: float,
) -> WindowSet:
    """What `Store.windows` does."""
    stride = length if stride is None else stride
    if length < 1 or stride < 1 or not 0 < share <= 1:
        raise InputError(f"windows of {length} samples every {stride}, {share:g} labelled, cannot be cut")
    if cache not in ("raw", "none"):
        raise InputError(f'cache is "raw" or "none", not "{cache}"')
    wanted = None if ids is None else set(ids)
    for identity in wanted or ():
        store.row(identity)
    rows = tuple(
        row
        for row in store.rows
        if (wanted is None or row.id in wanted) and (subjects is None or row.subject in subjects)
    )
    if not rows:
        raise InputError(f"{store.path} has no recordings of {'these subjects' if subjects else 'these ids'}")
    for row in rows:
        for what, own, first in (
            ("channels", row.channels, rows[0].channels),
            ("rate", row.rate_hz, rows[0].rate_hz),
        ):
            if own != first:
                raise InputError(f"{row.id} has another {what} than {rows[0].id}; choose recordings of one kind")
    spans: list[tuple[int, int, int, int]] = []
    for number, row in enumerate(rows):
        if labels is None:
            spans.append((number, 0, (row.samples - length) // stride + 1, -1))
        elif row.labels.keys() & set(labels):
            spans += _labelled(store, number, row, length, stride, labels, share)
    return WindowSet(
        store.path, rows, Spans.of(spans), length, stride, cache=cache, buffer=max(1, int(buffer_mb * 1e6))
    )


def _labelled(
    store: Store, number: int, row: Row, length: int, stride: int, labels: Sequence[str], share: float
) -> Iterator[tuple[int, int, int, int]]:
    """Windows on the stride's grid of which an event covers its share, in order of start."""
    found = store.events(row.id)
    onset, size, label, names = found.onset, found.length, found.label, found.names
    position = {name: i for i, name in enumerate(store.labels or names)}
    need = int(np.ceil(share * length))
    for i in np.argsort(onset, kind="stable").tolist():
        if names[label[i]] not in labels or size[i] < need:
            continue
        begin, end = int(onset[i]), int(onset[i] + size[i])
        first = -(-max(0, begin + need - length) // stride) * stride
        last = min(end - need, row.samples - length)
        yield number, first, (last - first) // stride + 1, position[names[label[i]]]


def _gains(store: Path, rows: tuple[Row, ...]) -> npt.NDArray[np.float32]:
    from myoflow.store.chunks import chunked

    made = [chunked(store / row.id, "gain").whole() for row in rows]
    return np.stack(made).astype(np.float32) if made else np.empty((0, 0), np.float32)


def _as_it_is(batch: Any) -> Any:
    return batch
