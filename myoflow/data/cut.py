"""Cut: windows of prepared signals, and which of them train, validate and test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from myoflow.prepared import Prepared
from myoflow.spec import Spec
from myoflow.store.windows import Windows
from myoflow.task import PARTS

if TYPE_CHECKING:
    from myoflow.split import Fold
    from myoflow.stages.window import Window

Array = npt.NDArray[Any]
W = TypeVar("W", bound=Windows)


def cut(prepared: Sequence[Prepared], stage: Window, spec: Spec, *, training: bool) -> Windows:
    """The labelled windows of prepared signals, as the window stage says.

    A window counts when one event covers `label_share` of it; its label and repetition are that event's. With
    `anchor: event` windows start at each event's onset, else on the grid that a live stream has.
    """
    length = stage.length.samples(spec.rate_hz)
    stride = (stage.train_stride if training and stage.train_stride else stage.stride).samples(spec.rate_hz)
    need = int(np.ceil(stage.label_share * length))
    columns: list[tuple[Array, ...]] = []
    for number, signal in enumerate(prepared):
        for onset, size, label, repetition in zip(
            signal.onset, signal.length, signal.label, signal.repetition, strict=True
        ):
            if size < need:
                continue  # the whole event is less than the share that a window needs
            first, last = onset + need - length, onset + size - need  # starts that give enough overlap
            first, last = max(first, 0), min(last, signal.values.shape[1] - length)
            first = max(first, onset) if stage.anchor == "event" else -(-first // stride) * stride
            starts = np.arange(first, last + 1, stride, dtype=np.int64)
            same = np.ones(len(starts), np.int64)
            columns.append((same * number, starts, same * label, same * repetition))
    recording, start, label_, repetition_ = (
        np.concatenate(parts) if columns else np.empty(0, np.int64)
        for parts in (zip(*columns, strict=True) if columns else [()] * 4)
    )
    return _windows(prepared, spec, length, recording, start, label_, repetition_)


def _windows(
    prepared: Sequence[Prepared],
    spec: Spec,
    length: int,
    recording: Array,
    start: Array,
    label: Array,
    repetition: Array,
) -> Windows:
    """The table of windows, in order."""
    order = np.lexsort((start, recording))
    return Windows(
        signals=tuple(signal.values for signal in prepared),
        rate_hz=spec.rate_hz,
        ids=tuple(signal.id for signal in prepared),
        subjects=tuple(signal.subject for signal in prepared),
        sessions=tuple(signal.session for signal in prepared),
        subsets=tuple(signal.subset for signal in prepared),
        length=length,
        recording=recording[order].astype(np.int32),
        start=start[order],
        label=label[order],
        repetition=repetition[order].astype(np.int16),
    )


def everywhere(prepared: Sequence[Prepared], stage: Window, spec: Spec, *, training: bool) -> Windows:
    """All windows of prepared signals on the grid of a live stream, whatever is marked there; their label is -1."""
    length = stage.length.samples(spec.rate_hz)
    stride = (stage.train_stride if training and stage.train_stride else stage.stride).samples(spec.rate_hz)
    starts = [np.arange(0, signal.values.shape[1] - length + 1, stride, dtype=np.int64) for signal in prepared]
    recording = np.repeat(np.arange(len(prepared)), [len(found) for found in starts])
    start = np.concatenate([np.empty(0, np.int64), *starts])
    return _windows(prepared, spec, length, recording, start, np.full(len(start), -1), np.zeros(len(start), np.int16))


def cut_along(prepared: Sequence[Prepared], stage: Window, spec: Spec, *, training: bool, whole: bool) -> Windows:
    """Windows along continuous stretches of labelled events, whatever their labels, for targets that change inside.

    A stretch ends where the next event does not follow at once, or, unless `whole`, bears another repetition. A
    recording without any event is one stretch. A window's label and repetition are those at its middle.
    """
    length = stage.length.samples(spec.rate_hz)
    stride = (stage.train_stride if training and stage.train_stride else stage.stride).samples(spec.rate_hz)
    found: list[tuple[Array, Array, Array, Array]] = []
    for number, signal in enumerate(prepared):
        for first, last, label, repetition in _stretches(signal, whole):
            last = min(last, signal.values.shape[1])
            starts = np.arange(-(-first // stride) * stride, last - length + 1, stride, dtype=np.int64)
            if len(starts):
                at = np.clip(np.searchsorted(label[0], starts + length // 2, side="right") - 1, 0, None)
                found.append((np.full(len(starts), number), starts, label[1][at], repetition[at]))
    columns = [np.concatenate(parts) if found else np.empty(0, np.int64) for parts in zip(*found, strict=True)] or [
        np.empty(0, np.int64)
    ] * 4
    return _windows(prepared, spec, length, *columns)


def _stretches(signal: Prepared, whole: bool) -> Iterator[tuple[int, int, tuple[Array, Array], Array]]:
    """First sample, end, (onsets, labels) and repetitions of the events in each stretch."""
    if not len(signal.onset):
        zero = np.zeros(1, np.int64)
        yield 0, signal.values.shape[1], (zero, zero), zero
        return
    order = np.argsort(signal.onset, kind="stable")
    onset, end = signal.onset[order], (signal.onset + signal.length)[order]
    label, repetition = signal.label[order], signal.repetition[order]
    apart = onset[1:] > end[:-1]
    if not whole:
        apart |= repetition[1:] != repetition[:-1]
    for piece in np.split(np.arange(len(order)), np.flatnonzero(apart) + 1):
        yield int(onset[piece[0]]), int(end[piece].max()), (onset[piece], label[piece]), repetition[piece]


def parts(every: Mapping[bool, W], prepared: Sequence[Prepared], fold: Fold, by: str) -> list[W]:
    """Training, validation and test windows of a fold; `every` says by True and False which windows train and test."""
    found = []
    for part, names in zip(PARTS, fold, strict=True):
        windows = every[part == "train"]
        windows = windows.select(np.isin(windows.units(by), list(names)))
        found.append(without_straddlers(windows, prepared, names) if by == "repetition" else windows)
    return found


def without_straddlers(windows: W, prepared: Sequence[Prepared], units: Sequence[str]) -> W:
    """For a split by repetition: drop windows that touch an event of a repetition outside `units`."""
    inside = {str(unit) for unit in units}
    keep = np.ones(len(windows), bool)
    for number, signal in enumerate(prepared):
        rows = np.flatnonzero(windows.recording == number)
        starts = windows.start[rows]
        for onset, size, repetition in zip(signal.onset, signal.length, signal.repetition, strict=True):
            if str(repetition) not in inside:
                keep[rows] &= ~((starts < onset + size) & (starts + windows.length > onset))
    return windows.select(keep)
