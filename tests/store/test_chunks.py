"""Chunks: the files that zarr itself would write, and what they hold read back as zarr reads it."""

import json
from itertools import pairwise

import numpy as np
import pytest
import zarr
from make_recordings import ORIGIN, full, recording, tree
from zarr.codecs import BloscCodec

from myoflow.errors import MyoflowError
from myoflow.recording import Blocks
from myoflow.store import layout
from myoflow.store.chunks import Encoder, chunked, metadata, texts

RNG = np.random.default_rng(3)
ARRAYS = {
    "int16": RNG.integers(-300, 300, (3, 1000)).astype(np.int16),
    "int8": RNG.integers(-9, 9, (2, 512)).astype(np.int8),
    "int32": RNG.integers(-(2**30), 2**30, (1, 257)).astype(np.int32),
    "float32": RNG.normal(size=(4, 300)).astype(np.float32),
    "float64": RNG.normal(size=(2, 300)),
    "uint8": RNG.integers(0, 9, (1, 300)).astype(np.uint8),
    "bool": RNG.integers(0, 2, (1, 700)).astype(bool),
    "clock": np.arange(5000, dtype=np.int32),
    "quiet": np.concatenate([np.ones((2, 256)), np.zeros((2, 256)), np.ones((2, 9))], axis=1).astype(np.int16),
    "negative_zero": np.full((1, 300), -0.0, np.float32),
    "strided": RNG.integers(-9, 9, (600, 3)).astype(np.int16).T,
    "big_endian": RNG.integers(-9, 9, (2, 300)).astype(">i2"),
    "empty": np.empty((2, 0), np.int16),
}


def by_zarr(group, name, values, dims, chunk=None, note=None):
    shape = [max(1, size) for size in values.shape]
    codec = None
    if chunk is not None:
        shape[-1] = min(shape[-1], chunk)
        codec = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=values.dtype.itemsize)
    dtype = values.dtype if values.dtype.kind == "T" else values.dtype.newbyteorder("<")
    array = group.create_array(
        name, shape=values.shape, dtype=dtype, chunks=tuple(shape), compressors=codec,
        dimension_names=dims, attributes=note or {},
    )  # fmt: skip
    array[...] = values


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_files_are_those_of_zarr(tmp_path, name, threads):
    values = ARRAYS[name]
    dims = ("channel", "time")[-values.ndim :]
    note = {"units": "µV", "SamplingFrequency": 1000.0}
    group = zarr.create_group(store=str(tmp_path / "theirs"), zarr_format=3)
    by_zarr(group, "packed", values, dims, 256, note)
    by_zarr(group, "plain", values, dims)
    (tmp_path / "theirs" / "zarr.json").unlink()
    (tmp_path / "ours").mkdir()
    with Encoder(tmp_path / "ours", threads) as encoder:
        metas = {
            "packed": encoder.packed("packed", values, dims, 256, note),
            "plain": encoder.plain("plain", values, dims),
        }
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")
    for array, meta in metas.items():
        assert meta == json.loads((tmp_path / "ours" / array / "zarr.json").read_text())
        known = {"consolidated_metadata": {"metadata": metas}}
        back = chunked(tmp_path / "theirs", array, known).whole()
        assert back.tobytes() == np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        assert back.shape == values.shape


@pytest.mark.parametrize("words", [("flexor", "Ü3", ""), ("one",)])
def test_texts_are_those_of_zarr(tmp_path, words):
    group = zarr.create_group(store=str(tmp_path / "theirs"), zarr_format=3)
    by_zarr(group, "channel", np.array(words, dtype=np.dtypes.StringDType()), ("channel",))
    (tmp_path / "theirs" / "zarr.json").unlink()
    (tmp_path / "ours").mkdir()
    with Encoder(tmp_path / "ours") as encoder:
        meta = encoder.texts("channel", words, ("channel",))
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")
    assert texts(tmp_path / "ours", "channel", {"consolidated_metadata": {"metadata": {"channel": meta}}}) == words


def test_blocks_of_any_length_give_the_files_of_the_whole(tmp_path):
    values = RNG.integers(-300, 300, (3, 70_000)).astype(np.int16)
    cuts = [0, 1, 9000, 9001, 40_000, 70_000]
    lazy = Blocks(values.shape, values.dtype, lambda: (values[:, a:b] for a, b in pairwise(cuts)))
    for name, given in (("whole", values), ("cut", lazy)):
        (tmp_path / name).mkdir()
        with Encoder(tmp_path / name) as encoder:
            encoder.packed("emg", given, ("channel", "time"))
    assert tree(tmp_path / "whole") == tree(tmp_path / "cut")


def test_a_recording_reads_as_zarr_reads_it(tmp_path):
    quiet = recording(samples=30_000)
    quiet.emg[:, 8192 : 2 * 8192] = 0  # a chunk of zeros only: its file is left out
    for place, made in (("full", full()), ("quiet", quiet)):
        layout.write_group(tmp_path / place, made, ORIGIN)
        theirs = zarr.open_group(str(tmp_path / place), mode="r")
        known = metadata(tmp_path / place)
        for name in theirs.array_keys():
            if theirs[name].dtype.kind == "T":
                assert texts(tmp_path / place, name, known) == tuple(theirs[name][...])
            else:
                ours = chunked(tmp_path / place, name, known).whole()
                np.testing.assert_array_equal(ours, theirs[name][...])
                assert ours.dtype == theirs[name].dtype
    assert not (tmp_path / "quiet/emg/c/0/1").exists()


def test_what_is_no_number_is_refused(tmp_path):
    with Encoder(tmp_path) as encoder, pytest.raises(MyoflowError, match="array of complex128 cannot be stored"):
        encoder.packed("emg", np.zeros((1, 3), complex), ("channel", "time"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x03\0\0\0\x01\0\0\0a",  # two are missing
        b"\x01\0\0\0\xff\xff\xff\x7fa",  # longer than the file
        b"\xff\xff\xff\xff",
        b"\x01\0\0\0\x02\0\0\0\xff\xff",  # no UTF-8
    ],
)
def test_damaged_texts_say_so(tmp_path, content):
    layout.write_group(tmp_path / "g", recording(), ORIGIN)
    (tmp_path / "g" / "channel" / "c" / "0").write_bytes(content)
    with pytest.raises(MyoflowError, match="g is damaged"):
        layout.read_group(tmp_path / "g")


def test_a_full_disk_in_a_thread_is_an_error_here(tmp_path, monkeypatch):
    def full_disk(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", full_disk)
    with Encoder(tmp_path, 2) as encoder, pytest.raises(OSError, match="No space"):
        encoder.packed("emg", np.ones((2, 50_000), np.int16), ("channel", "time"))
