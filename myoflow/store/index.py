"""Index: one row a recording, so that nobody walks a store to know what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from myoflow.errors import MyoflowError
from myoflow.store import layout
from myoflow.store.chunks import texts

FILE = "index.json"
VERSION = 2


@frozen
class Tally:
    """How often a label occurs: spans, and samples inside them."""

    events: int = 0
    samples: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.events + other.events, self.samples + other.samples)


@frozen
class Row:
    """What the index knows of a recording.

    `seconds` is by the recorder's clock where there is one. `labels` has every label that occurs, by name.
    `checksum` is the SHA-256 over the files of its group (`checksum` below). `subset` is the part of the dataset that
    its authors put the recording into, where they did.
    """

    id: str
    subject: str
    session: str
    run: str
    samples: int
    rate_hz: float
    seconds: float
    channels: tuple[str, ...]
    units: str
    labels: dict[str, Tally] = attrs.field(hash=False)
    checksum: str = ""
    subset: str = ""


def checksum(group: Path) -> str:
    """SHA-256 over a group's files in sorted order: relative path, size, bytes."""
    digest = hashlib.sha256()
    for path in sorted(p for p in group.rglob("*") if p.is_file()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(group).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def row_of(group: Path) -> Row:
    """The index row of a whole group, from the group alone.

    Raises:
        MyoflowError: the group is damaged.
    """
    import numpy as np

    try:
        meta = layout.metadata(group)
        arrays = meta["consolidated_metadata"]["metadata"]
        known = meta["attributes"]
        events = layout.events_of(group, meta)
        labels = {}
        for i in np.unique(events.label):
            mine = events.label == i
            labels[events.names[i]] = Tally(int(mine.sum()), int(events.length[mine].sum()))
        subject, session, run = known["subject"], known["session"], known["run"]
        return Row(
            id=f"sub-{subject}/ses-{session}/run-{run}",
            subject=subject,
            session=session,
            run=run,
            samples=int(arrays["emg"]["shape"][1]),
            rate_hz=float(known["SamplingFrequency"]),
            seconds=float(known["RecordingDuration"]),
            channels=texts(group, "channel", meta),
            units=arrays["emg"]["attributes"]["units"],
            labels=labels,
            checksum=checksum(group),
            subset=str(known.get("subset", "")),
        )
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
        raise layout.damaged(group, error) from error


def dumps(rows: Iterable[Row]) -> str:
    """The index file's text: rows sorted by id, one a line, the same bytes for the same rows."""
    lines = [layout.dumps(_plain(row)) for row in sorted(rows, key=lambda row: row.id)]
    body = ",\n".join(lines)
    return f'{{"version":{VERSION},"recordings":[\n{body}\n]}}\n'


def _plain(row: Row) -> dict[str, Any]:
    plain = attrs.asdict(row, recurse=False)
    plain["channels"] = list(row.channels)
    plain["labels"] = {name: [tally.events, tally.samples] for name, tally in row.labels.items()}
    return plain


def loads(text: str, path: Path) -> tuple[Row, ...]:
    """Rows of an index file's text.

    Raises:
        MyoflowError: it is not an index of this version.
    """
    try:
        found = json.loads(text)
        version = found["version"]
        if version != VERSION:
            raise MyoflowError(f"{path} is of version {version}; this myoflow reads version {VERSION}: convert again")
        return tuple(_row(item) for item in found["recordings"])
    except (ValueError, KeyError, TypeError) as error:
        raise MyoflowError(f"{path} is damaged; delete it and convert again, whole recordings are kept") from error


def _row(item: dict[str, Any]) -> Row:
    labels = {name: Tally(int(events), int(samples)) for name, (events, samples) in item["labels"].items()}
    return Row(**{**item, "channels": tuple(item["channels"]), "labels": labels})
