"""Sampler: the order of an epoch's windows, for one rank.

Shuffling is in two steps: blocks of neighbouring windows are shuffled, then the windows of as many blocks as the
shuffle buffer holds. With a decode cache every window is as near as any other, and the buffer is the whole epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.store.loader import WindowSet

Array = npt.NDArray[Any]


class WindowSampler(Sampler[list[int]]):
    """Batches of window numbers for one rank.

    Every rank gets a stretch of one common order, of the same length for all (`even`: the windows left over, fewer than
    there are ranks, wait for another epoch's order; otherwise, for evaluation, every window comes once and ranks may
    differ by one). `rank` and `ranks` are torch.distributed's where it runs. With `streams` above 1 the stretch is cut
    in that many, and batches are taken from each in turn, so that each of as many DataLoader workers stays in a stretch
    of its own and decodes it alone.

    Iterating goes on from `position` batches into `epoch`; at its end the epoch counts up.
    """

    def __init__(
        self,
        windows: WindowSet,
        batch: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int | None = None,
        ranks: int | None = None,
        streams: int = 1,
        even: bool = True,
    ) -> None:
        if rank is None or ranks is None:
            rank, ranks = _distributed()
        if batch < 1 or streams < 1 or not 0 <= rank < ranks:
            raise InputError(f"there is no batch of {batch} windows on rank {rank} of {ranks} in {streams} streams")
        self.windows, self.batch, self.seed, self.shuffle = windows, batch, seed, shuffle
        self.rank, self.ranks, self.streams, self.even = rank, ranks, streams, even
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank."""
        bounds = self._bounds()
        return sum(-(-(stop - start) // self.batch) for start, stop in pairwise(bounds))

    def _bounds(self) -> list[int]:
        """Where this rank's streams begin and end in the common order."""
        total = len(self.windows)
        share = total // self.ranks
        if self.even:
            start, stop = self.rank * share, (self.rank + 1) * share
        else:
            start, stop = self.rank * total // self.ranks, (self.rank + 1) * total // self.ranks
        return [start + (stop - start) * i // self.streams for i in range(self.streams + 1)]

    def order(self, epoch: int) -> Array:
        """All windows in this epoch's order, the same on every rank."""
        if not self.shuffle:
            return np.arange(len(self.windows))
        rng = np.random.default_rng([self.seed, epoch])
        first, size = self.windows.blocks()
        if self.windows.cached or len(first) < 2:
            return rng.permutation(len(self.windows))
        shuffled = rng.permutation(len(first))
        ends = np.concatenate((first[1:], [len(self.windows)]))
        buffer = np.empty(len(first), np.int64)
        buffer[shuffled] = np.cumsum(size[shuffled]) // max(1, self.windows.buffer)
        return np.lexsort((rng.random(len(self.windows)), np.repeat(buffer, ends - first)))

    def batches(self, epoch: int) -> Iterator[Array]:
        """This rank's batches of an epoch, from its start."""
        order, bounds = self.order(epoch), self._bounds()
        parts = [order[start:stop] for start, stop in pairwise(bounds)]
        for at in range(0, max((len(part) for part in parts), default=0), self.batch):
            for part in parts:
                if at < len(part):
                    yield part[at : at + self.batch]

    def __iter__(self) -> Iterator[list[int]]:
        done = self.position
        for number, rows in enumerate(self.batches(self.epoch)):
            if number >= done:
                self.position = number + 1
                yield rows.tolist()
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, and what it stands in."""
        known = ("seed", "shuffle", "batch", "ranks", "streams", "even", "epoch", "position")
        return {**{name: getattr(self, name) for name in known}, "windows": self.windows.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. Raises InputError: that state is of another order of windows."""
        own = self.state_dict()
        for name in own.keys() - {"epoch", "position"}:
            if state.get(name) != own[name]:
                raise InputError(
                    f"cannot resume in the windows: {name} was {state.get(name)} and is {own[name]}; "
                    "resume with the same store, windows, batch size, ranks and workers, or start anew"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


def _distributed() -> tuple[int, int]:
    """Rank and number of ranks of torch.distributed, or of the only process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
