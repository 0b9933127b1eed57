"""Prepare: from stored recordings to filtered signals and labelled windows, cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from myoflow.data.source import chosen_target
from myoflow.engine import Parameters
from myoflow.errors import InputError, PlanError, did_you_mean
from myoflow.files import beside
from myoflow.parallel import Workers
from myoflow.pipeline import Plan, compile_steps
from myoflow.progress import Progress
from myoflow.recording import Events, Recording, Stream
from myoflow.spec import Spec, Target
from myoflow.stage import cutting
from myoflow.store.windows import Windows
from myoflow.task import PARTS

if TYPE_CHECKING:
    from myoflow.recipe import Data
    from myoflow.split import Fold
    from myoflow.stages.window import Window
    from myoflow.store import Row, Store

Array = npt.NDArray[Any]
W = TypeVar("W", bound=Windows)

VERSION = 1  # raise it when prepared signals change for the same recipe


@frozen(eq=False)
class Signal:
    """One recording after the signal stages, with its events in samples of that signal.

    `target` `(channel, time)` is the stream to learn at the rate that the Spec's target says, NaN where unknown.
    """

    id: str
    subject: str
    session: str
    subset: str
    values: Array
    onset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    repetition: npt.NDArray[np.int16]
    target: Array | None = None
    raw: Callable[[], Recording] | None = None  # the recording as stored, with its other streams and what is told of it
    dataset: str = ""


def read(store: Store, row: Row, data: Data) -> Recording:
    """A stored recording as the recipe's `data` section wants it: on an even clock, spliced if asked."""
    from myoflow.store.regular import regularise, splice

    recording = store.raw(row.id)
    if data.channels is not None:
        recording = recording.pick(data.channels)
    if data.every > 1:
        recording = recording.every(data.every)
    if data.regularise is not None:
        recording = regularise(recording, data.regularise)
    return splice(recording) if data.splice else recording


def input_spec(store: Store, data: Data, labels: Sequence[str]) -> Spec:
    """The Spec of what a store gives to a pipeline. Raises InputError when its recordings differ."""
    rows = store.rows
    if not rows:
        raise InputError(f"{store.path} holds no recordings; convert the dataset first")
    first = rows[0]
    rates = {row.rate_hz for row in rows}
    if data.regularise is None and len(rates) > 1:
        found = ", ".join(f"{rate:g} Hz" for rate in sorted(rates))
        raise InputError(f"{store.path} holds recordings at {found}; a pipeline takes one rate")
    layouts = {tuple(row.channels) for row in rows}
    if len(layouts) > 1:
        odd = next(row for row in rows if tuple(row.channels) != tuple(first.channels))
        raise InputError(f"{store.path}: {odd.id} has other channels than {first.id}; a pipeline takes one layout")
    if len(units := sorted({row.units for row in rows})) > 1:
        odd = next(row for row in rows if row.units != first.units)
        raise InputError(
            f"{store.path} holds signals in {' and '.join(units)}: {odd.id} is in {odd.units}, {first.id} in "
            f"{first.units}; a pipeline takes one unit. Convert them with one, or choose some with data.only"
        )
    rate = data.regularise or first.rate_hz / data.every
    for name in data.channels or ():
        if name not in first.channels:
            close = did_you_mean(name, first.channels) or "."
            raise InputError(f"{store.path} has no channel '{name}'{close} It has: {', '.join(first.channels)}")
    target = None
    if data.target is not None:
        stream = _stream(store.raw(first.id), data)
        target = chosen_target(data, Target(data.target, stream.channels, stream.rate_hz, stream.units))
    channels = data.channels or tuple(first.channels)
    return Spec.signal(channels, rate, units=first.units, labels=tuple(labels), target=target)


def signals(
    store: Store,
    data: Data,
    plan: Plan,
    stop: int,
    parameters: Parameters,
    *,
    cache: Path,
    progress: Progress,
    subjects: Sequence[str] | None = None,
    workers: Workers | None = None,
) -> list[Signal]:
    """Recordings through the signal stages `plan.steps[:stop]`, each computed once and kept under `cache`.

    They are done by `workers`, here in threads (kernels release the GIL), and read back memory-mapped, so that memory
    does not grow with the dataset. A cluster's workers must see the store and `cache` under the same paths.
    """
    rows = [row for row in store.rows if subjects is None or row.subject in subjects]
    folder = (cache / "signals" / key(store, data, plan, stop, parameters)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    paths = {row.id: folder / (row.id.replace("/", "_") + ".npy") for row in rows}
    missing = [row for row in rows if _cached(paths[row.id]) is None]
    if missing:
        job = partial(_filter, store.path.absolute(), data, plan, stop, parameters)
        tasks = [(row.id, partial(partial, job, row.id, paths[row.id])) for row in missing]
        with progress.phase("Filtering recordings", len(tasks)) as advance:
            for _ in (workers or Workers()).each(tasks, "The same command continues.", compiled=True):
                advance(1)
    found = []
    for row in rows:
        values, recording = np.load(paths[row.id], mmap_mode="r"), read(store, row, data)
        signal = _signal(row, values, recording.events, plan.input.labels, plan, stop)
        if plan.input.target is not None:
            signal = evolve(signal, target=_target(cache, store, recording, data, plan.input.target))
        found.append(evolve(signal, raw=partial(read, store, row, data), dataset=data.dataset))
    return found


def _target(cache: Path, store: Store, recording: Recording, data: Data, target: Target) -> Array:
    """The stream to learn, `(channel, time)` float32 at the target's rate, kept under `cache` and memory-mapped."""
    name = hashlib.sha256(f"{VERSION} {store.digest} {target}".encode()).hexdigest()[:20]
    path = cache / "targets" / name / (recording.id.replace("/", "_") + ".npy")
    known = _cached(path)
    if known is not None:
        return known
    stream = _stream(recording, data)
    rows = [stream.channels.index(channel) for channel in target.channels]
    values = np.asarray(stream.values)[rows].astype(np.float32)
    if target.rate_hz != stream.rate_hz:
        count = int(values.shape[1] * target.rate_hz / stream.rate_hz)
        at = np.arange(count) * (stream.rate_hz / target.rate_hz)
        values = np.stack([np.interp(at, np.arange(values.shape[1]), row) for row in values]).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as part, part.open("wb") as file:
        np.save(file, np.ascontiguousarray(values))
    return np.asarray(np.load(path, mmap_mode="r"))


def _stream(recording: Recording, data: Data) -> Stream:
    """The stream that a recipe learns. Raises InputError: the recording has none of that name."""
    name = str(data.target)
    if name not in recording.streams:
        there = ", ".join(recording.streams) or "none"
        raise InputError(
            f"{recording.id} has no stream '{name}'{did_you_mean(name, recording.streams) or '.'} It has: {there}"
        )
    return recording.streams[name]


def _filter(path: Path, data: Data, plan: Plan, stop: int, parameters: Parameters, identity: str, target: Path) -> None:
    """One recording through the signal stages, kept at `target`; what a worker does."""
    store = _opened(path, (path / "index.json").stat().st_mtime_ns)
    recording = read(store, store.row(identity), data)
    emg = (recording.emg * recording.gain[:, None]).astype(np.float32)
    try:
        out = compile_steps(plan, parameters, 0, stop).whole(emg) if stop else emg
    except InputError as error:
        raise InputError(f"{identity}: {error}") from error
    with beside(target) as part:
        np.save(part, np.ascontiguousarray(out))


@lru_cache(maxsize=2)
def _opened(path: Path, changed: int) -> Store:
    """A store, opened once by each worker."""
    from myoflow.store import open_store

    return open_store(path)


def _cached(path: Path) -> Array | None:
    """A kept signal, memory-mapped; None when there is none, or when the file is damaged."""
    try:
        found: Array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found


def _signal(row: Row, values: Array, events: Events, labels: tuple[str, ...], plan: Plan, stop: int) -> Signal:
    scale = (plan.steps[stop - 1].after.rate_hz if stop else plan.input.rate_hz) / plan.input.rate_hz
    index = {name: i for i, name in enumerate(labels)}
    wanted = np.array([index.get(name, -1) for name in events.names], np.int64)
    label = wanted[events.label] if len(events.label) else np.empty(0, np.int64)
    keep = label >= 0
    onset, length = events.onset[keep], events.length[keep]
    if scale != 1.0:
        end = np.floor((onset + length) * scale).astype(np.int64)
        onset = np.ceil(onset * scale).astype(np.int64)
        length = end - onset
    return Signal(
        row.id, row.subject, row.session, row.subset, values, onset, length, label[keep], events.repetition[keep]
    )


def cut(prepared: Sequence[Signal], stage: Window, spec: Spec, *, training: bool) -> Windows:
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
    prepared: Sequence[Signal], spec: Spec, length: int, recording: Array, start: Array, label: Array, repetition: Array
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


def everywhere(prepared: Sequence[Signal], stage: Window, spec: Spec, *, training: bool) -> Windows:
    """All windows of prepared signals on the grid of a live stream, whatever is marked there; their label is -1."""
    length = stage.length.samples(spec.rate_hz)
    stride = (stage.train_stride if training and stage.train_stride else stage.stride).samples(spec.rate_hz)
    starts = [np.arange(0, signal.values.shape[1] - length + 1, stride, dtype=np.int64) for signal in prepared]
    count = sum(map(len, starts))
    return Windows(
        signals=tuple(signal.values for signal in prepared),
        rate_hz=spec.rate_hz,
        ids=tuple(signal.id for signal in prepared),
        subjects=tuple(signal.subject for signal in prepared),
        sessions=tuple(signal.session for signal in prepared),
        subsets=tuple(signal.subset for signal in prepared),
        length=length,
        recording=np.repeat(np.arange(len(prepared), dtype=np.int32), [len(found) for found in starts]),
        start=np.concatenate([np.empty(0, np.int64), *starts]),
        label=np.full(count, -1, np.int64),
        repetition=np.zeros(count, np.int16),
    )


def cut_along(prepared: Sequence[Signal], stage: Window, spec: Spec, *, training: bool, whole: bool) -> Windows:
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


def _stretches(signal: Signal, whole: bool) -> Iterator[tuple[int, int, tuple[Array, Array], Array]]:
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


def parts(every: Mapping[bool, W], prepared: Sequence[Signal], fold: Fold, by: str) -> list[W]:
    """Training, validation and test windows of a fold; `every` says by True and False which windows train and test."""
    found = []
    for part, names in zip(PARTS, fold, strict=True):
        windows = every[part == "train"]
        windows = windows.select(np.isin(windows.units(by), list(names)))
        found.append(without_straddlers(windows, prepared, names) if by == "repetition" else windows)
    return found


def without_straddlers(windows: W, prepared: Sequence[Signal], units: Sequence[str]) -> W:
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


def find_cut(plan: Plan) -> int:
    """Index of the stage that cuts the signal into examples. Raises PlanError: a decoder needs one."""
    index = cutting([step.stage for step in plan.steps])
    if index is None:
        raise PlanError("the pipeline has no window stage; a classifier decides on windows")
    return index


def key(store: Store, data: Data, plan: Plan, stop: int, parameters: Parameters) -> str:
    """Names prepared signals by everything that decides them: the store, the stages and what they have learned."""
    digest = hashlib.sha256(f"{VERSION} {store.digest} {data.regularise} {data.splice}".encode())
    if data.channels is not None or data.every > 1:
        digest.update(f"{data.channels} {data.every}".encode())
    digest.update(repr([step.stage for step in plan.steps[:stop]]).encode())
    for index in sorted(i for i in parameters.states if i < stop):
        for name, value in sorted(parameters.states[index].items()):
            digest.update(f"{index} {name}".encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:20]
