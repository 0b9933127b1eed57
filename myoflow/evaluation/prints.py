"""Prints: what tells that two stored recordings are the same, whatever they are called."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import frozen

SMALLEST = 256  # bytes of a compressed chunk; fewer hold next to nothing, such as zeros before a recorder started
RUN = 64  # changes of a signal whose directions make a trace
KEPT = 64  # traces of a recording, chosen by what they are and not by where, so that two recordings keep the same
CHANNELS = 4  # that are looked at
VARIED = 24  # different runs of six in a trace that says something; hum and steps have few
ENOUGH = 8  # traces that two recordings share by no chance


@frozen
class Print:
    """What is known of a recording's first samples: `exact`, a hash of the bytes on disk, empty where they say next to
    nothing, and `traces`, which another gain, offset or number type leaves as they are, and a later start mostly."""

    exact: str
    traces: frozenset[int] = frozenset()


def print_of(recording: Path) -> Print:
    """The print of a stored recording: of its first chunk."""
    from myoflow.store.chunks import chunked

    chunk = recording / "emg" / "c" / "0" / "0"
    if not chunk.is_file():
        return Print("")
    data = chunk.read_bytes()
    if len(data) < SMALLEST:
        return Print("")
    return Print(hashlib.sha256(data).hexdigest(), traces(chunked(recording, "emg").read(0)))


def traces(emg: npt.NDArray[np.generic]) -> frozenset[int]:
    """Some of the sequences in which channels of `emg` `(channel, time)` go up and down, repeated samples aside."""
    found: dict[int, int] = {}
    for row in np.asarray(emg[:CHANNELS], np.float64):
        steps = np.diff(row)
        up = steps[steps != 0] > 0
        if len(up) < RUN:
            continue
        packed = np.packbits(np.lib.stride_tricks.sliding_window_view(up, RUN), axis=1)
        code = np.ascontiguousarray(packed).view(np.uint64).ravel()
        rank = (code ^ code >> np.uint64(31)) * np.uint64(0x9E3779B97F4A7C15)
        rank ^= rank >> np.uint64(32)
        some = np.argsort(rank)[: 4 * KEPT]
        sixes = np.lib.stride_tricks.sliding_window_view(up[some[:, None] + np.arange(RUN)], 6, axis=1)
        seen = np.zeros((len(some), 64), bool)
        seen[np.arange(len(some))[:, None], sixes @ (1 << np.arange(6))] = True
        good = some[seen.sum(1) >= VARIED]
        found.update(zip(code[good].tolist(), rank[good].tolist(), strict=True))
    return frozenset(sorted(found, key=found.__getitem__)[:KEPT])


class Known:
    """Prints of recordings by name, to find others among them."""

    def __init__(self, prints: Mapping[str, Print]) -> None:
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._traces: dict[int, list[str]] = defaultdict(list)
        for name, mark in prints.items():
            if mark.exact:
                self._exact[mark.exact].append(name)
            for trace in mark.traces:
                self._traces[trace].append(name)

    def names(self, mark: Print) -> list[str]:
        """Recordings that are the same as the one of this print, or a piece of the same, the likest first."""
        shared = Counter(name for trace in mark.traces for name in self._traces.get(trace, ()))
        alike = [name for name, count in shared.most_common() if count >= ENOUGH]
        return list(dict.fromkeys([*self._exact.get(mark.exact, ()), *alike]))


def twins(test: Mapping[str, Print], learned: Mapping[str, Print]) -> list[tuple[str, str]]:
    """Pairs (test id, learned id) of recordings that are the same under different ids."""
    known = Known(learned)
    others = {name: [other for other in known.names(mark) if other != name] for name, mark in test.items()}
    return [(name, found[0]) for name, found in others.items() if found]
