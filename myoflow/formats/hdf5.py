"""hdf5: tables of numbers anywhere in an HDF5 file, or columns of a compound one, as emg2pose keeps them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Signals, missing
from myoflow.formats.variables import chosen, is_rate
from myoflow.readers.source import File

_MOST = 1 << 33  # bytes that one table may claim: packed data can promise any amount
_MOST_ITEMS = 10_000


@FORMATS.add("hdf5")
class Hdf5(Format):
    """Every table of numbers is found; name one by its path (`/emg2pose/timeseries/emg`) where there are several.

    The rate is an attribute called `sample_rate`, `fs`, `SamplingFrequency` or the like, of the table or above it.
    """

    suffixes = (".h5", ".hdf5", ".hdf", ".he5")
    what = "an HDF5 file"

    def fits(self, data: bytes) -> bool:
        return data.startswith(b"\x89HDF") or b"\x89HDF\r\n" in data[:4096]

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        with opened(file) as root:
            found: list[tuple[str, Any]] = []
            root.visititems(lambda name, item: found.append((name, item)) if len(found) < _MOST_ITEMS else True)
            tables: dict[str, Any] = {}
            wanted = variable.strip("/") if variable else None
            for name, item in found:
                if hasattr(item, "shape"):
                    tables.update(_tables(name, item, wanted))
            rate = next((float(np.ravel(v)[0]) for n, v in _attributes(root, found) if is_rate(n) and _number(v)), None)
            return chosen(file.where, tables, wanted, rate)


@contextmanager
def opened(file: File) -> Iterator[Any]:
    """The file's root. Raises InputError: empty, or h5py is missing."""
    try:
        import h5py
    except ImportError as error:
        raise missing(file.where, "HDF5", "h5py") from error
    data = file.read()
    if not data:
        raise InputError(f"{file.where}: the file is empty; expected an HDF5 file")
    with h5py.File(io.BytesIO(data), "r") as root:
        yield root


def _tables(name: str, item: Any, wanted: str | None) -> Iterator[tuple[str, Any]]:
    if item.shape is None or item.size * item.dtype.itemsize > _MOST or not item.size:
        return
    if item.dtype.names:
        if wanted is not None and not wanted.startswith(name):
            return
        rows = item[()]
        for field in item.dtype.names:
            column = np.asarray(rows[field])
            if column.dtype.kind in "biuf" and column.ndim <= 2:
                yield f"{name}/{field}", column
    elif item.dtype.kind in "biuf" and item.ndim <= 2:
        yield name, np.asarray(item[()])


def _attributes(root: Any, found: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for item in (root, *(item for _, item in found)):
        for name in item.attrs:
            yield str(name), item.attrs[name]


def _number(value: Any) -> bool:
    return np.size(value) == 1 and np.asarray(value).dtype.kind in "iuf" and float(np.ravel(value)[0]) > 0
