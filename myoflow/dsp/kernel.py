"""Kernel: the stateful form of a host stage; offline is streaming with one chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Kernel(Protocol):
    """Takes a signal in pieces of any size and gives what can be known so far.

    Signal kernels take `(channel, time)` and cut along time; kernels after the window stage take
    `(window, ...)` and cut along window. Float32 in, float32 out; state is kept in float64 where it
    accumulates. The concatenation of all outputs, `flush()` last, does not depend on how the input was cut,
    to the last bit. A kernel never changes the array it was given.
    """

    def feed(self, chunk: Array) -> Array:
        """The outputs that this chunk completes; may be empty, with the right other axes."""
        ...

    def flush(self) -> Array:
        """What is left at the end of the signal; the kernel is not used afterwards."""
        ...


def merge(first: Kernel, second: Kernel) -> Kernel | None:
    """Two unused neighbours as one kernel, where the first knows how (a method `merge`); else None."""
    together: Callable[[Kernel], Kernel | None] | None = getattr(first, "merge", None)
    return together(second) if together else None


class Mapped:
    """Kernel of a function without memory: each sample (or window) alone decides its output."""

    def __init__(self, function: Callable[[Array], Array], empty: tuple[int, ...], axis: int) -> None:
        """`empty` is the shape of an empty output, `axis` the one that is cut (kept for readers)."""
        self._function = function
        self._empty = empty
        self.axis = axis

    def feed(self, chunk: Array) -> Array:
        return self._function(chunk)

    def flush(self) -> Array:
        return np.empty(self._empty, np.float32)


class Whole:
    """Kernel of a function that needs the whole recording: keeps everything until `flush`.

    A stage that uses it must say so in its Spec with `spec.block(reason)`.
    """

    def __init__(self, function: Callable[[Array], Array], channels: int, out_channels: int) -> None:
        self._function = function
        self._channels = channels
        self._out_channels = out_channels
        self._chunks: list[Array] = []

    def feed(self, chunk: Array) -> Array:
        self._chunks.append(np.array(chunk))
        return np.empty((self._out_channels, 0), np.float32)

    def flush(self) -> Array:
        if not self._chunks:
            return np.empty((self._out_channels, 0), np.float32)
        return self._function(np.concatenate(self._chunks, axis=1))


class Chain:
    """Kernels (or compiled programs) one after the other; what one gives is at once fed to the next."""

    def __init__(self, links: Sequence[Kernel], axes: Sequence[int]) -> None:
        """`axes[i]` is the axis along which outputs of `links[i]` are joined."""
        if not links:
            raise ValueError("a chain needs at least one link")
        self._links = tuple(links)
        self._axes = tuple(axes)

    @property
    def choices(self) -> tuple[str, ...]:
        """What the programs among the links chose, each once."""
        told = [choice for link in self._links for choice in getattr(link, "choices", ())]
        return tuple(dict.fromkeys(told))

    @property
    def details(self) -> list[Mapping[str, Any]]:
        """What the programs among the links have to say in a report; see `engine.Program`."""
        return [part for link in self._links for part in getattr(link, "details", ())]

    def front(self, *given: Any) -> Any:
        """What the first link's program computes in place of the stages before it; see `engine.Program`."""
        make = getattr(self._links[0], "front", None)
        return make(*given) if make is not None else None

    def feed(self, chunk: Array) -> Array:
        for link in self._links:
            chunk = link.feed(chunk)
        return chunk

    def flush(self) -> Array:
        tail = self._links[0].flush()
        for link, axis in zip(self._links[1:], self._axes[1:], strict=True):
            tail = joined([link.feed(tail), link.flush()], axis)
        return tail

    def whole(self, array: Array) -> Array:
        """Everything for a whole recording; the chain is over afterwards."""
        return joined([self.feed(array), self.flush()], self._axes[-1])


def joined(pieces: Sequence[Array], axis: int) -> Array:
    """Pieces one after the other; empty ones may differ in their other open axes (utterances have no common length)."""
    some = [piece for piece in pieces if piece.shape[axis]] or pieces[:1]
    return np.concatenate(some, axis=axis)
