"""matlab: variables of a .mat file, MATLAB 5 to 7.3, with errors that name file, variable and byte.

Files of MATLAB 5 to 7.2 are cut into their top-level variables here, so that a file that ends early or whose
compressed parts are damaged (each carries a checksum) is told with its place; scipy decodes the variables. Files of
7.3 are HDF5 and need h5py; of those, numbers and text are read, not structs, cells or objects.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.errors import InputError
from myoflow.readers.base import listed
from myoflow.readers.source import File

HEADER = 128  # bytes of text, offset of the objects' data, version, byte order
_MATRIX, _COMPRESSED = 14, 15
_HDF = b"\x89HDF\r\n\x1a\n"
_MOST = 1 << 34  # bytes one variable may need; zlib packs up to 1000 to 1, so a small file could ask for any amount


@frozen(eq=False)
class Mat:
    """Variables of a file by name. `objects` is MATLAB's hidden variable with the content of class objects."""

    where: str
    variables: dict[str, Any] = field(repr=False)
    objects: Any = field(default=None, repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self.variables

    def matrix(self, name: str, columns: int | None = None) -> npt.NDArray[Any]:
        """A variable as numbers `(row, column)`.

        Raises:
            InputError: it is not there, not numbers, or has other columns.
        """
        value = self._get(name)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.ndim != 2:
            raise InputError(f"{self.where}: variable {name} is not a table of real numbers")
        if columns is not None and value.shape[1] != columns:
            raise InputError(f"{self.where}: variable {name} has {value.shape[1]} columns, expected {columns}")
        if not value.shape[0]:
            raise InputError(f"{self.where}: variable {name} has no rows")
        return value

    def column(self, name: str, most: int = 32767) -> npt.NDArray[np.int16]:
        """A variable of one column or row that holds whole numbers from 0 to `most`.

        Raises:
            InputError: it holds something else; names the row, from 1.
        """
        value = self._get(name)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or min(value.shape, default=0) != 1:
            raise InputError(f"{self.where}: variable {name} is not one column of numbers")
        flat = value.ravel()
        with np.errstate(invalid="ignore"):
            bad = ~((flat >= 0) & (flat <= most) & (flat == np.floor(flat)))
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{self.where}: variable {name} row {row + 1} is {flat[row]}, not a whole number from 0 to {most}"
            )
        return flat.astype(np.int16)

    def scalar(self, name: str) -> Any:
        """A variable of one number or text. Raises InputError: it is something else."""
        value = self._get(name)
        if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biufU":
            return value.ravel()[0].item()
        raise InputError(f"{self.where}: variable {name} is not a single number or text")

    def _get(self, name: str) -> Any:
        if name not in self.variables:
            known = listed(sorted(self.variables), 12) or "none"
            raise InputError(f"{self.where}: there is no variable {name}; the file has {known}")
        value = self.variables[name]
        if isinstance(value, str):
            raise InputError(f"{self.where}: variable {name} is a {value}, which is read only up to MATLAB 7.2 (-v7)")
        return value


def load(file: File, data: bytes, names: Collection[str] | None = None) -> Mat:
    """The variables `names` (default: all) of a file's bytes; those that are not there are left out.

    Raises:
        InputError: not a .mat file, or a damaged one; names the byte.
    """
    if not data:
        raise InputError(f"{file.where}: the file is empty; expected a MATLAB .mat file")
    if data.startswith(_HDF) or data[512 : 512 + len(_HDF)] == _HDF:
        return _load_hdf(file.where, data, names)
    if not data.startswith(b"MATLAB 5.0") or len(data) < HEADER or data[126:128] not in (b"IM", b"MI"):
        raise InputError(f"{file.where}: is not a MATLAB .mat file of version 5 to 7.3 (byte 0)")
    return _load_5(file.where, data, names)


def _load_5(where: str, data: bytes, names: Collection[str] | None) -> Mat:
    order = "<" if data[126:128] == b"IM" else ">"
    subsystem = struct.unpack_from(order + "Q", data, 116)[0]
    chosen: dict[str, Any] = {}
    objects = None
    at = HEADER
    while at < len(data):
        kind, size = _tag(where, data, at, order)
        end = at + 8 + size
        if end > len(data):
            raise InputError(
                f"{where}: byte {at}: a variable of {size:,} bytes starts here, but only {len(data) - at - 8:,} "
                "follow. Is the download complete?"
            )
        if kind == _COMPRESSED:
            matrix = _inflate(where, data[at + 8 : end], at, order)
        elif kind == _MATRIX:
            matrix = data[at:end]
        else:
            raise InputError(f"{where}: byte {at}: expected a variable, found element type {kind}: the file is damaged")
        name = _name(where, matrix, at, order)
        if at == subsystem or not name:
            objects = _objects(where, data[:HEADER], matrix, at)
        elif names is None or name in names:
            chosen[name] = _decode(where, data[:HEADER], matrix, at)
        at = end
    return Mat(where, chosen, objects)


def _tag(where: str, data: bytes, at: int, order: str) -> tuple[int, int]:
    if at + 8 > len(data):
        raise InputError(f"{where}: byte {at}: the file ends inside a variable. Is the download complete?")
    kind, size = struct.unpack_from(order + "II", data, at)
    return int(kind), int(size)


def _inflate(where: str, packed: bytes, at: int, order: str) -> bytes:
    """A compressed variable, whole and with its checksum proven."""
    unpack = zlib.decompressobj()
    try:
        head = unpack.decompress(packed, 8)
        kind, size = struct.unpack_from(order + "II", head)
        if kind != _MATRIX or size > _MOST:
            raise InputError(f"{where}: byte {at}: the compressed part is not a variable: the file is damaged")
        body = unpack.decompress(unpack.unconsumed_tail, size + 1)
        body += unpack.decompress(unpack.unconsumed_tail, 1)
    except (zlib.error, struct.error) as error:
        raise InputError(f"{where}: byte {at}: a compressed variable cannot be unpacked: {error}") from error
    except MemoryError as error:
        raise InputError(f"{where}: byte {at}: a variable claims {size:,} bytes, more than there is memory") from error
    if not unpack.eof or len(body) != size:
        raise InputError(
            f"{where}: byte {at}: a compressed variable should unpack to {size:,} bytes and does not: "
            "the file is damaged or cut off"
        )
    return head + body


def _name(where: str, matrix: bytes, at: int, order: str) -> str:
    try:
        position = _name_position(matrix, order)
        first = struct.unpack_from(order + "I", matrix, position)[0]
        if first >> 16:  # short parts have type and size in four bytes, their content in the next four
            return matrix[position + 4 : position + 4 + (first >> 16)].decode("ascii")
        size = struct.unpack_from(order + "I", matrix, position + 4)[0]
        return matrix[position + 8 : position + 8 + size].decode("ascii")
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"{where}: byte {at}: a variable without a readable name: the file is damaged") from error


def _name_position(matrix: bytes, order: str) -> int:
    """Where a variable's name stands: it is the third part, behind flags and dimensions."""
    position = 8
    for _ in range(2):
        size = struct.unpack_from(order + "II", matrix, position)[1]
        position += 8 + (size + 7) // 8 * 8
    return position


def _decode(where: str, header: bytes, matrix: bytes, at: int) -> Any:
    """One uncompressed variable through scipy; `at` is where it starts, for errors."""
    from scipy.io import loadmat

    one = header[:116] + bytes(8) + header[124:] + matrix
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = loadmat(io.BytesIO(one))
    except Exception as error:  # from damaged bytes scipy raises whatever comes first, KeyError to MemoryError
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(f"{where}: byte {at}: a variable cannot be read: {reason}") from error
    return list(found.values())[-1]


def _objects(where: str, header: bytes, matrix: bytes, at: int) -> Any:
    """MATLAB's hidden variable: bytes that are a small .mat file of their own, whose variable has no name either.

    scipy leaves a variable without a name as bytes, so it is given one.
    """
    try:
        inner = np.asarray(_decode(where, header, matrix, at), np.uint8).tobytes()
        order = "<" if inner[2:4] == b"IM" else ">"
        size = struct.unpack_from(order + "I", inner, 12)[0]
        body = bytearray(inner[8 : 16 + size])
        position = _name_position(bytes(body), order)
        body[position : position + 8] = struct.pack(order + "I", 1 << 16 | 1) + b"x\0\0\0"
        return _decode(where, header[:126] + inner[2:4], bytes(body), at)
    except (InputError, struct.error, TypeError, ValueError):
        return None  # only whoever needs an object has to know


def _load_hdf(where: str, data: bytes, names: Collection[str] | None) -> Mat:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{where}: is a MATLAB 7.3 file, which needs h5py: pip install 'myoflow[readers]'") from error
    found: dict[str, Any] = {}
    name = ""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            for name in file:
                if name.startswith("#") or (names is not None and name not in names):
                    continue
                found[name] = _hdf_value(h5py, file[name])
    except Exception as error:  # from damaged bytes h5py raises whatever comes first
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        what = f"variable {name}" if name else "the HDF5 structure (MATLAB 7.3)"
        raise InputError(f"{where}: {what} cannot be read: {reason}. Is the download complete?") from error
    return Mat(where, found)


def _hdf_value(h5py: Any, item: Any) -> Any:
    """Numbers and text as MATLAB shows them; for the rest the name of its class."""
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf" or "MATLAB_object_decode" in item.attrs:
        return kind or "struct"
    if "MATLAB_empty" in item.attrs:
        return np.zeros((0, 0))
    if item.size * item.dtype.itemsize > _MOST:
        raise ValueError(f"claims {item.size:,} values")
    value = np.asarray(item[()])
    if kind == "char":
        return np.array(["".join(map(chr, value.T.ravel()))])
    return np.atleast_2d(value).T  # HDF5 keeps MATLAB's columns as rows
