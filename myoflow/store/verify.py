"""Verify: every byte of every recording against the index."""

from __future__ import annotations

from collections.abc import Callable

from myoflow.store import index, layout, write
from myoflow.store.read import Store


def verify(store: Store, progress: Callable[[int], None] | None = None) -> list[str]:
    """Damaged, missing and unlisted recordings of a store, `id: what is wrong`, by id; empty when it is whole.

    `progress` is called with the number of recordings done since the last call.
    """
    found = []
    for row in store.rows:
        group = store.path / row.id
        if not group.is_dir():
            found.append(f"{row.id}: is in the index but not in the store")
        elif index.checksum(group) != row.checksum:
            found.append(f"{row.id}: {_changed(store, row)}")
        elif not all((parent / layout.META).is_file() for parent in (group.parent, group.parent.parent)):
            found.append(f"{row.id}: the folders above it lack their {layout.META}")
        if progress is not None:
            progress(1)
    listed = {row.id for row in store.rows}
    found += [
        f"{identity}: is in the store but not in the index"
        for identity in write.groups(store.path)
        if identity not in listed
    ]
    return sorted(found)


def _changed(store: Store, row: index.Row) -> str:
    """Whether the recording can still be read at all."""
    from myoflow.errors import MyoflowError

    try:
        recording = layout.read_group(store.path / row.id)
    except MyoflowError:
        return "its files have changed since they were written and cannot be read"
    lost = row.samples - recording.emg.shape[1]
    return "its files have changed since they were written" + (f" ({lost} samples are gone)" if lost > 0 else "")
