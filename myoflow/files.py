"""Files: write beside, then rename, so that what bears the right name is whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from myoflow.errors import InputError


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A new name in the same folder, ending like `path`; renamed to it at the end, removed after an error.

    A full disk is an OSError that names `path`, whatever the library that wrote makes of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    except Exception as error:
        if _full(part, error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _full(part: Path, error: Exception) -> bool:
    """numpy tells of too few bytes written, torch of a failed writer, safetensors of an I/O error."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC or (error.errno is None and "requested and" in str(error))
    return "No space left" in str(error) or ("writ" in str(error) and shutil.disk_usage(part.parent).free < 1 << 16)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with beside(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, default: Any) -> Any:
    """A JSON file's value, or `default` where there is none. Raises InputError when it is damaged."""
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})") from None


def writable(folder: Path) -> Path:
    """A folder that is made here and can be written to. Raises InputError: it cannot, and what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "no permission, or a disk that is only read"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise InputError(
            f"the cache folder {folder} cannot be written ({reason}); set MYOFLOW_CACHE to a folder that can"
        )
    return folder


def cache_folder(part: str = "") -> Path:
    """Where what can be made again is kept: `$MYOFLOW_CACHE` (default `cache`), or its folder `part`; as `writable`."""
    return writable(Path(os.environ.get("MYOFLOW_CACHE", "cache")) / part)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """This process alone works in the folder meanwhile. Raises InputError when another one does."""
    path = folder / ".lock"
    while True:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"another process is working in {folder}; wait for it") from None
            if not _is(path, file):
                continue  # the last one has removed it since it was opened here: a third could make another
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is(path: Path, file: IO[str]) -> bool:
    """Whether the open file is the one that bears this name."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
