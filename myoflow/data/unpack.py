"""Unpack: an archive into a new folder, whole or not at all, and nothing outside of it."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from myoflow.errors import InputError
from myoflow.readers.source import ARCHIVES

__all__ = ["ARCHIVES", "unpack"]

_BLOCK = 1 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
)


def unpack(archive: Path, target: Path, room: Callable[[int], None] | None = None) -> None:
    """Unpack a zip or tar archive as the folder `target`, which must not exist yet.

    Only regular files are made; a link or device, an absolute path and `..` are refused, and so are more bytes than the
    archive's list of contents admits to. `room` is told the bytes needed before the first is written, and may refuse.

    Raises:
        InputError: not such an archive, damaged, or one whose paths leave the folder.
        OSError: the disk.
    """
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        aside.mkdir(parents=True)
        with _opened(archive) as members:
            places = [(_inside(archive, name), size, content) for name, size, content in members]
            if room is not None:
                room(sum(size for _, size, _ in places))
            for place, size, content in places:
                _write(archive, aside / place, size, content)
        aside.rename(target)
    except _BROKEN as error:
        raise InputError(f"{archive} cannot be unpacked: {error}. Is the download complete?") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


Member = tuple[str, int, Callable[[], IO[bytes] | None]]


@contextmanager
def _opened(archive: Path) -> Iterator[list[Member]]:
    """Name, size and content of every regular file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            found: list[Member] = []
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise InputError(
                        f"{archive} holds a link ('{info.filename}'); this is not the archive as published"
                    )
                if not info.is_dir():
                    found.append((info.filename, info.file_size, lambda info=info: packed.open(info)))  # type: ignore[misc]
            yield found
        return
    with tarfile.open(archive) as tar:
        listed: list[Member] = []
        for member in tar:
            if not (member.isfile() or member.isdir()):
                raise InputError(f"{archive} holds a link or device ('{member.name}'); it is not unpacked")
            if member.isfile():
                listed.append((member.name, member.size, lambda member=member: tar.extractfile(member)))  # type: ignore[misc]
        yield listed


def _inside(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0] or "\0" in name:
        raise InputError(f"{archive} holds a path that leaves it ('{name}'); this is not the archive as published")
    return path


def _write(archive: Path, path: Path, size: int, content: Callable[[], IO[bytes] | None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = content()
    assert source is not None, "a regular file has content"
    written = 0
    with source, path.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > size:
                raise InputError(f"{archive}: '{path.name}' holds more than the {size:,} bytes it admits to")
            file.write(block)
    if written < size:
        raise InputError(
            f"{archive}: '{path.name}' ends after {written:,} of {size:,} bytes. Is the download complete?"
        )
