"""Verify: finds what changed, and only that."""

import shutil

import numpy as np
import pytest
from make_recordings import ORIGIN, recording

from myoflow.store import Writer, open_store, verify


@pytest.fixture
def store(tmp_path):
    with Writer(tmp_path / "s.zarr", {"dataset": "toy", "labels": []}, "d1") as writer:
        for subject in ("01", "02", "03"):
            writer.add(recording(subject), ORIGIN)
    return open_store(tmp_path / "s.zarr")


def test_a_whole_store(store):
    seen = []
    assert verify(store, seen.append) == []
    assert seen == [1, 1, 1]


def test_any_flipped_byte_is_found_and_its_recording_named(store):
    rng = np.random.default_rng(1)
    files = sorted(p for p in (store.path / "sub-02").rglob("run-1/**/*") if p.is_file())
    for file in rng.choice(files, 12):
        whole = file.read_bytes()
        broken = bytearray(whole)
        broken[rng.integers(len(broken))] ^= 1 << int(rng.integers(8))
        file.write_bytes(broken)
        found = verify(store)
        assert len(found) == 1, file
        assert found[0].startswith("sub-02/ses-01/run-1: its files have changed since they were written")
        file.write_bytes(whole)
    assert verify(store) == []


def test_missing_unlisted_and_headless_recordings(store):
    shutil.rmtree(store.path / "sub-01" / "ses-01" / "run-1")
    shutil.copytree(store.path / "sub-02" / "ses-01" / "run-1", store.path / "sub-02" / "ses-01" / "run-9")
    (store.path / "sub-03" / "zarr.json").unlink()
    assert verify(store) == [
        "sub-01/ses-01/run-1: is in the index but not in the store",
        "sub-02/ses-01/run-9: is in the store but not in the index",
        "sub-03/ses-01/run-1: the folders above it lack their zarr.json",
    ]


def test_a_lost_chunk_is_found_although_it_reads_as_zeros(store):
    (store.path / "sub-01/ses-01/run-1/emg/c/0/1").unlink()
    assert np.all(store.raw("sub-01/ses-01/run-1").emg[:, 8192:16384] == 0)
    assert verify(store) == ["sub-01/ses-01/run-1: its files have changed since they were written"]


def test_an_unreadable_recording_is_told_from_a_changed_one(store):
    (store.path / "sub-01/ses-01/run-1/zarr.json").write_text("{}")
    assert verify(store) == ["sub-01/ses-01/run-1: its files have changed since they were written and cannot be read"]
