"""Store: opening, and reading recordings as arrays."""

import pickle

import numpy as np
import pytest
from make_recordings import ORIGIN, full, recording

import myoflow.spec
from myoflow.errors import InputError, MyoflowError
from myoflow.store import Writer, open_store

ATTRIBUTES = {"dataset": "toy", "title": "Toy", "labels": ["unmarked", "rest", "fist"]}


@pytest.fixture
def store(tmp_path):
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d1") as writer:
        writer.add(full(), ORIGIN)
        writer.add(recording("02"), ORIGIN)
    return open_store(str(tmp_path / "s.zarr"))


def test_emg_is_float32_in_volts(store):
    made = recording("02")
    emg = store.emg(made.id)
    assert emg.dims == ("channel", "time")
    assert emg.dtype == np.float32
    np.testing.assert_array_equal(emg.values, made.emg.astype(np.float32) * made.gain[:, None])
    spec = myoflow.spec.Spec.of(emg)
    assert (spec.rate_hz, spec.channels, spec.units) == (1000.0, ("flexor", "extensor", "Ü3"), "V")
    assert emg.attrs["labels"] == ["unmarked", "rest", "fist"]


def test_time_is_a_range_in_seconds_that_slices(store):
    emg = store.emg("sub-02/ses-01/run-1")
    np.testing.assert_allclose(emg.time.values, np.arange(20_000) / 1000, atol=1e-12)
    piece = emg.isel(time=slice(10, 20))
    np.testing.assert_allclose(piece.time.values, np.arange(10, 20) / 1000, atol=1e-12)
    assert emg.sel(channel="extensor").shape == (20_000,)


def test_an_uneven_clock_stays_beside_the_samples(store):
    emg = store.emg("sub-01/ses-01/run-1")
    np.testing.assert_array_equal(emg.timestamp_ms.values, full().timestamp_ms)
    assert "time" not in emg.coords


def test_read_is_lazy_and_in_the_recorders_integers(store):
    opened = store.read("sub-01/ses-01/run-1")
    assert opened["emg"].dtype == np.int16
    assert not opened["emg"]._in_memory
    np.testing.assert_array_equal(opened["emg"][:, 100:200].values, full().emg[:, 100:200])
    np.testing.assert_array_equal(opened["glove"].values, full().streams["glove"].values)


def test_events(store):
    found = store.events("sub-02/ses-01/run-1")
    assert found.onset.tolist() == [2000, 10_000]
    assert found.length.tolist() == [4000, 5000]
    assert [found.names[label] for label in found.label] == ["rest", "fist"]


def test_what_a_store_says_of_itself(store):
    assert (store.dataset, store.labels, len(store)) == ("toy", ("unmarked", "rest", "fist"), 2)
    assert repr(store) == f"<Store {store.path}: toy, 2 recordings>"
    assert pickle.loads(pickle.dumps(store)).digest == store.digest


def test_digest_follows_the_content(store, tmp_path):
    before = store.digest
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d1") as writer:
        writer.add(recording("03"), ORIGIN)
    assert open_store(tmp_path / "s.zarr").digest != before


def test_an_unknown_recording_is_named_with_a_guess(store):
    with pytest.raises(InputError, match=r"no recording 'sub-02/ses-01/run-2'; did you mean 'sub-02/ses-01/run-1'\?"):
        store.emg("sub-02/ses-01/run-2")


def test_a_damaged_recording_is_named(store):
    meta = store.path / "sub-02/ses-01/run-1/zarr.json"
    meta.write_text("{}")
    for read in (store.emg, store.read, store.events, store.raw):
        with pytest.raises(MyoflowError, match=r"sub-02/ses-01/run-1 is damaged"):
            read("sub-02/ses-01/run-1")


def test_places_that_are_no_store(store, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun" / ".tmp").mkdir(parents=True)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "zarr.json").write_text("no json")
    cases = {
        "nowhere": "there is no store at .*nowhere; `myoflow convert DATASET RAW .*nowhere` makes one",
        "file": "is a file; a store is a folder",
        "empty": "is not a myoflow store; `myoflow convert` makes one",
        "begun": "is an unfinished store; run its conversion again",
        "junk": "is not zarr v3 metadata",
        "s.zarr/sub-01/ses-01/run-1": r"not a myoflow store; did you mean .*s\.zarr\?",
        "s.zarr/sub-01/ses-01/run-1/emg/c": r"not a myoflow store; did you mean .*s\.zarr\?",
    }
    for name, says in cases.items():
        with pytest.raises(InputError, match=says):
            open_store(tmp_path / name)


def test_half_a_store_says_so(store):
    (store.path / "index.json").unlink()
    with pytest.raises(InputError, match="is an unfinished store; run its conversion again to complete it"):
        open_store(store.path)


def test_a_damaged_index_says_so(store):
    (store.path / "index.json").write_text("{")
    with pytest.raises(MyoflowError, match=r"index\.json is damaged; delete it and convert again"):
        open_store(store.path)
