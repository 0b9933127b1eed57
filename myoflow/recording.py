"""Recording: one continuous piece of raw data with its events, as readers give it and the store keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from attrs import Factory, evolve, frozen

RawArray = npt.NDArray[np.integer[Any] | np.float32]


@frozen(eq=False)
class Blocks:
    """A `(channel, time)` array that comes in blocks along time, so that a long one need not fit into memory.

    `make()` starts anew at the first sample; blocks are of any length. numpy makes the whole of it when asked.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    make: Callable[[], Iterator[npt.NDArray[Any]]]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def __getitem__(self, rows: list[int]) -> Blocks:
        """The channels of these numbers, still in blocks."""
        if list(rows) == list(range(self.shape[0])):
            return self
        return evolve(self, shape=(len(rows), self.shape[1]), make=lambda: (block[rows] for block in self.make()))

    def each(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], dtype: npt.DTypeLike) -> Blocks:
        """Every block changed by a function that keeps its shape and makes `dtype`."""
        return evolve(self, dtype=np.dtype(dtype), make=lambda: map(change, self.make()))

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """The blocks, from the first sample on."""
        return self.make()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        out = np.empty(self.shape, self.dtype)
        at = 0
        for block in self.blocks():
            out[:, at : at + block.shape[1]] = block
            at += block.shape[1]
        return out if dtype is None else out.astype(dtype)


def in_blocks(shape: tuple[int, int], dtype: npt.DTypeLike, make: Callable[[], Iterator[npt.NDArray[Any]]]) -> RawArray:
    """`Blocks` for a Recording's `emg`, which bears an array's type because all but the writer meet an array there."""
    return cast(RawArray, Blocks(shape, np.dtype(dtype), make))


@frozen(eq=False)
class Events:
    """Labelled spans of a recording. `onset` and `length` count samples of its EMG, `label` indexes `names`."""

    onset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    label: npt.NDArray[np.int16]
    repetition: npt.NDArray[np.int16]
    names: tuple[str, ...]


@frozen(eq=False)
class Stream:
    """Another signal recorded beside the EMG, `(channel, time)`, at its own rate, starting with the EMG."""

    values: npt.NDArray[Any]
    rate_hz: float
    units: str
    channels: tuple[str, ...]


@frozen(eq=False)
class Recording:
    """Raw EMG `(channel, time)` in the recorder's integers; in `units` it is `emg * gain[:, None]`.

    Where only scaled or filtered values were published, `emg` holds them as float32, with a gain of 1.

    `subject`, `session` and `run` are BIDS labels without their prefix ("01"). `timestamp_ms`, where a recorder
    kept an uneven clock, is one time in ms per sample, starting anywhere, never falling. `sources` are
    (file name, SHA-256) pairs; `repairs` says in words what the reader dropped or mended. `attrs` uses BIDS-EMG names.
    A reader of long files may give `emg` (and a stream's `values`) as `Blocks`, for the writer only; what a store gives
    back is an array.
    """

    subject: str
    session: str
    run: str
    emg: RawArray
    gain: npt.NDArray[np.float32]
    rate_hz: float
    channels: tuple[str, ...]
    events: Events
    units: str = "V"
    timestamp_ms: npt.NDArray[np.int32] | None = None
    streams: dict[str, Stream] = Factory(dict)
    attrs: dict[str, Any] = Factory(dict)
    sources: tuple[tuple[str, str], ...] = ()
    repairs: tuple[str, ...] = ()

    def pick(self, names: Sequence[str]) -> Recording:
        """Some channels, in that order. Raises ValueError when one is not there."""
        rows = [self.channels.index(name) for name in names]
        return evolve(self, emg=self.emg[rows], gain=self.gain[rows], channels=tuple(names))

    def every(self, nth: int) -> Recording:
        """Each nth sample, from the first on, without a filter; events keep their place, those that hold none go."""
        ends = -(-(self.events.onset + self.events.length) // nth)
        onset = -(-self.events.onset // nth)
        keep = ends > onset
        events = {name: getattr(self.events, name)[keep] for name in ("label", "repetition")}
        return evolve(
            self,
            emg=np.ascontiguousarray(self.emg[:, ::nth]),
            rate_hz=self.rate_hz / nth,
            timestamp_ms=None if self.timestamp_ms is None else self.timestamp_ms[::nth],
            events=evolve(self.events, onset=onset[keep], length=(ends - onset)[keep], **events),
        )

    @property
    def id(self) -> str:
        """`sub-01/ses-01/run-1`: its path in the store."""
        return f"sub-{self.subject}/ses-{self.session}/run-{self.run}"
