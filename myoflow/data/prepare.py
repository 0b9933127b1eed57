"""Prepare: from stored recordings to filtered signals and labelled windows, cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from attrs import evolve

from myoflow.data.source import chosen_target
from myoflow.engine import Parameters
from myoflow.errors import InputError, did_you_mean
from myoflow.files import beside
from myoflow.parallel import Workers
from myoflow.pipeline import Plan, compile_steps
from myoflow.prepared import Prepared
from myoflow.progress import Progress
from myoflow.recording import Events, Recording, Stream
from myoflow.spec import Spec, Target
from myoflow.store.windows import Windows

if TYPE_CHECKING:
    from myoflow.recipe import Data
    from myoflow.store import Row, Store

Array = npt.NDArray[Any]
W = TypeVar("W", bound=Windows)

VERSION = 1  # raise it when prepared signals change for the same recipe


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
) -> list[Prepared]:
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


def _signal(row: Row, values: Array, events: Events, labels: tuple[str, ...], plan: Plan, stop: int) -> Prepared:
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
    return Prepared(
        row.id, row.subject, row.session, row.subset, values, onset, length, label[keep], events.repetition[keep]
    )


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
