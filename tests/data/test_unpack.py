"""Unpack: into the folder or not at all."""

import io
import tarfile
import zipfile

import pytest

from myoflow.data.fetch import _unpacked
from myoflow.data.unpack import unpack
from myoflow.errors import InputError
from myoflow.progress import Progress

FILES = {"01/a.txt": b"one", "01/b/c.txt": b"two" * 1000, "d.txt": b""}


def make(path, files, links=()):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in files.items():
                packed.writestr(name, data)
            for name in links:
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o120777 << 16
                packed.writestr(info, "/etc/passwd")
        return path
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return path


@pytest.fixture(params=["a.zip", "a.tar.xz"])
def place(request, tmp_path):
    return tmp_path / request.param


def test_everything_is_there(place, tmp_path):
    needed = []
    unpack(make(place, FILES), tmp_path / "out", needed.append)
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.txt")}
    assert found == FILES
    assert needed == [sum(map(len, FILES.values()))]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"])
def test_no_path_leaves_the_folder(place, tmp_path, name):
    with pytest.raises(InputError, match="holds a path that leaves it"):
        unpack(make(place, {"good.txt": b"x", name: b"y"}), tmp_path / "out" / "in")
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted([place.name, "out"])


def test_links_are_refused(place, tmp_path):
    with pytest.raises(InputError, match="holds a link"):
        unpack(make(place, FILES, ["01/link"]), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == [place.name]


def test_damage_leaves_nothing(place, tmp_path):
    make(place, {"a.bin": bytes(range(256)) * 4000})
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 0xFF
    place.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be unpacked|ends after"):
        unpack(place, tmp_path / "out")
    place.write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(place, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == [place.name]


def test_without_room_nothing_is_written(place, tmp_path):
    def refuse(need):
        raise InputError(f"no room for {need}")

    with pytest.raises(InputError, match="no room for 3003"):
        unpack(make(place, FILES), tmp_path / "out", refuse)
    assert sorted(p.name for p in tmp_path.iterdir()) == [place.name]


def test_fetch_unpacks_once(place, tmp_path):
    make(place, FILES)
    assert _unpacked(tmp_path, place.name, Progress()) == "a"
    place.write_bytes(b"")  # would fail if it were opened again
    assert _unpacked(tmp_path, place.name, Progress()) == "a"
    with pytest.raises(InputError, match="is no archive"):
        _unpacked(tmp_path, "a.csv", Progress())
