"""Fuzz: small sets of every raw format, damaged in many ways. Each ends in an error that names the file, or whole."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import make_formats
import make_trial_text
import pytest
from make_cote_allard import make_cote_allard
from make_emg_uka import make_emg_uka
from make_epn import as_json, as_mat, labels_csv, user
from make_gaddy import make_gaddy
from make_grabmyo import make_grabmyo
from make_ninapro import exercise, file_name, make_ninapro, mat73
from make_uci import make_uci
from make_unibo import make_unibo

from myoflow.card import Card, load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.store import layout, open_store, verify

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in</body></html>\n"
HUGE = 1 << 20

Make = Callable[[Path], object]
Spoil = Callable[[bytes, random.Random], bytes]


@attrs.frozen
class Set:
    """A reader's set: `keep` are the files (patterns) that stay of what `make` wrote, so that a case takes moments.

    `blind`: the format says nowhere how long a file is, so one that ends early, but with a whole row, is a whole file.
    `linked`: recordings name each other, so that damage to one may change what others say. `needs` is a package.
    `first`: only that many of the files are damaged, so that a large set is left early.
    """

    card: Card
    make: Make
    keep: tuple[str, ...] = ("**/*",)
    blind: bool = False
    linked: bool = False
    needs: str = "numpy"
    first: int | None = None


def _own(reader: str, **options: Any) -> Card:
    """A laboratory's card."""
    return Card(
        name="lab",
        title="ours",
        reader=reader,
        channels=options.pop("named", ("left", "right")),
        rate=1000.0,
        labels=("unmarked", "rest", "fist"),
        unmarked="unmarked",
        options=options,
    )


def _files(**parts: bytes) -> Make:
    def make(folder: Path) -> None:
        for name, data in parts.items():
            (folder / name.replace("__", ".")).write_bytes(data)

    return make


def _epn_json(folder: Path) -> None:
    path = folder / "trainingJSON/user1/user1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(as_json(user(1, each=1))))


def _epn_mat(folder: Path) -> None:
    path = folder / "training/user1/userData.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(as_mat(user(1, each=1)))
    labels_csv(path.parent / "labels.csv", user(1, each=1))


def _ninapro_73(folder: Path) -> None:
    for number in (1, 2, 3):
        path = folder / file_name("ninapro_db2", 1, number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mat73(exercise("ninapro_db2", 1, number, span=2)))


def _meta(which: str) -> Make:
    def make(folder: Path) -> None:
        import make_meta  # needs h5py

        getattr(make_meta, f"make_{which}")(folder)

    return make


def _bids(folder: Path) -> None:
    (folder / "task-grip_channels.tsv").write_text("name\ttype\tunits\nleft\tEMG\tV\nright\tEMG\tV\n")
    (folder / "task-grip_emg.json").write_text(json.dumps({"SamplingFrequency": 1000, "Manufacturer": "X"}))
    for subject, width in (("01", 2), ("02", 3)):
        emg = folder / f"sub-{subject}" / "emg"
        emg.mkdir(parents=True)
        name = f"sub-{subject}_task-grip"
        (emg / f"{name}_emg.{'edf' if width == 2 else 'bdf'}").write_bytes(make_formats.edf(width))
        (emg / f"{name}_events.tsv").write_text("onset\tduration\ttrial_type\n0.05\t0.02\tfist\n")


def _sets() -> dict[str, Set]:
    """By name; a name starts with its reader's."""
    lab = _own("files", pattern=r"(?P<a>\w+)\.csv", run="{a}", channels=["EMG 1", "EMG 2"])
    vision = {name.replace(".", "__"): data for name, data in make_formats.brainvision().items()}
    wfdb = {name.replace(".", "__"): data for name, data in make_formats.wfdb().items()}
    take = make_formats.csv()
    made = {
        "uci_text": Set(load_card("uci_emg"), lambda at: make_uci(at, 2, span=8), blind=True),
        "ninapro_mat": Set(load_card("ninapro_db5"), lambda at: make_ninapro(at, "ninapro_db5", 1, span=2)),
        "ninapro_mat 7.3": Set(load_card("ninapro_db2"), _ninapro_73, needs="h5py"),
        "epn612": Set(load_card("epn612"), _epn_json),
        "epn612 .mat": Set(load_card("epn612"), _epn_mat),
        "unibo_mat": Set(load_card("unibo_inail"), lambda at: make_unibo(at, 1, 1, 2)),
        "cote_allard": Set(load_card("cote_allard_myo"), make_cote_allard, ("Pre*/**/*",), blind=True, first=3),
        "grabmyo": Set(load_card("grabmyo"), lambda at: make_grabmyo(at, (1,), 1), needs="wfdb"),
        "emg_uka": Set(load_card("emg_uka_trial"), make_emg_uka, ("**/*_008_*", "**/*_0[13]00.*", "Sub*/*")),
        "meta_hdf5": Set(load_card("emg2pose"), _meta("emg2pose"), needs="h5py"),
        "meta_hdf5 typing": Set(load_card("emg2qwerty"), _meta("emg2qwerty"), needs="h5py"),
        "meta_hdf5 gestures": Set(load_card("neuromotor_discrete"), _meta("neuromotor"), needs="h5py"),
        "gaddy": Set(
            load_card("gaddy_silent_speech"),
            make_gaddy,
            ("emg_data/silent*/**/[0-2]_*", "emg_data/voiced*/5-4/[0-1]_*", "text_alignments/5-4/*_[0-1]_*"),
            linked=True,
            needs="soundfile",
        ),
        "bids_emg": Set(_own("bids_emg"), _bids),
        "files csv": Set(lab, _files(fist_1__csv=take, fist_2__csv=take, rest_1__csv=take), blind=True),
        "files wfdb": Set(_own("files", pattern=r"\.hea", rate="card", named=("EMG 1", "EMG 2")), _files(**wfdb)),
        "files vision": Set(
            _own("files", pattern=r"\.vhdr", rate="card", named=("EMG, left", "EMG right")),
            _files(**vision),
            blind=True,
        ),
    }
    texts: dict[str, tuple[Make, tuple[str, ...]]] = {
        "libemg_one_subject": (make_trial_text.one_subject, ("*/trial_1/R_0_C_[0-2]*", "*/stream/*")),
        "libemg_myodisco": (make_trial_text.myodisco, ("S3/day1/R_0_C_[0-2]*",)),
        "myo_readings": (make_trial_text.readings, ("_readings_left_hand/*/[0-2].txt",)),
        "myo_longterm": (make_trial_text.longterm, ("data/sub1/day1/*M1T*", "data/sub1/day1/*M2T*")),
        "somach": (make_trial_text.somach, ("data/studyA*/**/*", "data/README.md")),
        "subvocal_cyton": (make_trial_text.cyton, ("**/*.csv",)),
    }
    for card, (make, keep) in texts.items():
        made[f"trial_text {card}" if "trial_text" in made else "trial_text"] = Set(
            load_card(card), make, keep, blind=True
        )
    return made


SETS = _sets()


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, max(2, len(data)))]


def _flip(bits: int) -> Spoil:
    def spoil(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        for _ in range(bits):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        return bytes(out)

    return spoil


def _head_flip(data: bytes, rng: random.Random) -> bytes:
    """One bit where headers are."""
    return _flip(1)(data[:400], rng) + data[400:]


def _numbers(data: bytes, rng: random.Random) -> bytes:
    """Numbers in the header, plain or binary, become as large as they can."""
    head = re.sub(rb"\d", b"9", data[:300]) if data[:60].isascii() else data[:300]
    at = 4 * rng.randrange(max(1, min(len(data), 300) // 4))
    return (head[:at] + b"\xff\xff\xff\x7f" + head[at + 4 :]) + data[300:] if head == data[:300] else head + data[300:]


def _odd_number(word: bytes) -> Spoil:
    """One of a text's numbers, or eight bytes, become something odd."""

    def spoil(data: bytes, rng: random.Random) -> bytes:
        found = list(re.finditer(rb"-?\d+(\.\d+)?", data)) if data[:60].isascii() else []
        if not found:
            at = rng.randrange(max(1, len(data) - 8))
            return data[:at] + b"\0\0\0\0\0\0\xf8\x7f" + data[at + 8 :]
        number = rng.choice(found)
        return data[: number.start()] + word + data[number.end() :]

    return spoil


CONTENT: dict[str, Spoil] = {
    **{f"cut {i}": _cut for i in range(4)},
    "one byte less": lambda data, rng: data[:-1],
    "one byte": lambda data, rng: data[:1],
    **{f"flip {bits} bits, {i}": _flip(bits) for bits in (1, 9) for i in range(2)},
    **{f"flip in the header {i}": _head_flip for i in range(2)},
    **{f"large numbers {i}": _numbers for i in range(2)},
    **{f"{word} for a number": _odd_number(word.encode()) for word in ("nan", "1e999", "-1", "9" * 30)},
    "empty": lambda data, rng: b"",
    "white space": lambda data, rng: b" \r\n" * 20,
    "zeros": lambda data, rng: bytes(len(data)),
    "noise": lambda data, rng: rng.randbytes(len(data)),
    "a page": lambda data, rng: PAGE,
    "a picture": lambda data, rng: PNG,
    "packed": lambda data, rng: gzip.compress(data, mtime=0),
    "utf-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
    "latin-1": lambda data, rng: data[: len(data) // 2] + "é".encode("latin-1") + data[len(data) // 2 :],
    "zeros inside": lambda data, rng: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :],
    "long head": lambda data, rng: b"9" * HUGE + data,
    "many lines": lambda data, rng: b"\n" * HUGE + data,
    "twice": lambda data, rng: data + data,
    "more behind": lambda data, rng: data + b"\x07\x03\x01",
}
PLACE = ("missing", "renamed", "upper case", "a folder", "a pipe", "a dead link", "of another")


@attrs.frozen
class Made:
    """A set as written: which recordings each file is in, all files, and the store of it."""

    folder: Path
    users: dict[str, set[str]]
    together: dict[str, set[str]]
    names: list[str]
    rows: dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    known: dict[str, Made] = {}

    def get(key: str) -> Made:
        chosen = SETS[key]
        pytest.importorskip(chosen.needs)
        if key not in known:
            folder = tmp_path_factory.mktemp("set")
            chosen.make(folder)
            kept = {path for pattern in chosen.keep for path in folder.glob(pattern)}
            for path in [path for path in folder.rglob("*") if path.is_file() and path not in kept]:
                path.unlink()
            source = open_source(folder)
            users: dict[str, set[str]] = {}
            together: dict[str, set[str]] = {}
            for item in READERS[chosen.card.reader](chosen.card).recordings(source):
                for name in item.names:
                    users.setdefault(name, set()).add(item.id)
                    together.setdefault(name, set()).update(item.names)
            store = tmp_path_factory.mktemp("whole") / "s.zarr"
            convert(chosen.card, folder, store)
            known[key] = Made(folder, users, together, sorted(source.names), {r.id: r for r in open_store(store).rows})
        return known[key]

    return get


def _target(made: Made, rng: random.Random, number: int, first: int | None) -> str:
    """Files that recordings are made of, each kind in turn; the others (lists, read-mes) once in a while."""
    names = sorted(made.users)[:first] if number % 6 else made.names[:first]
    kinds = sorted({re.split(r"[_\d]", name.rsplit("/", 1)[-1])[0] + Path(name).suffix for name in names})
    kind = kinds[number % len(kinds)]
    return rng.choice(
        [name for name in names if re.split(r"[_\d]", name.rsplit("/", 1)[-1])[0] + Path(name).suffix == kind]
    )


def _damage(folder: Path, name: str, damage: str, rng: random.Random, others: list[str]) -> None:
    path = folder / name
    if damage in CONTENT:
        path.write_bytes(CONTENT[damage](path.read_bytes(), rng))
        return
    if damage == "of another":
        path.write_bytes((folder / rng.choice([other for other in others if other != name] or [name])).read_bytes())
    elif damage == "renamed":
        path.rename(path.with_name(f"{path.stem}_x{path.suffix}"))
    elif damage == "upper case":
        path.rename(path.with_name(path.name.upper()))
    elif damage in PLACE:
        path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "a pipe":
        os.mkfifo(path)
    elif damage == "a dead link":
        path.symlink_to("nowhere")


def _pack(folder: Path, archive: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file() or path.is_dir():
                    packed.write(path, f"set/{path.relative_to(folder)}")
                else:
                    packed.writestr(f"set/{path.relative_to(folder)}", b"")
    else:
        with tarfile.open(archive, f"w:{archive.suffix[1:]}" if archive.suffix != ".tar" else "w") as out:
            out.add(folder, "set")


def _check(made: Made, store: Path, touched: set[str], damage: str, key: str) -> None:
    """What is in the store is whole: nothing half-written, the untouched recordings as they were."""
    if not (store / layout.META).exists():
        return
    blind, linked = SETS[key].blind, SETS[key].linked
    found = open_store(store)
    assert verify(found) == []
    for row in found.rows:
        whole = made.rows.get(row.id)
        if whole is None:
            assert damage in ("renamed", "upper case", "of another"), f"{row.id} is new"
        elif row.id not in touched and not linked:
            assert row.checksum == whole.checksum, f"{row.id} is another"
        elif damage not in ("of another", "twice") and not (blind and damage in SHORTER):
            assert row.samples == whole.samples, f"{row.id} has {row.samples} of {whole.samples} samples"
        assert row.samples > 0


SHORTER = {*(f"cut {i}" for i in range(4)), "one byte less"}  # files without a length can end after any row
DAMAGES = (*CONTENT, *PLACE)
FREE = ("training/user1/labels.csv",)  # only read where the objects of the .mat cannot be


def _cases() -> Iterator[Any]:
    """Every damage to each reader's first set as a folder or an archive, some to its other sets; all of it if slow."""
    for k, key in enumerate(SETS):
        for d, damage in enumerate(DAMAGES):
            for form in ("folder", "archive"):
                soon = (form == "folder") == ((k + d) % 2 == 0) and (key in READERS or (k + d) // 2 % 4 == 0)
                yield pytest.param(key, damage, form, marks=() if soon else pytest.mark.slow)


@pytest.mark.parametrize(("key", "damage", "form"), list(_cases()))
def test_a_damaged_file_is_named_or_does_no_harm(made, tmp_path, key, damage, form):
    base, chosen = made(key), SETS[key]
    number = DAMAGES.index(damage)
    rng = random.Random(f"{key} {damage}")
    name = _target(base, rng, number, chosen.first)
    raw, store = tmp_path / "raw", tmp_path / "s.zarr"
    shutil.copytree(base.folder, raw)
    _damage(raw, name, damage, rng, sorted(base.users))
    if form == "archive":
        folder, raw = raw, tmp_path / f"raw{('.zip', '.tar', '.tar.gz', '.tar.xz')[number % 4]}"
        _pack(folder, raw)
    try:
        convert(chosen.card, raw, store)
    except InputError as error:
        told = str(error)
        near = {name, *base.together.get(name, ())}
        if damage in PLACE:
            assert str(raw) in told
        else:
            assert any(other.rsplit("/", 1)[-1] in told for other in near), told
        assert "\n" not in told and "Traceback" not in told and len(told) < 2000, told
    else:
        assert damage not in ("empty", "a page", "a picture") or name not in base.users or name in FREE, name
    touched = base.users.get(name, set(base.rows))
    _check(base, store, touched, damage, key)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2"])
@pytest.mark.parametrize("key", ["uci_text", "grabmyo", "epn612", "bids_emg"])
def test_a_damaged_archive_is_named_or_does_no_harm(made, tmp_path, key, suffix):
    base, rng = made(key), random.Random(f"{key} {suffix}")
    archive = tmp_path / f"raw{suffix}"
    _pack(base.folder, archive)
    data = archive.read_bytes()
    for i in range(6):
        store = tmp_path / f"{i}.zarr"
        archive.write_bytes(_cut(data, rng) if i % 2 else _flip(1 + 8 * (i // 3))(data, rng))
        try:
            summary = convert(SETS[key].card, archive, store)
        except InputError as error:
            assert str(archive) in str(error)
        else:
            assert summary.written == len(base.rows)
        # a plain .tar has no checksums over its content
        _check(base, store, set(base.rows) if suffix == ".tar" else set(), "archive", key)


def test_every_reader_of_raw_files_is_here():
    readers = {name for name in READERS if READERS[name].needs_source}
    assert {key.split()[0] for key in SETS} == readers
