"""edf: EDF and BDF against edfio and pyedflib, annotations, triggers, cut files."""

from __future__ import annotations

import hashlib

import make_formats as make
import numpy as np
import pytest
from make_recordings import tree

from myoflow.card import Card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.formats import edf, open_file
from myoflow.readers import READERS, open_source
from myoflow.readers.single import card_of_file
from myoflow.recording import Blocks

real = pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data")


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("width", [2, 3])
def test_values_and_annotations_of_a_file_made_by_hand(tmp_path, width):
    signals = open_file(put(tmp_path, "a.edf" if width == 2 else "a.bdf", make.edf(width)))
    assert signals.channels == ("EMG 1", "EMG 2") and signals.rate_hz == 1000 and signals.units == ("uV", "uV")
    assert signals.values.dtype == np.int16
    np.testing.assert_allclose(signals.physical(), make.COUNTS * 0.5)
    assert [(m.onset_s, m.length_s, m.name) for m in signals.events] == [(0.07, 0.02, "fist")]


def test_half_a_count_of_offset_stays_exact(tmp_path):
    signals = open_file(put(tmp_path, "a.edf", make.edf(ranges=(-32768, 32767, -32767, 32768))))
    np.testing.assert_array_equal(signals.physical(), make.COUNTS - 1.0)
    signals = open_file(put(tmp_path, "b.edf", make.edf(ranges=(-100, 100, -32768, 32767))))
    assert signals.values.dtype.kind == "i"
    np.testing.assert_allclose(signals.physical(), (make.COUNTS + 0.5) * 200 / 65535, rtol=1e-9)


def test_pyedflib_reads_the_same(tmp_path):
    pyedflib = pytest.importorskip("pyedflib")
    path = put(tmp_path, "a.bdf", make.edf(3))
    with pyedflib.EdfReader(str(path)) as other:
        np.testing.assert_allclose(open_file(path).physical()[1], other.readSignal(1))
        assert other.readAnnotations()[2].tolist() == ["fist"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (make.edf()[:-10], r"a\.edf: byte \d+: 3 records of 280 bytes are promised, 2 are there"),
        (make.edf()[:300], r"a\.edf: byte 300: ends inside the header"),
        (make.edf(onsets=[0, 0.06, 5]), r"record 3 begins at 5 s: there are gaps \(EDF\+D\)"),
        (make.edf(ranges=(-1, 1, 5, 5)), "channel 'EMG 1' has an empty range"),
        (make.edf().replace(b"0.06    ", b"x       "), "byte 244: 'x' is not a number"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, data, error):
    with pytest.raises(InputError, match=error):
        open_file(put(tmp_path, "a.edf", data), "edf")


def test_a_recorder_that_was_switched_off_leaves_the_count_open(tmp_path):
    assert (
        open_file(put(tmp_path, "a.edf", make.edf(records=3).replace(b"3       0.06", b"-1      0.06"))).samples == 180
    )


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("ranges", [(-100, 100, -100, 100), (-32768, 32767, -32767, 32768), (-3, 9.7, -32768, 32767)])
def test_in_blocks_is_the_same_as_at_once(tmp_path, monkeypatch, width, ranges):
    path = put(tmp_path, "a.edf" if width == 2 else "a.bdf", make.edf(width, ranges=ranges))
    whole = open_file(path)
    monkeypatch.setattr(edf, "_LONG", 0)
    monkeypatch.setattr(edf, "_BLOCK", 300)  # a record or two
    signals = open_file(path, in_blocks=True)
    assert isinstance(whole.values, np.ndarray) and isinstance(signals.values, Blocks)
    assert len(list(signals.values.blocks())) > 1
    assert signals.values.dtype == whole.values.dtype and signals.values.size == whole.values.size
    np.testing.assert_array_equal(np.asarray(signals.values), whole.values)
    np.testing.assert_array_equal(np.asarray(signals.values[[1]]), whole.values[[1]])
    np.testing.assert_array_equal(signals.gain, whole.gain)
    assert signals.events == whole.events and signals.attrs == whole.attrs
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="became shorter while it was read"):
        np.asarray(signals.values)


def test_a_store_of_blocks_is_that_of_arrays(tmp_path, monkeypatch):
    path = put(tmp_path, "a.edf", make.edf())
    card = card_of_file(path)
    convert(card, path, tmp_path / "whole.zarr")
    monkeypatch.setattr(edf, "_LONG", 0)
    monkeypatch.setattr(edf, "_BLOCK", 1)
    convert(card, path, tmp_path / "blocks.zarr")
    assert tree(tmp_path / "whole.zarr") == tree(tmp_path / "blocks.zarr")


def test_chosen_channels_and_streams_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(edf, "_LONG", 0)
    monkeypatch.setattr(edf, "_BLOCK", 1)
    path = put(tmp_path, "a.edf", make.edf())
    options = {"pattern": "a.edf", "channels": ["EMG 2"], "streams": {"other": ["EMG 1"]}}
    card = Card(name="c", title="c", reader="files", channels=("b",), rate=1000.0, labels=("x",), options=options)
    (item,) = READERS["files"](card).recordings(open_source(tmp_path))
    rec = item.read()
    assert isinstance(rec.emg, Blocks) and isinstance(rec.streams["other"].values, Blocks)
    assert rec.emg.shape == (1, 180) and rec.streams["other"].values.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(rec.emg), make.COUNTS[1:])
    np.testing.assert_array_equal(np.asarray(rec.streams["other"].values), make.COUNTS[:1] * 0.5)
    assert rec.sources == (("a.edf", hashlib.sha256(path.read_bytes()).hexdigest()),)


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_triggers_do_not_depend_on_the_cut(cut):
    lines = np.array([0, 0, 3, 3, 0, 1, 2, 2, 0, 5])
    found: list[tuple[int, int]] = []
    for start in range(0, len(lines), cut):
        edf._changes(found, lines[start : start + cut], start)
    marks = [(m.onset_s, m.length_s, m.name) for m in edf._triggers(found, len(lines), 1.0)]
    assert marks == [(2, 2, "3"), (5, 1, "1"), (6, 2, "2"), (9, 1, "5")]


@real
@pytest.mark.data
def test_the_three_bids_sets_agree_with_edfio(tmp_path):
    edfio = pytest.importorskip("edfio")
    shapes = {}
    for path in sorted(make.unpacked("edf_bids", tmp_path).rglob("*.edf")):
        signals, other = open_file(path), edfio.read_edf(path)
        assert signals.channels == tuple(s.label for s in other.signals)
        assert signals.rate_hz == other.signals[0].sampling_frequency == 2000
        np.testing.assert_allclose(signals.physical(), [s.data for s in other.signals], atol=1e-4, rtol=1e-6)
        shapes[path.name] = signals.values.shape
    assert sorted(shapes.values()) == [(1, 1000), (6, 2000), (32, 1000), (128, 1000)]


@real
@pytest.mark.data
def test_the_triggers_of_a_real_bdf(tmp_path):
    signals = open_file(make.unpacked("bdf", tmp_path) / "test_bdf_stim_channel.bdf")
    assert signals.channels == ("C3", "C4", "Cz", "Status") and signals.rate_hz == 500 and signals.samples == 5000
    pyedflib = pytest.importorskip("pyedflib")
    with pyedflib.EdfReader(str(tmp_path / "bdf" / "test_bdf_stim_channel.bdf")) as other:
        for i in range(3):
            np.testing.assert_allclose(signals.physical()[i], other.readSignal(i), rtol=1e-6, atol=1e-4)
        status = other.readSignal(3, digital=True) & 0xFFFF
    begins = np.flatnonzero(np.diff(status) != 0) + 1
    assert [round(m.onset_s * 500) for m in signals.events if m.onset_s] == [i for i in begins if status[i]]
