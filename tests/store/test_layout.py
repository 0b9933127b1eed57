"""Layout: a recording's group, written and read back, and open to plain xarray."""

import json
import warnings

import attrs
import numpy as np
import pytest
import xarray as xr
import zarr
from make_recordings import ORIGIN, events, full, recording, same, tree

from myoflow.errors import MyoflowError
from myoflow.recording import Stream
from myoflow.store import layout


def test_round_trip_of_everything(tmp_path):
    made = full()
    layout.write_group(tmp_path / "g", made, ORIGIN)
    same(made, layout.read_group(tmp_path / "g"))


@pytest.mark.parametrize("samples", [1, 8191, 8192, 8193])
def test_round_trip_at_chunk_borders(tmp_path, samples):
    made = recording(samples=samples, events=events())
    layout.write_group(tmp_path / "g", made, ORIGIN)
    same(made, layout.read_group(tmp_path / "g"))


def test_round_trip_of_int8_and_silence(tmp_path):
    made = recording(emg=np.zeros((3, 20_000), np.int8))
    layout.write_group(tmp_path / "g", made, ORIGIN)
    back = layout.read_group(tmp_path / "g")
    assert back.emg.dtype == np.int8
    same(made, back)


def test_round_trip_of_float32_to_the_bit(tmp_path):
    values = np.random.default_rng(1).normal(0, 1e-5, (3, 9000)).astype(np.float32)
    values[0, :3] = [-0.0, np.finfo(np.float32).tiny / 8, np.nan]  # a negative zero, a denormal, a gap
    made = recording(emg=values, samples=9000, gain=np.ones(3, np.float32))
    layout.write_group(tmp_path / "g", made, ORIGIN)
    back = layout.read_group(tmp_path / "g")
    assert back.emg.dtype == np.float32
    assert back.emg.tobytes() == values.tobytes()
    same(made, back)


def test_arrays_are_what_the_design_says(tmp_path):
    layout.write_group(tmp_path / "g", full(), ORIGIN)
    meta = json.loads((tmp_path / "g" / "emg" / "zarr.json").read_text())
    assert meta["data_type"] == "int16"
    assert meta["dimension_names"] == ["channel", "time"]
    assert meta["chunk_grid"]["configuration"]["chunk_shape"] == [3, 8192]
    blosc = next(codec for codec in meta["codecs"] if codec["name"] == "blosc")["configuration"]
    assert (blosc["cname"], blosc["shuffle"], blosc["typesize"]) == ("lz4", "bitshuffle", 2)
    group = zarr.open_group(tmp_path / "g", mode="r")
    assert group["gain"].dtype == np.float32
    assert group["timestamp_ms"].dtype == np.int32
    assert [group[name].dtype.name for name in ("onset", "length", "label", "repetition")] == [
        "int64", "int64", "int16", "int16",
    ]  # fmt: skip


def test_plain_xarray_opens_it_without_a_warning(tmp_path):
    made = full()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout.write_group(tmp_path / "g.zarr", made, ORIGIN)
        opened = xr.open_zarr(tmp_path / "g.zarr")
        np.testing.assert_array_equal(opened["emg"].values, made.emg)
        assert opened["emg"].dtype == np.int16
        assert list(opened["channel"].values) == ["flexor", "extensor", "Ü3"]
        assert opened["glove"].dims == ("glove_channel", "glove_time")
        assert opened.attrs["SamplingFrequency"] == 1000.0
        assert opened.attrs["PowerLineFrequency"] == 50.0
        assert opened.attrs["labels"] == ["unmarked", "rest", "fist"]


def test_duration_is_by_the_clock_where_there_is_one(tmp_path):
    made = full()
    layout.write_group(tmp_path / "g", made, ORIGIN)
    span = int(made.timestamp_ms[-1]) - int(made.timestamp_ms[0])
    assert layout.metadata(tmp_path / "g")["attributes"]["RecordingDuration"] == span / 1000
    assert layout.duration_s(recording(samples=2500)) == 2.5


def test_two_writings_are_the_same_bytes(tmp_path):
    big = recording(emg=np.random.default_rng(0).integers(-99, 99, (3, 400_000)).astype(np.int16))
    for name in "ab":
        layout.write_group(tmp_path / name, big, ORIGIN)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_our_metadata_is_what_zarr_would_consolidate(tmp_path):
    layout.write_group(tmp_path / "ours", full(), ORIGIN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layout.write_group(tmp_path / "theirs", full(), ORIGIN)
        zarr.consolidate_metadata(str(tmp_path / "theirs"))
    ours, theirs = (json.loads((tmp_path / name / "zarr.json").read_text()) for name in ("ours", "theirs"))
    assert ours == theirs


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"emg": np.zeros((3, 100))}, "float64"),
        ({"channels": ("a", "b")}, "3 channels, 2 names, 3 gains"),
        ({"gain": np.ones(2, np.float32)}, "2 gains"),
        ({"timestamp_ms": np.zeros(3, np.int32)}, "3 time stamps"),
        ({"timestamp_ms": np.arange(20_000, 0, -1).astype(np.int32)}, "time stamps fall"),
        ({"events": events((19_999, 2, 1, 1))}, "outside"),
        ({"events": events((5, 0, 1, 1))}, "no length"),
        ({"events": events((5, 3, 3, 1))}, "one of the 3 names"),
        ({"streams": {"gain": Stream(np.zeros((1, 2)), 1.0, "V", ("a",))}}, "cannot be called 'gain'"),
        ({"attrs": {"labels": 1}}, "'labels' is the store's own"),
        ({"attrs": {"Gain": float("nan")}}, "JSON"),
        ({"subject": "../1"}, "letters and digits"),
    ],
)
def test_a_contradiction_is_refused_before_anything_is_written(tmp_path, changes, says):
    with pytest.raises(MyoflowError, match=says):
        layout.write_group(tmp_path / "g", attrs.evolve(recording(), **changes), ORIGIN)
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("name", ["zarr.json", "emg/zarr.json", "emg/c/0/1"])
def test_a_damaged_group_says_so(tmp_path, name):
    layout.write_group(tmp_path / "g", recording(), ORIGIN)
    file = tmp_path / "g" / name
    file.write_bytes(file.read_bytes()[:20])
    if name == "emg/zarr.json":  # its copy in the group's own metadata still serves
        same(recording(), layout.read_group(tmp_path / "g"))
    else:
        with pytest.raises(MyoflowError, match=r"g is damaged \(.+\)\. `myoflow info STORE --verify`"):
            layout.read_group(tmp_path / "g")


def test_replacing_a_file_leaves_the_old_one_when_it_fails(tmp_path, monkeypatch):
    target = tmp_path / "index.json"
    layout.write_text(target, "old", tmp_path)

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(layout.os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        layout.write_text(target, "new", tmp_path)
    assert tree(tmp_path) == {"index.json": b"old"}
