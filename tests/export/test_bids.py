"""bids: a store goes out and comes back through the reader bids_emg; required fields; independent readers."""

from __future__ import annotations

import json

import attrs
import make_recordings as make
import numpy as np
import pytest

from myoflow.card import Card
from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.export import bids, export_bids
from myoflow.readers import READERS, open_source
from myoflow.store import open_store
from myoflow.store.write import Writer

KNOWN = {"EMGPlacementScheme": "Measured", "RecordingType": "continuous"}
ROOT = {"dataset": "toy", "title": "Toy", "licence": "CC0", "home": "https://example.org", "labels": list(make.NAMES)}


def made(folder, *recordings):
    with Writer(folder / "s.zarr", ROOT, "d") as writer:
        for recording in recordings:
            writer.add(recording, make.ORIGIN)
    return open_store(folder / "s.zarr")


def back(folder, rate=1000.0, channels=("flexor", "extensor", "Ü3")):
    card = Card(name="b", title="b", reader="bids_emg", channels=channels, rate=rate, labels=make.NAMES)
    return {item.id: item.read() for item in READERS["bids_emg"](card).recordings(open_source(folder))}


@pytest.fixture
def recordings():
    small = make.recording()
    wide = make.recording("02", emg=small.emg.astype(np.int32) * 10_000)
    real = make.recording("03", "02", emg=small.emg * np.float32(1.7e-7), gain=np.ones(3, np.float32), run="2")
    odd = make.recording("04", samples=7919, run="left")
    return {"sub-01/ses-01/run-toy1": small, "sub-02/ses-01/run-toy1": wide} | {
        "sub-03/ses-02/run-toy2": real,
        "sub-04/ses-01/run-toyleft": odd,
    }


def test_a_store_goes_out_and_comes_back(tmp_path, recordings):
    done = export_bids(made(tmp_path, *recordings.values()), tmp_path / "out", KNOWN)
    found = back(tmp_path / "out")
    assert found.keys() == recordings.keys() and done.recordings == 4
    for name, rec in recordings.items():
        other = found[name]
        quantum = np.abs(rec.gain[:, None]) if rec.emg.dtype.kind == "i" else np.abs(rec.emg).max() / 4e6
        values = (other.emg * other.gain[:, None].astype(float))[:, : rec.emg.shape[1]]
        assert (np.abs(values - rec.emg * rec.gain[:, None].astype(float)) <= quantum * 0.51).all()
        if rec.emg.dtype.kind == "i":
            np.testing.assert_array_equal(other.emg[:, : rec.emg.shape[1]], rec.emg)
        for column in ("onset", "length", "label", "repetition"):
            np.testing.assert_array_equal(getattr(other.events, column), getattr(rec.events, column))
        assert other.attrs["EMGReference"] == "elbow" and other.attrs["PowerLineFrequency"] == 50


def test_the_tables_and_json_that_bids_wants(tmp_path, recordings):
    out = tmp_path / "out"
    export_bids(made(tmp_path, *recordings.values()), out, KNOWN)
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    stem = "sub-01/ses-01/emg/sub-01_ses-01_task-toy_run-1"
    ends = ("channels.tsv", "emg.edf", "emg.json", "events.tsv")
    assert [name for name in names if name.startswith("sub-01")] == [f"{stem}_{end}" for end in ends]
    assert "sub-02/ses-01/emg/sub-02_ses-01_task-toy_run-1_emg.bdf" in names
    assert "sub-04/ses-01/emg/sub-04_ses-01_task-toy_acq-left_emg.edf" in names
    sidecar = json.loads((out / f"{stem}_emg.json").read_text())
    assert {*bids.REQUIRED, "SamplingFrequency"} <= sidecar.keys()
    assert sidecar["RecordingDuration"] == 20.0 and sidecar["EMGChannelCount"] == 3 and sidecar["TaskName"] == "toy"
    rows = (out / f"{stem}_channels.tsv").read_text().splitlines()
    assert rows[:2] == ["name\ttype\tunits\tsampling_frequency", "flexor\tEMG\tuV\t1000.0"] and len(rows) == 4
    events = (out / f"{stem}_events.tsv").read_text().splitlines()
    assert events[1] == "2.0\t4.0\trest\t2000\t1"
    about = json.loads((out / "dataset_description.json").read_text())
    assert (about["Name"], about["BIDSVersion"], about["License"]) == ("Toy", "1.11.0", "CC0")
    people = (out / "participants.tsv").read_text().split()
    assert people == ["participant_id", "sub-01", "sub-02", "sub-03", "sub-04"]


def test_edfio_reads_the_physical_values(tmp_path):
    edfio = pytest.importorskip("edfio")
    rec = make.recording()
    export_bids(made(tmp_path, rec), tmp_path / "out", KNOWN)
    (path,) = (tmp_path / "out").rglob("*.edf")
    for signal, row, gain in zip(edfio.read_edf(path).signals, rec.emg, rec.gain, strict=True):
        np.testing.assert_allclose(signal.data * 1e-6, row * float(gain), atol=0.01 * float(gain))


def test_what_is_left_out_is_told(tmp_path):
    done = export_bids(made(tmp_path, make.full()), tmp_path / "out", KNOWN)
    assert "stream glove (1 recordings, sub-01/ses-01/run-1 first)" in str(done)
    assert "uneven clock is left out" in str(done)


def test_positions_where_they_are_known(tmp_path):
    where = {"Electrodes": [{"name": "E1", "x": 0, "y": 8}], "EMGCoordinateSystem": "Other"}
    rec = make.recording()
    export_bids(made(tmp_path, attrs.evolve(rec, attrs=rec.attrs | where)), tmp_path / "out", KNOWN)
    stem = tmp_path / "out/sub-01/ses-01/emg/sub-01_ses-01"
    assert stem.with_name(f"{stem.name}_electrodes.tsv").read_text() == "name\tx\ty\nE1\t0\t8\n"
    assert "Other" in stem.with_name(f"{stem.name}_coordsystem.json").read_text()


def test_what_bids_requires_is_asked_for(tmp_path):
    store = made(tmp_path, make.recording(attrs={"EMGPlacementScheme": "Other"}))
    lost = "EMGReference, PowerLineFrequency, RecordingType, EMGPlacementSchemeDescription"
    with pytest.raises(InputError, match=f"run-1: BIDS requires {lost}, which the store does not know"):
        export_bids(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_words(tmp_path):
    assert bids.fields(["EMGReference=elbow", "PowerLineFrequency=50"]) == {
        "EMGReference": "elbow",
        "PowerLineFrequency": 50,
    }
    with pytest.raises(InputError, match="--set reference: expected a BIDS field"):
        bids.fields(["reference"])
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="is there already; name an empty folder"):
        export_bids(made(tmp_path, make.recording()), tmp_path)


def test_the_verb(tmp_path):
    from typer.testing import CliRunner

    made(tmp_path, make.recording())
    words = ["export-bids", str(tmp_path / "s.zarr"), str(tmp_path / "out"), "--set", "EMGPlacementScheme=Measured"]
    done = CliRunner().invoke(app, [*words, "--set", "RecordingType=continuous"])
    assert done.exit_code == 0, done.output
    assert "1 recordings in BIDS-EMG 1.11.0" in done.output
