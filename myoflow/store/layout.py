"""Layout: one recording as one zarr v3 group, written and read back without loss.

    sub-01/ses-01/run-1/
      emg(channel, time)      the recorder's own integers, or the files' float32; units are `emg * gain`
      gain(channel)           float32
      timestamp_ms(time)      int32, only for recorders with an uneven clock
      channel(channel)        names
      onset length label repetition (event)
      <stream>(<stream>_channel, <stream>_time), at its own rate

Attributes use BIDS-EMG's CamelCase names; ours are snake_case (`OWN`). The metadata of a group's arrays are
repeated in its `zarr.json` ("consolidated", an extension that zarr and xarray read), so plain
`xarray.open_zarr` opens it in one read and without a warning. Nothing in it depends on when it was written.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from myoflow.errors import MyoflowError
from myoflow.recording import Events, Recording, Stream

if TYPE_CHECKING:
    import zarr

CHUNK = 8192  # samples of all channels: about 64-260 kB, the size that decodes fastest (facts/software.md 4)
_PIECE = 8  # chunks written at once when an array comes in blocks
META = "zarr.json"
OWN = ("dataset", "labels", "reader", "reader_version", "repairs", "run", "session", "sources", "subject")
EVENTS = {"onset": np.int64, "length": np.int64, "label": np.int16, "repetition": np.int16}
_TAKEN = {"emg", "gain", "channel", "timestamp_ms", *EVENTS}


@frozen
class Origin:
    """Which dataset card and reader a recording came through."""

    dataset: str
    reader: str
    reader_version: str


def check(recording: Recording) -> None:
    """Refuse a recording that contradicts itself: sizes, events outside it, a clock that falls.

    Raises:
        MyoflowError: a reader made a wrong recording.
    """
    rec, events = recording, recording.events
    wrong = []
    if rec.emg.ndim != 2 or not (rec.emg.dtype.kind == "i" or rec.emg.dtype == np.float32):
        wrong.append(f"emg is {rec.emg.dtype} with {rec.emg.ndim} axes, not integers or float32 (channel, time)")
    elif rec.gain.shape != (rec.emg.shape[0],) or len(rec.channels) != rec.emg.shape[0]:
        wrong.append(f"{rec.emg.shape[0]} channels, {len(rec.channels)} names, {rec.gain.size} gains")
    elif rec.timestamp_ms is not None and rec.timestamp_ms.shape != (rec.emg.shape[1],):
        wrong.append(f"{rec.emg.shape[1]} samples, but {rec.timestamp_ms.size} time stamps")
    elif rec.timestamp_ms is not None and np.any(np.diff(rec.timestamp_ms) < 0):
        wrong.append("time stamps fall")
    for name, word in (("subject", rec.subject), ("session", rec.session), ("run", rec.run)):
        if not (word.isascii() and word.isalnum()):
            wrong.append(f"{name} '{word}' is not letters and digits, as BIDS wants")
    columns = [getattr(events, name) for name in EVENTS]
    if len({len(column) for column in columns}) != 1:
        wrong.append("event columns differ in length")
    elif len(events.onset):
        end = events.onset + events.length
        if events.onset.min() < 0 or events.length.min() < 1 or end.max() > rec.emg.shape[-1]:
            wrong.append("an event reaches outside the recording or has no length")
        if events.label.min() < 0 or events.label.max() >= len(events.names):
            wrong.append(f"an event's label is not one of the {len(events.names)} names")
    for name in rec.streams:
        if name in _TAKEN or not name.isidentifier():
            wrong.append(f"a stream cannot be called '{name}'")
    for name in set(rec.attrs) & set(OWN):
        wrong.append(f"attribute '{name}' is the store's own")
    try:
        dumps(rec.attrs)
    except (TypeError, ValueError) as error:
        wrong.append(f"attributes do not fit JSON: {error}")
    if wrong:
        raise MyoflowError(f"{rec.id}: {'; '.join(wrong)}")


def duration_s(recording: Recording) -> float:
    """Length in seconds: by the recorder's clock where it kept one, else samples over rate."""
    clock = recording.timestamp_ms
    if clock is not None and len(clock):
        return float(int(clock[-1]) - int(clock[0])) / 1000
    return float(recording.emg.shape[1] / recording.rate_hz)


def write_group(path: Path, recording: Recording, origin: Origin) -> None:
    """Write `recording` as a new group at `path`.

    Raises:
        MyoflowError: the recording contradicts itself.
        OSError: the disk.
    """
    import zarr
    from zarr.codecs import BloscCodec

    rec = recording
    check(rec)
    group = zarr.create_group(store=str(path), zarr_format=3, attributes=_attributes(rec, origin))

    def put(
        name: str, values: Any, dims: tuple[str, ...], chunk: int | None = None, note: Mapping[str, Any] | None = None
    ) -> None:
        """One array; `chunk` is its size along the last axis, compressed; without it one plain chunk."""
        lazy = hasattr(values, "blocks")
        if not lazy:
            values = np.asarray(values)
        chunks = [max(1, size) for size in values.shape]
        codec = None
        if chunk is not None:
            chunks[-1] = min(chunks[-1], chunk)
            codec = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=values.dtype.itemsize)
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=tuple(chunks),
            compressors=codec,
            dimension_names=dims,
            attributes=dict(note or {}),
        )
        if not lazy:
            array[...] = values
            return
        at = 0
        for piece in _aligned(values, _PIECE * chunks[-1]):
            array[:, at : at + piece.shape[1]] = piece
            at += piece.shape[1]

    put("emg", rec.emg, ("channel", "time"), CHUNK, {"units": rec.units, "SamplingFrequency": rec.rate_hz})
    put("gain", rec.gain.astype(np.float32), ("channel",))
    put("channel", _text(rec.channels), ("channel",))
    if rec.timestamp_ms is not None:
        put("timestamp_ms", rec.timestamp_ms.astype(np.int32), ("time",), 8 * CHUNK)
    for name, dtype in EVENTS.items():
        put(name, getattr(rec.events, name).astype(dtype), ("event",))
    for name, stream in rec.streams.items():
        dims = (f"{name}_channel", f"{name}_time")
        put(name, stream.values, dims, CHUNK, {"units": stream.units, "SamplingFrequency": stream.rate_hz})
        put(dims[0], _text(stream.channels), dims[:1])
    _consolidate(path)


def _aligned(values: Any, size: int) -> Iterator[Any]:
    """The blocks of a lazy array, cut anew into pieces of `size` samples; the last may be shorter.

    Raises:
        MyoflowError: they are not what the array's shape and dtype promise.
    """
    channels, samples = values.shape
    piece = np.empty((channels, min(size, samples)), values.dtype)
    filled = done = 0
    for block in values.blocks():
        if block.ndim != 2 or block.shape[0] != channels or block.dtype != values.dtype:
            raise MyoflowError(
                f"a reader gave a block of {block.dtype} {block.shape} in an array of {values.dtype} {values.shape}"
            )
        if done + block.shape[1] > samples:
            raise MyoflowError(f"a reader gave more than the {samples} samples that it promised")
        done += block.shape[1]
        taken = 0
        while taken < block.shape[1]:
            part = block[:, taken : taken + piece.shape[1] - filled]
            piece[:, filled : filled + part.shape[1]] = part
            taken, filled = taken + part.shape[1], filled + part.shape[1]
            if filled == piece.shape[1]:
                yield piece
                filled = 0
    if done != samples:
        raise MyoflowError(f"a reader gave {done} samples, not the {samples} that it promised")
    if filled:
        yield piece[:, :filled]


def _attributes(rec: Recording, origin: Origin) -> dict[str, Any]:
    return {
        **rec.attrs,
        "SamplingFrequency": rec.rate_hz,
        "EMGChannelCount": len(rec.channels),
        "RecordingDuration": duration_s(rec),
        "subject": rec.subject,
        "session": rec.session,
        "run": rec.run,
        "labels": list(rec.events.names),
        "dataset": origin.dataset,
        "reader": origin.reader,
        "reader_version": origin.reader_version,
        "sources": [{"name": name, "sha256": digest} for name, digest in rec.sources],
        "repairs": list(rec.repairs),
    }


def _text(words: tuple[str, ...]) -> Any:
    return np.array(words, dtype=np.dtypes.StringDType())


def read_group(path: Path) -> Recording:
    """The whole recording of a group, all streams loaded.

    Raises:
        MyoflowError: the group is damaged.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        known: dict[str, Any] = dict(group.attrs)
        names = set(group.array_keys())
        emg = _array(group, "emg")
        streams = {}
        for name in sorted(names - _TAKEN):
            if f"{name}_channel" in names:
                note = group[name].attrs
                channels = tuple(str(word) for word in _array(group, f"{name}_channel"))
                streams[name] = Stream(
                    _array(group, name), float(str(note["SamplingFrequency"])), str(note["units"]), channels
                )
        return Recording(
            subject=str(known["subject"]),
            session=str(known["session"]),
            run=str(known["run"]),
            emg=emg,
            gain=_array(group, "gain"),
            rate_hz=float(known["SamplingFrequency"]),
            channels=tuple(str(word) for word in _array(group, "channel")),
            events=events_of(group),
            units=str(group["emg"].attrs["units"]),
            timestamp_ms=_array(group, "timestamp_ms") if "timestamp_ms" in names else None,
            streams=streams,
            attrs={key: value for key, value in known.items() if key not in OWN},
            sources=tuple((item["name"], item["sha256"]) for item in known["sources"]),
            repairs=tuple(known["repairs"]),
        )
    except (OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> MyoflowError:
    """The error for a group that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return MyoflowError(
        f"{path} is damaged ({reason}). `myoflow info STORE --verify` lists every damaged recording; "
        "delete its folder and convert again"
    )


def events_of(group: zarr.Group) -> Events:
    """The events table of an open group."""
    columns = {name: _array(group, name) for name in EVENTS}
    return Events(**columns, names=tuple(str(word) for word in group.attrs["labels"]))  # type: ignore[union-attr]


def _array(group: zarr.Group, name: str) -> Any:
    import zarr

    item = group[name]
    if not isinstance(item, zarr.Array):
        raise ValueError(f"{name} is not an array")
    return np.asarray(item[...])


def metadata(path: Path) -> dict[str, Any]:
    """`zarr.json` of a group or array folder."""
    found: dict[str, Any] = json.loads((path / META).read_text(encoding="utf-8"))
    return found


def group_metadata(attributes: Mapping[str, Any], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of a zarr v3 group, with its members' repeated inside when they are given (path -> metadata)."""
    meta: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if members is not None:
        inside = {name: members[name] for name in sorted(members)}
        meta["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": inside}
    return meta


def members(path: Path) -> dict[str, Any]:
    """Metadata of the arrays of a recording, by name."""
    return {entry.name: metadata(entry) for entry in sorted(path.iterdir()) if entry.is_dir()}


def _consolidate(path: Path) -> None:
    meta = group_metadata(metadata(path)["attributes"], members(path))
    (path / META).write_text(dumps(meta), encoding="utf-8")


def dumps(value: Any) -> str:
    """JSON in one form only, so that equal content is equal bytes."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_text(path: Path, text: str, aside: Path) -> None:
    """Replace a file in one step: written in the folder `aside` (same file system), then renamed.

    Nothing is touched when the content is already there.
    """
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return
    draft = aside / f"{path.name}.{uuid.uuid4().hex}"
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
