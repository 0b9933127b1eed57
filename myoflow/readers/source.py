"""Source: raw files as downloaded, a folder or an archive, behind one interface.

No path in an archive can leave anywhere: what is in it stays in memory, and large files go to disk under a name of our
own for as long as somebody holds them. A `.tar.xz` can only be read forwards:
listing is one pass, and reading files in the order of `names` is one more. Small files that were passed over are kept
for later, so that a small archive in any order is one pass, too.
"""

from __future__ import annotations

import glob
import hashlib
import io
import lzma
import os
import shutil
import socket
import struct
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Self

from attrs import evolve, field, frozen

from myoflow.errors import InputError
from myoflow.files import cache_folder

ARCHIVES = (".zip", ".tar", ".tar.xz", ".tar.gz", ".tgz", ".txz", ".tar.bz2")
_MOST_FILES = 1_000_000
_KEPT_BYTES = 64 << 20  # of a tar's files that were passed over
LARGE_BYTES = 32 << 20  # an archive's file above this is read from disk
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    # what the parsers let through from damaged headers; RuntimeError: encrypted, or an unknown compression
    *(struct.error, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError),
)


class Spooled:
    """A file on disk that is there for as long as this object; a copy sent to a worker does not own it."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        folder = cache_folder("unpacked").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        owner = f"{socket.gethostname()}.{os.getpid()}."
        number, path = tempfile.mkstemp(prefix=owner, suffix=f".{PurePosixPath(name).name}", dir=folder)
        self.path = Path(path)
        weakref.finalize(self, self.path.unlink, missing_ok=True)
        with open(number, "wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


def _sweep(folder: Path) -> None:
    """Remove what killed processes of this machine have left."""
    for path in folder.glob(f"{glob.escape(socket.gethostname())}.*"):
        owner = path.name.removeprefix(f"{socket.gethostname()}.").split(".")[0]
        try:
            os.kill(int(owner), 0)
        except (ProcessLookupError, ValueError):
            path.unlink(missing_ok=True)
        except PermissionError:
            pass  # somebody else's, alive


@frozen
class File:
    """One raw file. `name` is its path in the source, `where` says it to a person. Picklable, for workers."""

    name: str
    where: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    spooled: Spooled | None = field(default=None, repr=False, eq=False)

    def read(self) -> bytes:
        """All bytes. Raises InputError when the file cannot be read."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise ValueError(f"{self.where} has neither a path nor data")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.where} cannot be read: {error.strerror or error}") from error

    def open(self) -> BinaryIO:
        """The bytes as a stream, none read yet. Raises InputError when the file cannot be read."""
        if self.data is not None or self.path is None:
            return io.BytesIO(self.read())
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.where} cannot be read: {error.strerror or error}") from error

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or fewer."""
        with self.open() as stream:
            return stream.read(size)

    def sha256(self) -> str:
        """Of all bytes, which need not fit into memory."""
        digest = hashlib.sha256()
        with self.open() as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()


class Source(ABC):
    """Raw files of a dataset. `names` are relative paths with forward slashes, in the order they are best read in."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: tuple[str, ...] = ()

    @abstractmethod
    def file(self, name: str) -> File:
        """One of `names`, ready to be sent to a worker. Raises InputError when it cannot be read."""

    def brief(self, count: int = 5) -> str:
        """What is there, in a few words, for errors."""
        if not self.names:
            return "no files"
        shown = ", ".join(sorted(self.names)[:count])
        return shown if len(self.names) <= count else f"{shown}, ... ({len(self.names)} files)"


class Folder(Source):
    """Files below a folder."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        found: list[str] = []
        for folder, _, files in os.walk(place):
            below = Path(folder).relative_to(place).as_posix()
            found += [name if below == "." else f"{below}/{name}" for name in files]
            if len(found) > _MOST_FILES:
                raise InputError(f"{place} holds over {_MOST_FILES:,} files; name the dataset's own folder")
        self.names = tuple(sorted(name for name in found if _wanted(name)))

    def file(self, name: str) -> File:
        path = self.place / name
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a regular file")  # reading a pipe or a device would never end
        return File(name, str(path), path=path)


class Zip(Source):
    """Files of a zip archive."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        try:
            self._zip = zipfile.ZipFile(place)
        except _BROKEN as error:
            raise _broken(place, error) from error
        members = [member for member in self._zip.infolist() if not member.is_dir()]
        self.names = _checked(place, [member.filename for member in members])

    def file(self, name: str) -> File:
        try:
            with self._zip.open(name) as stream:
                return _member(name, f"{self.place}:{name}", stream, self._zip.getinfo(name).file_size)
        except _BROKEN as error:
            raise _broken(self.place, error, name) from error


class _Member(tarfile.TarInfo):
    """A member whose damaged header is an error; tarfile itself takes it for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.count(0) == len(buf):  # the end
                raise
            raise tarfile.ReadError(f"a damaged header: {error}") from error


class Tar(Source):
    """Files of a tar archive, compressed or not."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        try:
            with tarfile.open(place, tarinfo=_Member) as tar:
                names = [member.name for member in tar if member.isfile()]
                rest = tar.fileobj
                while rest is not None and rest.read(1 << 20):  # a compressed one ends with its checksum
                    pass
        except _BROKEN as error:
            raise _broken(place, error) from error
        self.names = _checked(place, names)
        self._rank = {name: i for i, name in enumerate(self.names)}
        self._tar: tarfile.TarFile | None = None
        self._next = 0
        self._passed: dict[str, bytes] = {}
        self._room = _KEPT_BYTES

    def file(self, name: str) -> File:
        where = f"{self.place}:{name}"
        if name in self._passed:
            return File(name, where, data=self._passed[name])
        try:
            if self._tar is None or self._rank[name] < self._next:
                self._tar = tarfile.open(self.place, tarinfo=_Member)  # noqa: SIM115  it stays open between files
                self._next = 0
            while (member := self._tar.next()) is not None:
                if member.isfile() and member.name in self._rank:
                    self._next = self._rank[member.name] + 1
                    if member.name == name:
                        return _member(name, where, _content(self._tar, member), member.size)
                    if member.size <= self._room and member.name not in self._passed:
                        self._passed[member.name] = _content(self._tar, member).read()
                        self._room -= member.size
        except _BROKEN as error:
            raise _broken(self.place, error, name) from error
        raise InputError(f"{self.place} no longer holds {name}")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(member)
    assert stream is not None, "a regular file has content"
    return stream


def _member(name: str, where: str, stream: IO[bytes], size: int) -> File:
    """A file of an archive: small ones in memory, large ones on disk."""
    if size <= LARGE_BYTES:
        return File(name, where, data=stream.read())
    spooled = Spooled(stream, name)
    return File(name, where, path=spooled.path, spooled=spooled)


class Parts(Source):
    """A folder of archives, as large sets are published, with the files beside them.

    Names of what is in an archive start with the archive's own name.
    """

    def __init__(self, place: Path, archives: list[Path]) -> None:
        super().__init__(place)
        self._parts = {path.name: open_source(path) for path in archives}
        loose = [path.name for path in sorted(place.iterdir()) if path.is_file() and path not in archives]
        inside = [f"{archive}/{name}" for archive, part in self._parts.items() for name in part.names]
        self.names = (*inside, *(name for name in loose if _wanted(name)))

    def file(self, name: str) -> File:
        archive, _, inner = name.partition("/")
        if archive in self._parts and inner:
            return evolve(self._parts[archive].file(inner), name=name)
        return File(name, str(self.place / name), path=self.place / name)


def open_source(place: str | Path) -> Source:
    """A folder or archive. A folder of archives, with no folder in it, stands for all that is in them.

    Raises:
        InputError: nothing is there, it is neither, or the archive is damaged or has paths that leave it.
    """
    place = Path(place)
    if not place.exists():
        raise InputError(f"there is nothing at {place}; give the folder or the archive as downloaded")
    if place.is_dir():
        archives = [path for path in sorted(place.iterdir()) if _is_archive(path) and _wanted(path.name)]
        if archives and not any(path.is_dir() for path in place.iterdir() if _wanted(path.name)):
            return open_source(archives[0]) if len(archives) == 1 else Parts(place, archives)
        return Folder(place)
    if not _is_archive(place):
        raise InputError(f"{place} is neither a folder nor an archive ({', '.join(ARCHIVES)})")
    return Zip(place) if place.name.lower().endswith(".zip") else Tar(place)


def _is_archive(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(ARCHIVES)


def _wanted(name: str) -> bool:
    """Not what file managers leave behind."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _checked(place: Path, names: list[str]) -> tuple[str, ...]:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
            raise InputError(f"{place} holds a path that leaves it ('{name}'); this is not the archive as published")
    kept = [name for name in names if _wanted(name)]
    return tuple(dict.fromkeys(kept))


def _broken(place: Path, error: Exception, name: str | None = None) -> InputError:
    what = f"{place}:{name}" if name else str(place)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{what} cannot be read: {reason}. Is the download complete?")
