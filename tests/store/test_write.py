"""Writer: whole recordings or nothing, one writer, and order after a kill."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import warnings

import attrs
import numpy as np
import pytest
import xarray as xr
from make_recordings import ORIGIN, full, recording, same, tree
from make_recordings import events as make_events

from myoflow.errors import InputError, MyoflowError
from myoflow.recording import Blocks
from myoflow.store import Writer, index, layout, open_store, verify, write

ATTRIBUTES = {"dataset": "toy", "title": "Toy", "labels": ["unmarked", "rest", "fist"]}


def make(path, *recordings, digest="d1"):
    with Writer(path, ATTRIBUTES, digest) as writer:
        for made in recordings:
            writer.add(made, ORIGIN)
    return open_store(path)


def test_what_is_written_is_read(tmp_path):
    made = [full(), recording("02"), recording("01", "02")]
    store = make(tmp_path / "s.zarr", *made)
    assert [row.id for row in store.rows] == ["sub-01/ses-01/run-1", "sub-01/ses-02/run-1", "sub-02/ses-01/run-1"]
    for one in made:
        same(one, store.raw(one.id))
    assert verify(store) == []


def test_plain_xarray_opens_the_tree_without_a_warning(tmp_path):
    make(tmp_path / "s.zarr", full(), recording("02"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_datatree(tmp_path / "s.zarr")
        assert found["sub-02/ses-01/run-1/emg"].shape == (3, 20_000)
        assert found.attrs["dataset"] == "toy"
        assert len(found.leaves) == 2


def test_a_large_store_opens_without_a_warning_whole_and_by_subject(tmp_path, monkeypatch):
    made = [recording("01"), recording("02"), recording("02", "02"), recording("03")]
    whole = tree(make(tmp_path / "a.zarr", *made).path)
    monkeypatch.setattr(write, "_MANY", 3)
    path = make(tmp_path / "s.zarr", *made[:3]).path
    assert "consolidated_metadata" not in json.loads((path / "sub-02/zarr.json").read_text())
    make(path, made[3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(xr.open_datatree(path, engine="zarr").leaves) == 4
        assert len(xr.open_datatree(path / "sub-02", engine="zarr").leaves) == 2
        assert xr.open_zarr(path / "sub-03/ses-01/run-1").emg.shape == (3, 20_000)
    assert verify(open_store(path)) == []
    before = tree(path)
    make(path)
    assert tree(path) == before
    monkeypatch.setattr(write, "_MANY", 4)
    make(path)
    assert tree(path) == whole


def test_opening_does_not_read_the_metadata_of_all_below(tmp_path, monkeypatch):
    path = make(tmp_path / "s.zarr", recording("01"), recording("02")).path
    text = (path / "zarr.json").read_text()
    monkeypatch.setattr(layout, "_HEAD", text.index(',"consolidated_metadata"'))
    monkeypatch.setattr(layout, "metadata", None)
    assert open_store(path).attrs["dataset"] == "toy"
    monkeypatch.undo()
    monkeypatch.setattr(layout, "_HEAD", 60)  # attributes longer than the head are read all the same
    assert open_store(path).attrs["dataset"] == "toy"


def in_blocks(made, sizes):
    """The same recording, its EMG given in blocks."""

    def blocks():
        at = 0
        for size in itertools.cycle(sizes):
            if at >= made.emg.shape[1]:
                return
            yield made.emg[:, at : at + size]
            at += size

    return attrs.evolve(made, emg=Blocks(made.emg.shape, made.emg.dtype, blocks))


@pytest.mark.parametrize("sizes", [(1000,), (1, 70_000, 0), (8192,), (10**6,)])
def test_emg_in_blocks_makes_the_same_bytes(tmp_path, sizes):
    made = recording("01", samples=150_001)
    whole = make(tmp_path / "whole.zarr", made)
    lazy = in_blocks(made, sizes)
    np.testing.assert_array_equal(np.asarray(lazy.emg), made.emg)
    assert tree(make(tmp_path / "blocks.zarr", lazy).path) == tree(whole.path)
    empty = Blocks((3, 0), np.dtype(np.int16), lambda: iter(()))
    none = attrs.evolve(made, emg=empty, events=make_events())
    assert make(tmp_path / "empty.zarr", none).raw(made.id).emg.shape == (3, 0)


def test_blocks_that_are_not_what_was_said_are_refused(tmp_path):
    made = recording("01")
    whole = made.emg
    for blocks, says in (
        ([whole[:, :100]], "100 samples, not the 20000"),
        ([whole, whole], "more than the 20000 samples"),
        ([whole[:2]], r"a block of int16 \(2, 20000\)"),
        ([whole.astype(np.int32)], r"a block of int32 \(3, 20000\)"),
    ):
        lazy = attrs.evolve(made, emg=Blocks(whole.shape, whole.dtype, lambda blocks=blocks: iter(blocks)))
        with pytest.raises(MyoflowError, match=says):
            make(tmp_path / "s.zarr", lazy)
    assert open_store(tmp_path / "s.zarr").rows == ()


def test_order_and_interruptions_leave_no_trace(tmp_path):
    made = [full(), recording("02"), recording("03")]
    make(tmp_path / "once.zarr", *made)
    make(tmp_path / "twice.zarr", made[2])
    make(tmp_path / "twice.zarr", made[1], made[0])
    assert tree(tmp_path / "once.zarr") == tree(tmp_path / "twice.zarr")
    assert not (tmp_path / "once.zarr" / ".tmp").exists()


@pytest.mark.parametrize("victim", ["row_of", "write_group"])
def test_a_failure_half_way_leaves_nothing_of_the_recording(tmp_path, monkeypatch, victim):
    path = tmp_path / "s.zarr"
    before = tree(make(path, recording("01")).path)
    module = index if victim == "row_of" else layout
    real = getattr(module, victim)

    def fail(*arguments):
        real(*arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, victim, fail)
    with pytest.raises(OSError, match="No space"), Writer(path, ATTRIBUTES, "d1") as writer:
        writer.add(recording("02"), ORIGIN)
    assert tree(path) == before


def test_a_group_that_the_index_lacks_is_indexed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_INDEX_EVERY_S", 1e9)  # else a slow disk makes it due before the kill
    whole = tree(make(tmp_path / "a.zarr", recording("01"), recording("02")).path)
    path = tmp_path / "b.zarr"
    writer = Writer(path, ATTRIBUTES, "d1")
    writer.add(recording("01"), ORIGIN)
    writer.add(recording("02"), ORIGIN)
    (path / ".tmp" / "half").mkdir()
    (path / ".tmp" / "half" / "junk").write_text("x")
    os.close(writer._lock)  # as a kill would: the index still says nothing of them
    assert open_store(path).rows == ()
    make(path)
    assert tree(path) == whole


def test_a_row_without_its_group_is_dropped(tmp_path):
    store = make(tmp_path / "s.zarr", recording("01"), recording("02"))
    shutil.rmtree(store.path / "sub-02" / "ses-01" / "run-1")
    assert [row.subject for row in make(store.path).rows] == ["01"]


def test_a_lost_index_is_made_again(tmp_path):
    store = make(tmp_path / "s.zarr", full())
    before = tree(store.path)
    (store.path / "index.json").unlink()
    make(store.path)
    assert tree(store.path) == before


def test_a_recording_is_never_there_twice(tmp_path):
    path = tmp_path / "s.zarr"
    with Writer(path, ATTRIBUTES, "d1") as writer:
        writer.add(recording("01"), ORIGIN)
        assert "sub-01/ses-01/run-1" in writer
        assert "sub-02/ses-01/run-1" not in writer
        with pytest.raises(MyoflowError, match="already has sub-01/ses-01/run-1"):
            writer.add(recording("01", seed=3), ORIGIN)
        assert [p.name for p in (path / ".tmp").iterdir()] == ["lock"]


def test_a_second_writer_fails_clearly(tmp_path):
    path = tmp_path / "s.zarr"
    script = (
        "import sys; from pathlib import Path; from myoflow.store import Writer\n"
        "from myoflow.errors import InputError\n"
        "try: Writer(Path(sys.argv[1]), {'dataset': 'toy'}, 'd1').close()\n"
        "except InputError as error: print(error); sys.exit(2)\n"
    )

    def other():
        return subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)

    with Writer(path, ATTRIBUTES, "d1") as writer:
        writer.add(recording("01"), ORIGIN)
        with pytest.raises(InputError, match="another process is writing"):
            Writer(path, ATTRIBUTES, "d1")
        second = other()
        assert second.returncode == 2
        assert f"another process is writing {path}" in second.stdout
        writer.add(recording("02"), ORIGIN)
    assert len(open_store(path)) == 2
    assert other().returncode == 0


def test_the_lock_survives_that_the_last_writer_removes_it(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    first = Writer(path, ATTRIBUTES, "d1")
    real = write.fcntl.flock
    calls = []

    def slow(held, operation):
        calls.append(held)
        if len(calls) == 1:
            first.close()  # between opening the lock file and locking it
        real(held, operation)

    monkeypatch.setattr(write.fcntl, "flock", slow)
    second = Writer(path, ATTRIBUTES, "d1")
    assert len(calls) == 2
    with pytest.raises(InputError, match="another process"):
        Writer(path, ATTRIBUTES, "d1")
    second.close()


def test_what_a_killed_writers_worker_still_writes_is_removed(tmp_path, monkeypatch):
    """A worker outlives its parent by a moment, and fills the folder that is being emptied."""
    path = make(tmp_path / "s.zarr", recording("01")).path
    left = path / ".tmp" / "sub-02"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    real, calls = write.shutil.rmtree, []

    def racing(folder, *options, **more):
        calls.append(folder)
        if len(calls) == 1:
            real(folder)
            folder.mkdir()
            (folder / "more").write_text("x")
            raise OSError(39, "Directory not empty")
        real(folder, *options, **more)

    monkeypatch.setattr(write.shutil, "rmtree", racing)
    monkeypatch.setattr(write, "_ORPHANS_S", 1e9)
    with Writer(path, ATTRIBUTES, "d1") as writer:
        assert not left.exists() and len(calls) == 2
        writer.add(recording("02"), ORIGIN)
    assert len(open_store(path)) == 2 and not (path / ".tmp").exists()


def test_other_options_and_other_datasets_do_not_mix(tmp_path):
    path = make(tmp_path / "s.zarr", recording("01")).path
    before = tree(path)
    with pytest.raises(InputError, match=r"other options \(or another reader version\) of toy"):
        Writer(path, ATTRIBUTES, "d2")
    with pytest.raises(InputError, match="written from dataset toy"):
        Writer(path, {"dataset": "other"}, "d2")
    assert tree(path) == before


def test_foreign_places_are_refused_untouched(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"x")
    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    broken = tmp_path / "broken.zarr"
    broken.mkdir()
    (broken / "zarr.json").write_text("{")
    before = tree(tmp_path)
    for path, says in (
        (file, "is a file"),
        (photos, r"holds cat\.jpg"),
        (other, "not a myoflow"),
        (broken, "not zarr"),
    ):
        with pytest.raises(InputError, match=says):
            Writer(path, ATTRIBUTES, "d1")
    assert tree(tmp_path) == before


def test_an_empty_folder_becomes_a_store(tmp_path):
    (tmp_path / "s").mkdir()
    assert make(tmp_path / "s").rows == ()


def test_the_index_follows_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_INDEX_EVERY_S", 0.0)
    monkeypatch.setattr(write, "_INDEX_SHARE", 0.0)  # else a disk that took long for the last one earns itself a rest
    with Writer(tmp_path / "s", ATTRIBUTES, "d1") as writer:
        writer.add(recording("01"), ORIGIN)
        assert len(open_store(tmp_path / "s")) == 1
        assert [row.subject for row in writer.rows] == ["01"]


def test_a_store_without_recordings_is_anybodys(tmp_path):
    """What a failed first conversion leaves does not stand in the way of another one."""
    path = tmp_path / "s.zarr"
    with pytest.raises(MyoflowError), Writer(path, {"dataset": "other", "labels": []}, "d0") as writer:
        writer.skipped({"sub-09/ses-01/run-1": "no file"})
        writer.add(attrs.evolve(recording(), subject="?"), ORIGIN)
    store = make(path, recording("01"))
    assert store.dataset == "toy" and "skipped" not in store.attrs
    assert tree(path) == tree(make(tmp_path / "new.zarr", recording("01")).path)
    with pytest.raises(InputError, match="written from dataset toy; they cannot be mixed"):
        Writer(path, {"dataset": "other", "labels": []}, "d0")
