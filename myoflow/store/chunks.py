"""Chunks: arrays of a recording as zarr v3 files, written and read without zarr, where each call costs a millisecond.

What is written is what zarr itself would write (`tests/store/test_chunks.py` compares file by file). Known here are the
layouts that `layout.write_group` makes: cut along the last axis only; the bytes codec, with blosc or alone; texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import MyoflowError

Array = npt.NDArray[Any]
CHUNK = 8192  # samples of all channels: about 64-260 kB, the size that decodes fastest
META = "zarr.json"
_PIECE = 8  # chunks made at once when an array comes in blocks
_TEXTS = "vlen-utf8"


# --- writing ---


class Encoder:
    """Writes arrays into the folder of a recording. Use it in a `with`; `threads` compress at once.

    blosc is never called from the main thread, where it would use a pool of its own, and give other bytes each time.
    """

    def __init__(self, group: Path, threads: int = 1) -> None:
        self.group = group
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def packed(
        self, name: str, values: Any, dims: tuple[str, ...], chunk: int = CHUNK, note: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """An array, or `Blocks`, in compressed chunks of `chunk` along the last axis. Returns its metadata.

        Raises:
            MyoflowError: blocks are not what the array's shape and dtype promise.
            OSError: the disk.
        """
        from numcodecs.blosc import Blosc  # type: ignore[import-untyped]

        if not hasattr(values, "blocks"):
            values = np.asarray(values)
        dtype = np.dtype(values.dtype).newbyteorder("<")
        *rest, last = (max(1, size) for size in values.shape)
        shape = (*rest, min(chunk, last))
        codec = {"typesize": dtype.itemsize, "cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0}
        meta = _metadata(values.shape, dtype, shape, dims, note, {"name": "blosc", "configuration": codec})
        folder = _begin(self.group / name, meta, values.ndim)
        encode = Blosc(cname="lz4", clevel=5, shuffle=Blosc.BITSHUFFLE).encode
        first = 0
        for piece in _pieces(values, _PIECE * shape[-1]):
            parts = [piece[..., at : at + shape[-1]] for at in range(0, piece.shape[-1], shape[-1])]
            put = partial(_put, folder, shape, dtype, encode)
            for _ in self._pool.map(put, range(first, first + len(parts)), parts):
                pass  # a failure is raised here
            first += len(parts)
        return meta

    def plain(self, name: str, values: Any, dims: tuple[str, ...]) -> dict[str, Any]:
        """A small array in one chunk, as it is. Returns its metadata."""
        values = np.asarray(values)
        dtype = values.dtype.newbyteorder("<")
        shape = tuple(max(1, size) for size in values.shape)
        meta = _metadata(values.shape, dtype, shape, dims, None)
        folder = _begin(self.group / name, meta, values.ndim)
        if values.size:
            _put(folder, shape, dtype, bytes, 0, values)
        return meta

    def texts(self, name: str, words: tuple[str, ...], dims: tuple[str, ...]) -> dict[str, Any]:
        """Words, each as its length and its UTF-8, behind their number. Returns their metadata."""
        meta = _described(
            (len(words),), "string", (max(1, len(words)),), "", [{"name": _TEXTS, "configuration": {}}], dims, {}
        )
        folder = _begin(self.group / name, meta, 1)
        if any(words):
            coded = [word.encode() for word in words]
            items = b"".join(len(word).to_bytes(4, "little") + word for word in coded)
            (folder / "0").parent.mkdir(parents=True, exist_ok=True)
            (folder / "0").write_bytes(len(words).to_bytes(4, "little") + items)
        return meta


def _begin(folder: Path, meta: dict[str, Any], axes: int) -> Path:
    """The array's folder with its metadata; returns where its chunks go, which is made with the first."""
    folder.mkdir()
    (folder / META).write_text(json.dumps(meta, indent=2), encoding="utf-8")
    return folder.joinpath("c", *["0"] * (axes - 1))


def _put(
    folder: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    encode: Callable[[Array], bytes],
    number: int,
    part: Array,
) -> None:
    """One chunk, behind the array's end filled with zeros; none where there is nothing but zeros, as zarr does."""
    whole = np.ascontiguousarray(part, dtype)
    if whole.shape != shape:
        whole = np.zeros(shape, dtype)
        whole[..., : part.shape[-1]] = part
    if not whole.view(np.uint8).any():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(number)).write_bytes(encode(whole))


def _metadata(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk: tuple[int, ...],
    dims: tuple[str, ...],
    note: Mapping[str, Any] | None,
    codec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    if dtype.kind not in "biuf":
        raise MyoflowError(f"an array of {dtype} cannot be stored; make it numbers")
    order = {"name": "bytes"} if dtype.itemsize == 1 else {"name": "bytes", "configuration": {"endian": "little"}}
    fill = {"b": False, "f": 0.0}.get(dtype.kind, 0)
    return _described(shape, dtype.name, chunk, fill, [order, *([codec] if codec else [])], dims, dict(note or {}))


def _described(
    shape: tuple[int, ...],
    kind: str,
    chunk: tuple[int, ...],
    fill: Any,
    codecs: list[dict[str, Any]],
    dims: tuple[str, ...],
    note: dict[str, Any],
) -> dict[str, Any]:
    """Metadata of a zarr v3 array in the order in which zarr writes it."""
    return {
        "shape": list(shape),
        "data_type": kind,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": note,
        "dimension_names": list(dims),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _pieces(values: Any, size: int) -> Iterator[Array]:
    """An array in pieces of `size` along its last axis, the last one shorter; `Blocks` are cut anew into such.

    Raises:
        MyoflowError: blocks are not what the array's shape and dtype promise.
    """
    if not hasattr(values, "blocks"):
        yield from (values[..., at : at + size] for at in range(0, values.shape[-1], size) if values.size)
        return
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


# --- reading ---


@frozen(eq=False)
class Chunked:
    """One array of a recording on disk. `shape` is its own, `chunk` that of each file; `packed` means blosc."""

    folder: Path
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    packed: bool

    @property
    def count(self) -> int:
        """Number of chunks along the last axis (the others have one)."""
        return -(-self.shape[-1] // self.chunk[-1])

    def read(self, number: int, out: Array | None = None) -> Array:
        """Chunk `number` along the last axis, whole: behind the array's end stands the fill value.

        Into `out`, C-contiguous of shape `chunk`, when given.

        Raises:
            MyoflowError: the file is damaged.
        """
        if out is None:
            out = np.empty(self.chunk, self.dtype)
        name = "/".join(["c", *["0"] * (len(self.shape) - 1), str(number)])
        try:
            with open(f"{self.folder}/{name}", "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            out[...] = self.fill  # chunks that hold nothing else are left out
            return out
        except OSError as error:
            raise damaged(self.folder.parent, error) from error
        try:
            if self.packed:
                from numcodecs import blosc  # type: ignore[import-untyped]

                # blosc's header: bytes 4-8 the decoded size, 12-16 its own; it would read on behind a file cut short
                sizes = (int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little"))
                if sizes != (out.nbytes, len(data)):
                    raise ValueError(f"{self.folder.name}/{name} does not hold a chunk of {out.nbytes} bytes")
                blosc.decompress(data, out)
            else:
                out[...] = np.frombuffer(data, self.dtype).reshape(self.chunk)
        except (ValueError, RuntimeError) as error:
            raise damaged(self.folder.parent, error) from error
        return out

    def whole(self) -> Array:
        """All of the array, in memory of its own."""
        if self.count == 1 and self.chunk == self.shape:
            return self.read(0)
        out = np.empty(self.shape, self.dtype)
        size = self.chunk[-1]
        part = np.empty(self.chunk, self.dtype)
        for number in range(self.count if out.size else 0):
            room = out[..., number * size : (number + 1) * size]
            room[...] = self.read(number, part)[..., : room.shape[-1]]
        return out


def chunked(group: Path, name: str, known: dict[str, Any] | None = None) -> Chunked:
    """An array of the recording at `group`, from `known` (its `metadata`) when that has been read already.

    Raises:
        MyoflowError: the group is damaged, or not as myoflow writes it.
    """
    try:
        meta = (known or metadata(group))["consolidated_metadata"]["metadata"][name]
        codecs = [codec["name"] for codec in meta["codecs"]]
        shape, chunk = tuple(meta["shape"]), tuple(meta["chunk_grid"]["configuration"]["chunk_shape"])
        order = meta["codecs"][0].get("configuration", {}).get("endian", "little")
        if codecs not in (["bytes"], ["bytes", "blosc"]) or order != "little":
            raise ValueError(f"{name} has the codecs {', '.join(codecs)} ({order} endian)")
        if any(size > part for size, part in zip(shape[:-1], chunk[:-1], strict=True)):
            raise ValueError(f"{name} is cut along more than its last axis")
        dtype = np.dtype(meta["data_type"]).newbyteorder("<")
        return Chunked(group / name, shape, chunk, dtype, meta["fill_value"], codecs[-1] == "blosc")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(group, error) from error


def texts(group: Path, name: str, known: dict[str, Any] | None = None) -> tuple[str, ...]:
    """The words of an array of texts.

    Raises:
        MyoflowError: the group is damaged, or not as myoflow writes it.
    """
    try:
        meta = (known or metadata(group))["consolidated_metadata"]["metadata"][name]
        (count,) = meta["shape"]
        if [codec["name"] for codec in meta["codecs"]] != [_TEXTS]:
            raise ValueError(f"{name} does not hold texts")
        file = group / name / "c" / "0"
        data = file.read_bytes() if file.exists() else None
        return _words(name, data, count) if data is not None else ("",) * count
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(group, error) from error


def _words(name: str, data: bytes, count: int) -> tuple[str, ...]:
    at, words = 4, []
    for _ in range(int.from_bytes(data[:4], "little")):
        size = int.from_bytes(data[at : at + 4], "little")
        words.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
        if at > len(data):
            break
    if at != len(data) or len(words) != count:
        raise ValueError(f"{name}/c/0 does not hold {count} texts")
    return tuple(words)


def metadata(path: Path) -> dict[str, Any]:
    """`zarr.json` of a group or array folder."""
    found: dict[str, Any] = json.loads((path / META).read_text(encoding="utf-8"))
    return found


def damaged(path: Path, error: Exception) -> MyoflowError:
    """The error for a group that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return MyoflowError(
        f"{path} is damaged ({reason}). `myoflow info STORE --verify` lists every damaged recording; "
        "delete its folder and convert again"
    )
