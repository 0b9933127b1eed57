"""Source: folders and archives, whole, damaged and hostile."""

import gc
import io
import os
import pickle
import tarfile
import tracemalloc
import zipfile

import pytest
from make_uci import ROOT, make_uci, pack

from myoflow.errors import InputError
from myoflow.readers import source as module
from myoflow.readers.source import File, Folder, Tar, open_source


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    make_uci(folder, 2, span=20)
    return folder


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".xz", ".gz", ".bz2"])
def test_an_archive_holds_what_the_folder_holds(raw, tmp_path, suffix):
    name = "a" + (suffix if suffix in (".zip", ".tar") else f".tar{suffix}")
    if suffix == ".tar":
        archive = tmp_path / name
        with tarfile.open(archive, "w") as out:
            out.add(raw, ROOT)
    else:
        archive = pack(raw, tmp_path / name)
    folder, source = open_source(raw), open_source(archive)
    assert {f"{ROOT}/{name}" for name in folder.names} == set(source.names)
    for name in reversed(folder.names):  # backwards is slow for a tar, but right
        file = pickle.loads(pickle.dumps(source.file(f"{ROOT}/{name}")))
        assert file.read() == folder.file(name).read() == (raw / name).read_bytes()
        assert file.where == f"{archive}:{ROOT}/{name}"


def test_reading_a_tar_in_order_is_one_pass(raw, tmp_path, monkeypatch):
    source = open_source(pack(raw, tmp_path / "a.tar.xz"))
    opened = []
    real = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda place, **more: opened.append(place) or real(place, **more))
    for name in source.names:
        source.file(name)
    assert len(opened) == 1
    source.file(source.names[0])
    assert len(opened) == 2


def test_a_folder_that_holds_only_the_archive_stands_for_it(raw, tmp_path):
    pack(raw, tmp_path / "EMG.tar.xz")
    (tmp_path / "note.txt").write_text("x")
    assert isinstance(open_source(tmp_path), Tar)
    (tmp_path / "01").mkdir()
    assert isinstance(open_source(tmp_path), Folder)


def test_a_folder_of_several_archives_stands_for_all_that_is_in_them(raw, tmp_path):
    for name in ("a.zip", "b.tar.xz", "._b.tar.xz"):
        pack(raw, tmp_path / name) if not name.startswith(".") else (tmp_path / name).write_bytes(b"x")
    (tmp_path / "note.txt").write_text("x")
    source = open_source(tmp_path)
    inside = open_source(raw).names
    expected = {f"{archive}/{ROOT}/{name}" for archive in ("a.zip", "b.tar.xz") for name in inside} | {"note.txt"}
    assert set(source.names) == expected
    for name in (f"b.tar.xz/{ROOT}/{inside[-1]}", f"a.zip/{ROOT}/{inside[0]}", "note.txt"):
        file = pickle.loads(pickle.dumps(source.file(name)))
        assert file.name == name
        assert file.read() == (b"x" if name == "note.txt" else (raw / name.split("/", 2)[2]).read_bytes())
    (tmp_path / "b.tar.xz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"b\.tar\.xz cannot be read"):
        open_source(tmp_path)


def test_small_files_of_a_tar_in_any_order_are_one_pass(raw, tmp_path, monkeypatch):
    source = open_source(pack(raw, tmp_path / "a.tar.xz"))
    opened = []
    real = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda place, **more: opened.append(place) or real(place, **more))
    for name in reversed(source.names):
        assert source.file(name).read() == (raw / name.removeprefix(f"{ROOT}/")).read_bytes()
    assert len(opened) == 1
    monkeypatch.setattr("myoflow.readers.source._KEPT_BYTES", 0)  # no room: right all the same, in more passes
    source = open_source(tmp_path / "a.tar.xz")
    for name in reversed(source.names):
        assert source.file(name).read() == (raw / name.removeprefix(f"{ROOT}/")).read_bytes()
    assert len(opened) > 2


def test_what_file_managers_leave_is_not_seen(tmp_path):
    for name in ("01/a.txt", "__MACOSX/01/._a.txt", "01/.DS_Store", "01/._a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert open_source(tmp_path).names == ("01/a.txt",)


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil", "a/../../evil", "..\\evil", "C:/evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_leave_an_archive_are_refused(tmp_path, name, kind):
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as out:
            out.writestr(name, "x")
    else:
        with tarfile.open(archive, "w") as out:
            info = tarfile.TarInfo(name)
            info.size = 1
            out.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="holds a path that leaves it"):
        open_source(archive)


def test_a_tar_with_a_damaged_header_does_not_end_there(raw, tmp_path):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as out:
        out.add(raw, ROOT)
    with tarfile.open(archive) as found:
        at = found.getmembers()[-1].offset
    data = bytearray(archive.read_bytes())
    data[at] ^= 1
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tar cannot be read: a damaged header: bad checksum"):
        open_source(archive)
    archive.write_bytes(data[: at + 100])
    with pytest.raises(InputError, match=r"a\.tar cannot be read: a damaged header: truncated header"):
        open_source(archive)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_the_checksum_at_the_end_of_a_packed_tar_is_read(raw, tmp_path, kind):
    archive = pack(raw, tmp_path / f"a.tar.{kind}")
    data = bytearray(archive.read_bytes())
    data[-6 if kind == "gz" else -5] ^= 1
    archive.write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.tar\.{kind} cannot be read: "):
        open_source(archive)


def test_links_in_an_archive_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        link = tarfile.TarInfo("01/a.txt")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        out.addfile(link)
    assert open_source(tmp_path / "a.tar").names == ()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.xz", "a.tar.gz", "a.tar.bz2"])
def test_a_damaged_archive_is_named(raw, tmp_path, name):
    data = pack(raw, tmp_path / name).read_bytes()
    broken = tmp_path / f"b{name[1:]}"
    for keep in (0, 10, len(data) // 3, len(data) * 9 // 10):
        broken.write_bytes(data[:keep])
        with pytest.raises(InputError, match=rf"b{name[1:]}.* cannot be read: .*Is the download complete\?"):
            _read_all(broken)
    broken.write_bytes(b"this is no archive" * 100)
    with pytest.raises(InputError, match="cannot be read"):
        _read_all(broken)


def _read_all(path):
    source = open_source(path)
    for name in source.names:
        source.file(name).read()


def test_a_zip_member_that_is_damaged_is_named(raw, tmp_path):
    archive = pack(raw, tmp_path / "a.zip")
    data = bytearray(archive.read_bytes())
    data[300:310] = b"\xff" * 10
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip:EMG_data_for_gestures-master/01/1_raw.* cannot be read"):
        _read_all(archive)


def test_wrong_places(tmp_path):
    with pytest.raises(InputError, match=r"there is nothing at .*nowhere"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "a.rar").write_bytes(b"x")
    with pytest.raises(InputError, match=r"neither a folder nor an archive \(\.zip, "):
        open_source(tmp_path / "a.rar")
    source = open_source(tmp_path)
    os.unlink(tmp_path / "a.rar")
    with pytest.raises(InputError, match=r"a\.rar cannot be read: No such file"):
        source.file("a.rar").read()


def test_a_source_in_brief(tmp_path):
    assert open_source(tmp_path).brief() == "no files"
    for i in range(7):
        (tmp_path / f"{i}").write_text("")
    assert open_source(tmp_path).brief(3) == "0, 1, 2, ... (7 files)"


def test_a_file_of_nothing_is_our_mistake():
    with pytest.raises(ValueError, match="neither a path nor data"):
        File("a", "a").read()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_large_files_of_an_archive_are_on_disk_while_somebody_holds_them(raw, tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "LARGE_BYTES", 100)
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    unpacked = tmp_path / "cache" / "unpacked"
    source = open_source(pack(raw, tmp_path / name))
    files = [source.file(name) for name in source.names if "raw_data" in name]
    assert len(list(unpacked.iterdir())) == len(files)
    for file in files:
        there = raw / file.name.removeprefix(f"{ROOT}/")
        assert file.read() == there.read_bytes() and file.head(10) == there.read_bytes()[:10]
        assert file.where == f"{tmp_path / name}:{file.name}"
    copies = pickle.loads(pickle.dumps(files))
    del copies  # a worker is done with them; they are not its own
    gc.collect()
    assert len(list(unpacked.iterdir())) == len(files)
    del files, file
    gc.collect()
    assert list(unpacked.iterdir()) == []


def test_what_a_killed_process_left_is_removed(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGE_BYTES", 100)
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    unpacked = tmp_path / "cache" / "unpacked"
    unpacked.mkdir(parents=True)
    host = module.socket.gethostname()
    (unpacked / f"{host}.{2**22 + 1}.x.txt").write_text("left")  # above the highest number of a process
    (unpacked / f"other-{host}.1.x.txt").write_text("another machine's")
    source = open_source(pack(raw, tmp_path / "a.zip"))
    file = source.file(source.names[0])
    assert {path.name for path in unpacked.iterdir()} == {f"other-{host}.1.x.txt", file.path.name}


def test_a_large_file_of_an_archive_is_never_in_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("long.bin", bytes(100 << 20))
    tracemalloc.start()
    file = open_source(tmp_path / "a.zip").file("long.bin")
    digest, (_, peak) = file.sha256(), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest == "20492a4d0d84f8beb1767f6616229f85d44c2827b64bdbfb260ee12fa1109e0e"
    assert peak < 8 << 20
