"""Fetch: a dataset's files from where they are published, resumed after any stop, and the same ones for ever after.

A download goes to `.NAME.part`; what has arrived is asked for no more (Range), unless the server says that the file is
another by now (If-Range). `.fetched.json` in the folder keeps the SHA-256 of every file: the card's where it
states one, else that of the first download. From then on no other content is taken.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from myoflow.data.unpack import ARCHIVES, unpack
from myoflow.errors import InputError, MyoflowError
from myoflow.files import read_json, write_json
from myoflow.progress import Progress

if TYPE_CHECKING:
    from myoflow.card import Card, Download

LEDGER = ".fetched.json"
ATTEMPTS = 6  # in a row without a single new byte
_PAUSE_S = 1.0  # doubled from attempt to attempt
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_SPARE = 64 << 20  # bytes that stay free
_FATAL = {400, 401, 403, 404, 405, 410, 451}
_NETWORK = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


@frozen
class Fetched:
    """What is in `folder` now: `files` by name, of which `new` were downloaded by this call; `unpacked` folders."""

    folder: Path
    files: tuple[str, ...]
    new: tuple[str, ...]
    unpacked: tuple[str, ...]

    def __str__(self) -> str:
        there = len(self.files) - len(self.new)
        text = f"{self.folder}: {len(self.new)} files downloaded, {there} were there"
        return text + (f", unpacked: {', '.join(self.unpacked)}" if self.unpacked else "")


def fetch(card: Card, folder: Path | str, progress: Progress | None = None) -> Fetched:
    """Download a dataset into `folder`; what is there is checked and not downloaded again.

    Raises:
        InputError: the dataset is simulated, or wants a login (where to get it is said), or a page is gone.
        MyoflowError: the network or the disk failed (the same call continues), or a file is not what it was.
    """
    folder, progress = Path(folder), progress or Progress()
    if card.simulated:
        raise InputError(f"{card.name} is simulated; there is nothing to download")
    if not card.downloads:
        raise InputError(_by_hand(card, folder))
    for name in card.downloads:
        _file_name(name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    new, unpacked = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, download in card.downloads.items():
            if _ensure(card, download, folder, name, progress):
                new.append(name)
            if download.unpack:
                unpacked.append(_unpacked(folder, name, progress))
    except OSError as error:
        raise MyoflowError(
            f"writing to {folder} failed: {error.strerror or error}; the same command continues"
        ) from error
    return Fetched(folder, tuple(card.downloads), tuple(new), tuple(unpacked))


def _file_name(name: str) -> None:
    """Raises InputError: it would not stay in the folder."""
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise InputError(f"the card's download '{name}' is no file name")


def _by_hand(card: Card, folder: Path) -> str:
    why = f"{card.login}. " if card.login else ""
    where = f"from {card.home}" if card.home else "from its authors"
    return (
        f"{card.name} cannot be downloaded from here. {why}Get {card.files or 'its files'} {where}, put them into "
        f"{folder}, then: myoflow convert {card.name} {folder}"
    )


def _ensure(card: Card, download: Download, folder: Path, name: str, progress: Progress) -> bool:
    """Have one file, whole and the right one; whether it had to be downloaded."""
    target, ledger = folder / name, folder / LEDGER
    known = read_json(ledger, {})
    wanted = download.sha256 or known.get(name, {}).get("sha256")
    fresh = not target.exists()
    path = _download(card, download, folder, name, progress) if fresh else target
    if fresh and download.md5 is not None and (other := _hash_of(path, "md5")) != download.md5:
        path.unlink()
        raise MyoflowError(
            f"{download.url} is not the published file: MD5 {other}, but the card's is {download.md5}. Nothing was "
            "kept; fetch it again"
        )
    found = _hash_of(path, "sha256")
    if wanted is not None and found != wanted:
        said = "the card's" if download.sha256 else f"the first download's, kept in {ledger}"
        if fresh:
            path.unlink()
            raise MyoflowError(
                f"{download.url} is not the file it was: SHA-256 {found}, but {said} is {wanted}. Nothing was kept. "
                f"Look at {card.home or 'its page'} for what has changed"
                + ("" if download.sha256 else f"; to take the new file, delete {name} from {ledger}")
            )
        raise MyoflowError(
            f"{target} has changed on this disk: SHA-256 {found}, but {said} is {wanted}; delete it and fetch again"
        )
    if wanted is None or name not in known:
        entry = {"url": download.url, "bytes": path.stat().st_size, "sha256": found}
        write_json(ledger, {**read_json(ledger, {}), name: entry})
    if fresh:
        path.replace(target)
        _note(folder, name).unlink(missing_ok=True)
    return fresh


def _hash_of(path: Path, kind: str) -> str:
    """Digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _note(folder: Path, name: str) -> Path:
    """What the server said of the file that `.NAME.part` is a part of."""
    return folder / f".{name}.part.json"


def _download(card: Card, download: Download, folder: Path, name: str, progress: Progress) -> Path:
    """The whole file at `.NAME.part`, in as many requests as it takes."""
    part = folder / f".{name}.part"
    size = _size(part)
    failures = 0
    total = (download.bytes or read_json(_note(folder, name), {}).get("total") or 0) // _BLOCK
    with progress.phase(f"Downloading {name} (MB)", total or None) as advance:
        advance(size // _BLOCK)
        while True:
            try:
                if _request(card, download, folder, name, advance):
                    return part
                reason = "it sent less than it promised"
            except urllib.error.HTTPError as error:
                reason = f"it answered {error.code} {error.reason}"
                if error.code in _FATAL:
                    raise InputError(f"{download.url}: {reason}. {_by_hand(card, folder)}") from error
            except _NETWORK as error:
                reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            now = _size(part)
            failures = 1 if now > size else failures + 1
            size = now
            if failures >= ATTEMPTS:
                raise MyoflowError(
                    f"downloading {download.url} failed {ATTEMPTS} times after {size:,} bytes: {reason}. "
                    "What has arrived is kept; the same command continues"
                )
            time.sleep(_PAUSE_S * 2 ** (failures - 1))


def _request(card: Card, download: Download, folder: Path, name: str, advance: Callable[[int], None]) -> bool:
    """One request for what is missing; whether the file is whole now."""
    part, note = folder / f".{name}.part", _note(folder, name)
    have, known = _size(part), read_json(note, {})
    headers = {"User-Agent": "myoflow", "Accept-Encoding": "identity"}
    if have and known.get("tag"):
        headers |= {"Range": f"bytes={have}-", "If-Range": known["tag"]}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(download.url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send, or the file is shorter now
            if have == known.get("total"):
                return True
            part.unlink(missing_ok=True)
            return False
        raise
    with answer:
        start = _start(answer, have) if answer.status == 206 else 0
        kind = answer.headers.get_content_type()
        if kind == "text/html" and not name.endswith((".html", ".htm")):
            raise InputError(
                f"{download.url} gave a web page instead of {name}: a login, perhaps. {_by_hand(card, folder)}"
            )
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        _fits(download, name, total)
        if total is not None:
            _room(folder, total - start, name)
        tag = answer.headers.get("ETag", "")
        strong = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
        write_json(note, {"tag": strong, "total": total})
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            whole = _pour(answer, file, start, advance)
    if total is not None and whole < total:
        return False
    _fits(download, name, whole)
    return True


def _pour(answer: Any, file: Any, at: int, advance: Callable[[int], None]) -> int:
    """Append what comes; the size at its end. What has come stays when the line breaks."""
    while block := answer.read1(_BLOCK):
        file.write(block)
        advance((at + len(block)) // _BLOCK - at // _BLOCK)
        at += len(block)
    return at


def _start(answer: Any, have: int) -> int:
    """Where a partial answer begins. Raises HTTPException: not where it was asked to."""
    given = answer.headers.get("Content-Range", "")
    if not given.startswith(f"bytes {have}-"):
        raise http.client.HTTPException(f"it sent '{given}' when asked for what follows byte {have}")
    return have


def _fits(download: Download, name: str, size: int | None) -> None:
    if download.bytes is not None and size is not None and size != download.bytes:
        raise MyoflowError(
            f"{download.url} has {size:,} bytes, but the card says {download.bytes:,}: {name} is not the published file"
        )


def _room(folder: Path, need: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if need + _SPARE > free:
        raise InputError(f"{what} needs {need / 1e6:,.0f} MB in {folder}, which has {free / 1e6:,.0f} MB free")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unpacked(folder: Path, name: str, progress: Progress) -> str:
    """The archive's content in a folder of its name, once."""
    ending = next((ending for ending in sorted(ARCHIVES, key=len, reverse=True) if name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(f"the card's download {name} says `unpack`, but is no archive ({', '.join(ARCHIVES)})")
    target = folder / name[: -len(ending)]
    if not target.exists():
        with progress.phase(f"Unpacking {name}"):
            unpack(folder / name, target, lambda need: _room(folder, need, f"unpacking {name}"))
    return target.name
