"""bids: a store as a dataset in BIDS-EMG form, after BIDS 1.11: https://bids-specification.readthedocs.io

What BIDS requires and the store does not know is asked for, not made up.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from myoflow.errors import InputError
from myoflow.export.edf import Written, write_edf
from myoflow.progress import Progress
from myoflow.store import layout

if TYPE_CHECKING:
    from myoflow.recording import Recording
    from myoflow.store import Store

BIDS = "1.11.0"
REQUIRED = ("EMGPlacementScheme", "EMGReference", "PowerLineFrequency", "RecordingType", "SoftwareFilters", "TaskName")
_COORDINATES = ("EMGCoordinateSystem", "EMGCoordinateUnits", "EMGCoordinateSystemDescription")
_NOT_SIDECAR = ("Electrodes", "Participant", "SamplingFrequency", "RecordingDuration", *_COORDINATES)
_LICENCE = "see the home of the dataset"


@frozen
class Exported:
    """What was written, and what BIDS-EMG has no place for."""

    folder: Path
    recordings: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.folder}: {self.recordings} recordings in BIDS-EMG {BIDS}", *self.notes))


def export_bids(
    store: Store, folder: Path, metadata: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Exported:
    """Write every recording of `store` below `folder`, which appears when all is written.

    `metadata` are fields of `_emg.json` that hold for all recordings, over what the store knows.

    Raises:
        InputError: `folder` is not empty, the store is, or a field that BIDS requires is not known; names all of them.
        MyoflowError: a recording does not fit EDF.
        OSError: the disk.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; name an empty folder")
    if not store.rows:
        raise InputError(f"{store.path} holds no recordings")
    given = dict(metadata or {})
    for row in store.rows:  # before anything is written
        known = layout.metadata(store.path / row.id)["attributes"]
        _check(row.id, _sidecar_of(known, store, given))
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    notes: dict[str, list[str]] = {}
    try:
        _dataset(draft, store, given)
        with (progress or Progress()).phase(f"Exporting {store.dataset}", len(store.rows)) as advance:
            for row in store.rows:
                for note in _recording(draft, store.raw(row.id), store, given):
                    notes.setdefault(note, []).append(row.id)
                advance(1)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    told = tuple(f"{note} ({len(ids)} recordings, {ids[0]} first)" for note, ids in notes.items())
    return Exported(folder, len(store.rows), told)


def fields(words: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as metadata; numbers and JSON are read as such. Raises InputError for another form."""
    out: dict[str, Any] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or not re.fullmatch(r"[A-Z]\w*", key):
            raise InputError(f"--set {word}: expected a BIDS field, such as EMGReference=elbow")
        try:
            out[key] = json.loads(value)
        except json.JSONDecodeError:
            out[key] = value
    return out


def _sidecar_of(known: Mapping[str, Any], store: Store, given: Mapping[str, Any]) -> dict[str, Any]:
    sidecar = {key: value for key, value in known.items() if key[:1].isupper() and key not in _NOT_SIDECAR}
    sidecar.setdefault("TaskName", store.dataset)
    sidecar.setdefault("SoftwareFilters", "n/a")
    return sidecar | dict(given)


def _check(identity: str, sidecar: Mapping[str, Any]) -> None:
    lost = [name for name in REQUIRED if sidecar.get(name) in (None, "")]
    if sidecar.get("EMGPlacementScheme") == "Other" and not sidecar.get("EMGPlacementSchemeDescription"):
        lost.append("EMGPlacementSchemeDescription")
    if lost:
        shown = " ".join(f"--set {name}=..." for name in lost)
        raise InputError(
            f"{identity}: BIDS requires {', '.join(lost)}, which the store does not know. Give what is true, or n/a: "
            f"{shown}"
        )


def _label(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text) or "task"


def _recording(root: Path, rec: Recording, store: Store, given: Mapping[str, Any]) -> list[str]:
    """One recording's files; returns what could not be said in them."""
    sidecar = _sidecar_of(rec.attrs, store, given)
    place = root / f"sub-{rec.subject}" / f"ses-{rec.session}" / "emg"
    place.mkdir(parents=True, exist_ok=True)
    run = f"run-{rec.run}" if rec.run.isdecimal() else f"acq-{rec.run}"
    task = f"task-{_label(str(sidecar['TaskName']))}"
    stem = f"sub-{rec.subject}_ses-{rec.session}_{task}_{run}"
    data = write_edf(place / f"{stem}_emg", rec.emg, rec.gain, rec.units, rec.rate_hz, rec.channels)
    sidecar |= {
        "SamplingFrequency": rec.rate_hz,
        "EMGChannelCount": len(rec.channels),
        "RecordingDuration": rec.emg.shape[1] / rec.rate_hz,
    }
    _json(place / f"{stem}_emg.json", sidecar)
    rows = [(name, "EMG", data.units, rec.rate_hz) for name in rec.channels]
    _table(place / f"{stem}_channels.tsv", ("name", "type", "units", "sampling_frequency"), rows)
    events = rec.events
    names = [events.names[i] for i in events.label.tolist()]
    columns = events.onset.tolist(), events.length.tolist(), names, events.repetition.tolist()
    spans = [(a / rec.rate_hz, n / rec.rate_hz, name, a, times) for a, n, name, times in zip(*columns, strict=True)]
    _table(place / f"{stem}_events.tsv", ("onset", "duration", "trial_type", "sample", "repetition"), spans)
    _electrodes(place / f"sub-{rec.subject}_ses-{rec.session}", rec.attrs)
    return _notes(rec, data)


def _notes(rec: Recording, data: Written) -> list[str]:
    notes = [f"left out, since BIDS-EMG has no place for it: stream {name}" for name in rec.streams]
    if rec.timestamp_ms is not None:
        notes.append("the recorder's uneven clock is left out; times go by the nominal rate")
    if data.padding:
        notes.append("the last value is repeated to fill EDF's last record; RecordingDuration is without it")
    if data.rounded:
        notes.append("values are rounded to 24 bits of each channel's range")
    return notes


def _electrodes(stem: Path, known: Mapping[str, Any]) -> None:
    """Positions, where the recording has them as `Electrodes` (rows of name, x, y, ...) and `EMGCoordinateSystem`."""
    rows = known.get("Electrodes")
    if not isinstance(rows, list) or not rows or "EMGCoordinateSystem" not in known:
        return
    columns = list(dict.fromkeys(("name", "x", "y", *(key for row in rows for key in row))))
    table = [[row.get(column, "n/a") for column in columns] for row in rows]
    _table(stem.with_name(f"{stem.name}_electrodes.tsv"), columns, table)
    _json(stem.with_name(f"{stem.name}_coordsystem.json"), {key: known[key] for key in _COORDINATES if key in known})


def _dataset(root: Path, store: Store, given: Mapping[str, Any]) -> None:
    """The files that are about the whole."""
    from myoflow import __version__

    about = store.attrs
    links = [str(about[key]) for key in ("citation", "home") if about.get(key)]
    description = {
        "Name": about.get("title") or store.dataset,
        "BIDSVersion": BIDS,
        "DatasetType": "raw",
        "License": about.get("licence") or _LICENCE,
        **({"ReferencesAndLinks": links} if links else {}),
        **({"SourceDatasets": [{"URL": about["home"]}]} if about.get("home") else {}),
        "GeneratedBy": [{"Name": "myoflow", "Version": __version__}],
    }
    _json(root / "dataset_description.json", description)
    subjects = list(dict.fromkeys(row.subject for row in store.rows))
    _table(root / "participants.tsv", ("participant_id",), [(f"sub-{subject}",) for subject in subjects])
    words = [str(description["Name"]), "", f"Exported by myoflow {__version__} from its store of {store.dataset}."]
    words += ["", *(str(about[key]) for key in ("citation", "licence", "restrictions", "rate_note") if about.get(key))]
    words += [f"- {text}" for text in about.get("defects", ())]
    (root / "README.md").write_text("\n".join(words).rstrip() + "\n", encoding="utf-8")
    columns = {
        "trial_type": {"LongName": "Label", "Levels": {name: name for name in store.labels}},
        "sample": {"Description": "Sample at which the event begins, counted from 0"},
        "repetition": {"Description": "Which repetition of the label it is; 0 where that is not known"},
    }
    _json(root / "events.json", columns)


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    lines = [columns, *([re.sub(r"\s+", " ", str(cell)) or "n/a" for cell in row] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
