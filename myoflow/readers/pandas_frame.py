"""pandas_frame: a pandas table as `DataFrame.to_hdf` leaves it ("fixed" format), without pandas and without running it.

Columns of one kind stand together in a block. Numbers are plain arrays; texts are one pickled array of objects, which
could run code when loaded as pickles usually are. Here a pickle may only build lists of plain values.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

_MOST_BLOCKS = 1000


class _Array:
    """Stands for numpy's array in a pickle: keeps shape and items."""

    shape: tuple[int, ...] = ()
    items: list[Any] = []  # noqa: RUF012  replaced, never changed

    def __setstate__(self, state: Any) -> None:
        _, shape, _, _, items = state
        if not isinstance(items, list) or not all(isinstance(size, int) for size in shape):
            raise ValueError("its texts are not pickled as a list")
        self.shape, self.items = tuple(shape), items  # numpy lists them row by row, whatever the array's order was

    def table(self) -> Any:
        """`(row, column)` or `(row,)`."""
        flat = np.empty(len(self.items), object)
        flat[:] = self.items
        return flat.reshape(self.shape)


class _Kind:
    """Stands for numpy's dtype, which is not needed."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _reconstruct(*_: Any) -> _Array:
    return _Array()


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
}


class _Unpickler(pickle._Unpickler):  # the one in Python: the one in C can be made to take all memory
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(f"its pickled texts want {module}.{name}; this is refused") from None


def frame(group: Any) -> dict[str, list[Any]]:
    """The columns of a pandas table by name, given its h5py group.

    Raises:
        ValueError, KeyError, TypeError: it is another kind of table, or damaged; `formats.base.guard` tells it.
    """
    kind = _word(group.attrs.get("pandas_type", b""))
    if kind != "frame":
        raise ValueError(f"{group.name} is no pandas table of the kind 'frame' but '{kind}'")
    count = int(group.attrs["nblocks"])
    if not 0 <= count <= _MOST_BLOCKS:
        raise ValueError(f"{group.name} has {count} blocks")
    columns: dict[str, list[Any]] = {}
    for i in range(count):
        names = [_word(name) for name in np.atleast_1d(group[f"block{i}_items"][()]).tolist()]
        node = group[f"block{i}_values"]
        if node.dtype.kind == "O":
            unpacked = _Unpickler(io.BytesIO(node[0].tobytes())).load()
            if not isinstance(unpacked, _Array):
                raise ValueError(f"{node.name} holds no array")
            values = unpacked.table()
        else:
            values = node[()]
        if values.ndim == 2 and not node.attrs.get("transposed", 0):
            values = values.T
        values = values.reshape(len(values), -1)
        if values.shape[1] != len(names):
            raise ValueError(f"{node.name} has {values.shape[1]} columns for {len(names)} names")
        columns.update({name: values[:, k].tolist() for k, name in enumerate(names)})
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(f"the columns of {group.name} differ in length")
    return columns


def _word(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
