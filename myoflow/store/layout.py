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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from myoflow.errors import MyoflowError
from myoflow.recording import Events, Recording, Stream
from myoflow.store.chunks import CHUNK, META, Encoder, chunked, damaged, metadata, texts

__all__ = ["CHUNK", "META", "damaged", "metadata"]

OWN = ("dataset", "labels", "reader", "reader_version", "repairs", "run", "session", "sources", "subject")
_HEAD = 1 << 20  # characters of a group's metadata read at first
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


def write_group(path: Path, recording: Recording, origin: Origin, threads: int = 1) -> None:
    """Write `recording` as a new group at `path`; `threads` compress at once.

    Raises:
        MyoflowError: the recording contradicts itself.
        OSError: the disk.
    """
    rec = recording
    check(rec)
    path.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    with Encoder(path, threads) as encoder:
        note = {"units": rec.units, "SamplingFrequency": rec.rate_hz}
        arrays["emg"] = encoder.packed("emg", rec.emg, ("channel", "time"), note=note)
        arrays["gain"] = encoder.plain("gain", rec.gain.astype(np.float32), ("channel",))
        arrays["channel"] = encoder.texts("channel", rec.channels, ("channel",))
        if rec.timestamp_ms is not None:
            clock = rec.timestamp_ms.astype(np.int32)
            arrays["timestamp_ms"] = encoder.packed("timestamp_ms", clock, ("time",), 8 * CHUNK)
        for name, dtype in EVENTS.items():
            arrays[name] = encoder.plain(name, getattr(rec.events, name).astype(dtype), ("event",))
        for name, stream in rec.streams.items():
            dims = (f"{name}_channel", f"{name}_time")
            note = {"units": stream.units, "SamplingFrequency": stream.rate_hz}
            arrays[name] = encoder.packed(name, stream.values, dims, note=note)
            arrays[dims[0]] = encoder.texts(dims[0], stream.channels, dims[:1])
    (path / META).write_text(dumps(group_metadata(_attributes(rec, origin), arrays)), encoding="utf-8")


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


def read_group(path: Path) -> Recording:
    """The whole recording of a group, all streams loaded.

    Raises:
        MyoflowError: the group is damaged.
    """
    try:
        meta = metadata(path)
        known, arrays = meta["attributes"], meta["consolidated_metadata"]["metadata"]
        streams = {}
        for name in sorted(set(arrays) - _TAKEN):
            if f"{name}_channel" in arrays:
                note = arrays[name]["attributes"]
                values, channels = chunked(path, name, meta).whole(), texts(path, f"{name}_channel", meta)
                streams[name] = Stream(values, float(note["SamplingFrequency"]), str(note["units"]), channels)
        return Recording(
            subject=str(known["subject"]),
            session=str(known["session"]),
            run=str(known["run"]),
            emg=chunked(path, "emg", meta).whole(),
            gain=chunked(path, "gain", meta).whole(),
            rate_hz=float(known["SamplingFrequency"]),
            channels=texts(path, "channel", meta),
            events=events_of(path, meta),
            units=str(arrays["emg"]["attributes"]["units"]),
            timestamp_ms=chunked(path, "timestamp_ms", meta).whole() if "timestamp_ms" in arrays else None,
            streams=streams,
            attrs={key: value for key, value in known.items() if key not in OWN},
            sources=tuple((item["name"], item["sha256"]) for item in known["sources"]),
            repairs=tuple(known["repairs"]),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, error) from error


def events_of(path: Path, known: dict[str, Any] | None = None) -> Events:
    """The events table of a group, from `known` (its `metadata`) when that has been read already.

    Raises:
        MyoflowError: the group is damaged.
    """
    try:
        meta = known or metadata(path)
        columns = {name: chunked(path, name, meta).whole() for name in EVENTS}
        return Events(**columns, names=tuple(str(word) for word in meta["attributes"]["labels"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, error) from error


def group_metadata(attributes: Mapping[str, Any], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of a zarr v3 group, with its members' repeated inside when they are given (path -> metadata)."""
    meta: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if members is not None:
        inside = {name: members[name] for name in sorted(members)}
        meta["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": inside}
    return meta


def attributes(path: Path) -> dict[str, Any]:
    """Attributes of a group. They stand first, and the metadata of all below, megabytes in a large store, are not read.

    Raises:
        ValueError, KeyError, OSError: it is no group's metadata.
    """
    begin = dumps(group_metadata({}))[: -len("{}}")]
    with (path / META).open(encoding="utf-8") as file:
        head = file.read(_HEAD)
    if head.startswith(begin):
        with contextlib.suppress(ValueError):  # longer than the head
            found: dict[str, Any] = json.JSONDecoder().raw_decode(head, len(begin))[0]
            return found
    found = metadata(path)["attributes"]
    return found


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
