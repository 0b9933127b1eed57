"""Store: reads a store; opening it reads the index and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow.errors import InputError, did_you_mean
from myoflow.split import Item, unit_key
from myoflow.store import index, layout, write
from myoflow.store.index import Row

if TYPE_CHECKING:
    import mne
    import xarray as xr

    from myoflow.recording import Events, Recording
    from myoflow.store.loader import WindowSet


class Store:
    """An opened store. Recordings are named by id (`sub-01/ses-01/run-1`) and read when asked for."""

    def __init__(self, path: Path, attributes: dict[str, Any], rows: tuple[Row, ...]) -> None:
        self.path = path
        self.attrs = attributes
        self.rows = rows
        self._by_id = {row.id: row for row in rows}

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Store {self.path}: {self.dataset}, {len(self.rows)} recordings>"

    @property
    def dataset(self) -> str:
        """Name of the dataset card it was converted with."""
        return str(self.attrs.get("dataset", ""))

    @property
    def labels(self) -> tuple[str, ...]:
        """The card's label names; an event's label is an index into them."""
        return tuple(self.attrs.get("labels", ()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the index, and so of everything in the store."""
        return hashlib.sha256(index.dumps(self.rows).encode()).hexdigest()

    def row(self, identity: str) -> Row:
        """Index row of a recording. Raises InputError for an unknown id."""
        if identity not in self._by_id:
            raise InputError(f"{self.path} has no recording '{identity}'{did_you_mean(identity, self._by_id)}")
        return self._by_id[identity]

    def only(self, wanted: Mapping[str, Sequence[Item]]) -> Store:
        """The same store with those recordings alone whose attributes are among these, such as `mode: [silent]`.

        `subject`, `session` and `subset` are known from the index. "01" and 1 are the same.

        Raises:
            InputError: no recording has such an attribute, or such a value of it, or nothing is left.
        """
        rows = self.rows
        for name, values in wanted.items():
            known = {row.id: self._told(row, name) for row in rows}
            there = sorted({value for value in known.values() if value is not None})
            if not there:
                raise InputError(f"data.only.{name}: no recording of {self.path} says its {name}")
            keys = {unit_key(value) for value in there}
            for value in values:
                if unit_key(value) not in keys:
                    close = did_you_mean(str(value), there) or "."
                    brief = f"{', '.join(there[:12])}{' ...' if len(there) > 12 else ''}"
                    left = f"no recording that is left of {self.path} has {value}{close}"
                    raise InputError(f"data.only.{name}: {left} There is: {brief}")
            chosen = {unit_key(value) for value in values}
            rows = tuple(row for row in rows if unit_key(known[row.id] or "") in chosen)
        return self if rows == self.rows else Store(self.path, self.attrs, rows)

    def _told(self, row: Row, name: str) -> str | None:
        """What a recording says of itself: a field of the index, or an attribute that is a plain value."""
        if name in ("subject", "session", "subset"):
            return str(getattr(row, name)) or None
        found = layout.metadata(self.path / row.id)["attributes"].get(name)
        return str(found) if isinstance(found, str | int | float) else None

    def read(self, identity: str) -> xr.Dataset:
        """A whole group, lazily: `emg(channel, time)` in the recorder's integers, `gain(channel)`, events, streams."""
        import xarray as xr

        path = self.path / self.row(identity).id
        try:
            dataset: xr.Dataset = xr.open_zarr(path, consolidated=True, chunks=None, mask_and_scale=False)
            return dataset
        except (OSError, ValueError, KeyError) as error:
            raise layout.damaged(path, error) from error

    def emg(self, identity: str) -> xr.DataArray:
        """EMG `(channel, time)` as float32 in its units, loaded.

        `attrs` has `SamplingFrequency` in Hz, `units` and `labels`. `time` is a lazy range in seconds from the
        start; a recording with an uneven clock has `timestamp_ms` along time instead.
        """
        import numpy as np
        import xarray as xr

        rec = self.raw(identity)
        values = rec.emg.astype(np.float32)
        values *= rec.gain[:, None]
        coords: Any = {"channel": np.array(rec.channels, dtype=object)}
        count = values.shape[1]
        if rec.timestamp_ms is not None:
            coords["timestamp_ms"] = ("time", rec.timestamp_ms)
        elif count:
            ticks = xr.indexes.RangeIndex.linspace(0.0, count / rec.rate_hz, num=count, endpoint=False, dim="time")
            coords = xr.Coordinates.from_xindex(ticks).assign(coords)
        attributes = {
            "SamplingFrequency": rec.rate_hz,
            "units": rec.units,
            "labels": list(rec.events.names),
            "recording": rec.id,
        }
        return xr.DataArray(values, coords=coords, dims=("channel", "time"), name="emg", attrs=attributes)

    def events(self, identity: str) -> Events:
        """Labelled spans of a recording, in samples of its EMG."""
        return layout.events_of(self.path / self.row(identity).id)

    def raw(self, identity: str) -> Recording:
        """The recording as the reader gave it, all streams loaded."""
        return layout.read_group(self.path / self.row(identity).id)

    def to_mne(self, identity: str) -> mne.io.RawArray:
        """The recording for MNE-Python: channels of type `emg` in volts, events as annotations.

        Channels in other units than volts are `misc`, in those units. An uneven clock and other streams are left out.

        Raises:
            InputError: no such recording, or MNE is not installed.
        """
        from myoflow.store.mne_raw import raw_array

        return raw_array(self.raw(identity))

    def windows(
        self,
        length: int,
        stride: int | None = None,
        *,
        ids: Sequence[str] | None = None,
        subjects: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        share: float = 1.0,
        cache: str = "raw",
        buffer_mb: float = 64.0,
    ) -> WindowSet:
        """Windows of `length` samples every `stride` (default: end to end) for training, as a torch Dataset.

        Without `labels`, all of the chosen recordings, label -1; with them, windows of which one event with such a
        label covers at least `share`. Recordings must agree in channels and rate. `cache="raw"` decodes each recording
        once into a file that is memory-mapped (under `$MYOFLOW_CACHE`, or beside the store; the size of the integers);
        `cache="none"` decodes while reading and shuffles through a buffer of `buffer_mb` of decoded blocks.

        Raises:
            InputError: no such recordings, recordings that do not go together, or windows that cannot be.
        """
        from myoflow.store.loader import windows_of

        return windows_of(
            self,
            length,
            stride,
            ids=ids,
            subjects=subjects,
            labels=labels,
            share=share,
            cache=cache,
            buffer_mb=buffer_mb,
        )


def open_store(path: str | Path) -> Store:
    """Open a store that `myoflow convert` wrote.

    Raises:
        InputError: there is nothing at `path`, it is not a store, or its conversion never got far enough to be one.
        MyoflowError: its index is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no store at {path}; `myoflow convert DATASET RAW {path}` makes one")
    if not path.is_dir():
        raise InputError(f"{path} is a file; a store is a folder that `myoflow convert` wrote")
    try:
        attributes = layout.attributes(path)
    except FileNotFoundError:
        if (path / write.ASIDE).is_dir():
            raise InputError(f"{path} is an unfinished store; run its conversion again to complete it") from None
        above = next((p for p in path.resolve().parents if (p / index.FILE).exists()), None)
        hint = f"; did you mean {above}?" if above else "; `myoflow convert` makes one"
        raise InputError(f"{path} is not a myoflow store{hint}") from None
    except (ValueError, KeyError, UnicodeDecodeError):
        raise InputError(f"{path / layout.META} is not zarr v3 metadata, so {path} is not a myoflow store") from None
    if attributes.get("kind") != write.KIND:
        above = next((p for p in path.resolve().parents if (p / index.FILE).exists()), None)
        hint = f"; did you mean {above}?" if above else ""
        raise InputError(f"{path} is a zarr hierarchy, but not a myoflow store{hint}")
    file = path / index.FILE
    if not file.exists():
        raise InputError(f"{path} is an unfinished store; run its conversion again to complete it")
    return Store(path, attributes, index.loads(file.read_text(encoding="utf-8"), file))
