"""Decode: the same numbers as zarr gives, from the chunk files themselves, and a cache that is right or not there."""

import numpy as np
import pytest
from make_recordings import ORIGIN, full, recording

from myoflow.errors import InputError, MyoflowError
from myoflow.store import Writer, decode, open_store
from myoflow.store.decode import Decoded, cache_folder


@pytest.fixture
def store(tmp_path):
    quiet = recording("03", samples=30_000)
    quiet.emg[:, 8192 : 2 * 8192] = 0  # a chunk of zeros only: zarr leaves its file out
    with Writer(tmp_path / "s.zarr", {"dataset": "toy", "labels": ["unmarked", "rest", "fist"]}, "d") as writer:
        for made in (full(), recording("02", samples=40_000), quiet):
            writer.add(made, ORIGIN)
    return open_store(tmp_path / "s.zarr")


@pytest.mark.parametrize("cached", [True, False])
def test_any_stretch_is_that_of_the_recording(store, tmp_path, cached):
    made = Decoded(store.path, store.rows, tmp_path / "c" if cached else None, limit=200_000)
    rng = np.random.default_rng(0)
    whole = [store.raw(row.id).emg for row in store.rows]
    for _ in range(200):
        number = int(rng.integers(3))
        length = int(rng.integers(1, 18_000))
        start = int(rng.integers(0, whole[number].shape[1] - length + 1))
        out = np.empty((3, length), np.int16)
        made.copy(number, start, out)
        np.testing.assert_array_equal(out, whole[number][:, start : start + length])


def test_the_cache_is_filled_once_and_by_content(store, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    Decoded(store.path, store.rows, folder, 0).prepare()
    files = sorted(folder.rglob("*.raw"))
    assert sorted(path.stem for path in files) == sorted(row.checksum for row in store.rows)
    monkeypatch.setattr(Decoded, "_fill", None)  # a second reader decodes nothing
    again = Decoded(store.path, store.rows, folder, 0)
    again.prepare()
    out = np.empty((3, 100), np.int16)
    again.copy(1, 8150, out)
    np.testing.assert_array_equal(out, store.raw(store.rows[1].id).emg[:, 8150:8250])
    assert sorted(folder.rglob("*")) == sorted({*files, *(path.parent for path in files)})


def test_a_cache_file_cut_short_is_made_again(store, tmp_path):
    folder = tmp_path / "c"
    Decoded(store.path, store.rows, folder, 0).prepare()
    victim = next(folder.rglob(f"{store.rows[0].checksum}.raw"))
    before = victim.read_bytes()
    victim.write_bytes(before[:-1])
    Decoded(store.path, store.rows, folder, 0).copy(0, 0, np.empty((3, 10), np.int16))
    assert victim.read_bytes() == before


def test_where_the_cache_is(store, tmp_path, monkeypatch):
    assert cache_folder(store.path) == tmp_path / "s.zarr.cache" / "raw"
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "else"))
    assert cache_folder(store.path) == tmp_path / "else" / "raw"


def test_a_full_disk_is_said_before_it_is_full(store, tmp_path, monkeypatch):
    monkeypatch.setattr(decode.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match=r'set MYOFLOW_CACHE to another disk, or read with cache="none"'):
        Decoded(store.path, store.rows, tmp_path / "c", 0).prepare()


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def _enlarge(path):
    data = bytearray(path.read_bytes())
    data[4:8] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_truncate, _enlarge, lambda path: path.write_bytes(b"")])
def test_a_damaged_chunk_is_named_and_not_followed(store, harm):
    harm(store.path / "sub-02/ses-01/run-1/emg/c/0/1")
    made = Decoded(store.path, store.rows, None, 1000)
    made.copy(1, 0, np.empty((3, 8192), np.int16))
    with pytest.raises(MyoflowError, match=r"sub-02/ses-01/run-1 is damaged \(emg/c/0/1 does not hold"):
        made.copy(1, 8000, np.empty((3, 1000), np.int16))


def test_memory_is_bounded(store):
    chunk = 3 * 8192 * 2
    made = Decoded(store.path, store.rows, None, limit=2 * chunk)
    out = np.empty((3, 10), np.int16)
    for start in (0, 8192, 16_384, 16_400, 8200):
        made.copy(1, start, out)
    assert made.decoded == 3
    made.copy(1, 0, out)  # let go in between
    assert made.decoded == 4
    assert made._held <= 2 * chunk
