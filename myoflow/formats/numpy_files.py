"""npy: numpy's own files, one array (.npy) or several by name (.npz); objects, which could run code, are refused."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as layout

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Signals
from myoflow.formats.variables import chosen
from myoflow.readers.source import File

_MOST = 1 << 33  # bytes that the arrays of one .npz may unpack to
_RATIO = 1100  # no zip packs better than 1032 to 1


@FORMATS.add("npy")
class NumpyFiles(Format):
    """An array `(time, channel)` or `(channel, time)`; the longer side is time. A `.npz` may hold its rate."""

    suffixes = (".npy", ".npz")
    what = "a numpy file"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        data = file.read()
        if not data:
            raise InputError(f"{file.where}: the file is empty; expected a numpy file")
        if data[:6] == layout.MAGIC_PREFIX:
            return chosen(file.where, {"array": array_of(data)}, None)
        arrays: dict[str, Any] = {}
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            members = [member for member in packed.infolist() if member.filename.endswith(".npy")]
            if sum(member.file_size for member in members) > _MOST:
                raise InputError(f"{file.where}: unpacks to over {_MOST >> 30} GiB; give its arrays as .npy files")
            for member in members:
                if member.file_size > _RATIO * (member.compress_size + 1):
                    raise InputError(f"{file.where}: {member.filename} claims more bytes than its own can unpack to")
                arrays[member.filename.removesuffix(".npy")] = array_of(packed.read(member))
        return chosen(file.where, arrays, variable)


def array_of(data: bytes) -> npt.NDArray[Any]:
    """The array of a `.npy` file's bytes; its promised size is held against them before any memory is taken."""
    stream = io.BytesIO(data)
    version = layout.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of .npy is not read")
    shape, fortran, dtype = (layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0)(
        stream
    )
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code; save numbers")
    at, count = stream.tell(), math.prod(shape)
    if count * dtype.itemsize != len(data) - at:
        raise ValueError(f"{count * dtype.itemsize:,} bytes of numbers are promised, {len(data) - at:,} are there")
    flat = np.frombuffer(data, dtype, count, at) if count else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
