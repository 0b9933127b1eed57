"""bids_emg: the three example sets, inherited tables, and what is wrong with them."""

from __future__ import annotations

import json

import attrs
import make_formats as make
import numpy as np
import pytest

from myoflow.card import Card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source

real = pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data")
CARD = Card(
    name="b",
    title="b",
    reader="bids_emg",
    channels=("left", "right"),
    rate=1000.0,
    labels=("unmarked", "fist"),
    options={"labels": {"close": "fist"}},
)


def read(card, place):
    return {item.id: item.read() for item in READERS["bids_emg"](card).recordings(open_source(place))}


@pytest.fixture
def folder(tmp_path):
    emg = tmp_path / "sub-01" / "ses-a" / "emg"
    emg.mkdir(parents=True)
    (emg / "sub-01_ses-a_task-grip_run-2_emg.edf").write_bytes(make.edf())
    (emg / "sub-01_ses-a_task-grip_run-2_events.tsv").write_text("onset\tduration\ttrial_type\n0.05\t0.02\tclose\n")
    (tmp_path / "task-grip_channels.tsv").write_text("name\ttype\tunits\nleft\tEMG\tV\nright\tEMG\tV\n")
    (tmp_path / "task-grip_emg.json").write_text(json.dumps({"SamplingFrequency": 1000, "Manufacturer": "X"}))
    (emg / "sub-01_ses-a_emg.json").write_text(json.dumps({"Manufacturer": "Y"}))
    return tmp_path


def test_tables_and_metadata_are_inherited(folder):
    (rec,) = read(CARD, folder).values()
    assert rec.id == "sub-01/ses-a/run-grip2" and rec.channels == ("left", "right")
    np.testing.assert_allclose(rec.emg * rec.gain[:, None], make.COUNTS * 0.5e-6, rtol=1e-6)
    assert rec.attrs["Manufacturer"] == "Y"
    assert (rec.events.onset.tolist(), rec.events.length.tolist()) == ([50], [20])


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("task-grip_emg.json", '{"SamplingFrequency": 2000}', r"is recorded at 1000 Hz, its JSON says 2000 Hz"),
        ("task-grip_emg.json", "{", r"emg\.json:1: is no JSON"),
        ("task-grip_emg.json", '{"SamplingFrequency": NaN}', r"emg\.json: is no JSON: NaN is no number"),
        ("task-grip_emg.json", '{"SamplingFrequency": 1e999}', r"emg\.json: is no JSON: 1e999 is no number"),
        ("task-grip_emg.json", '{"SamplingFrequency": -1}', r"its JSON says that it is recorded at -1 Hz"),
        ("task-grip_emg.json", "9" * 5000, r"emg\.json: is no JSON: Exceeds the limit"),
        ("task-grip_emg.json", "[" * 100_000, r"emg\.json: is no JSON: maximum recursion depth"),
        ("task-grip_channels.tsv", "name\tunits\nleft\n", r"channels\.tsv:2: has 1 fields, expected 2"),
        ("task-grip_channels.tsv", "name\nleft\n", r"channels\.tsv: channel 'left' is not in .*\.edf"),
        (
            "sub-01/ses-a/emg/sub-01_ses-a_task-grip_run-2_events.tsv",
            "onset\tduration\tkind\n1\t1\tx\n",
            "no column 'trial_type'",
        ),
        (
            "sub-01/ses-a/emg/sub-01_ses-a_task-grip_run-2_events.tsv",
            "onset\tduration\nx\t1\n",
            r"events\.tsv:2: has no onset",
        ),
        (
            "sub-01/ses-a/emg/sub-01_ses-a_task-grip_run-2_events.tsv",
            "onset\tduration\ttrial_type\n1\tnan\tclose\n",
            r"events\.tsv:2: has no onset",
        ),
    ],
)
def test_what_is_wrong_is_told(folder, name, text, error):
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=error):
        read(CARD, folder)


def test_no_such_files(tmp_path):
    (tmp_path / "a.csv").write_text("1\n")
    with pytest.raises(InputError, match=r"expected sub-\*_task-\*_emg\.edf or \.bdf; found a\.csv"):
        read(CARD, tmp_path)


@real
@pytest.mark.data
def test_the_example_sets(tmp_path):
    folder = make.unpacked("edf_bids", tmp_path)
    jumps = attrs.evolve(
        CARD,
        rate=2000.0,
        channels=tuple(f"EMG{i}" for i in range(1, 129)),
        labels=("unmarked", "jump_start", "jump_peak", "jump_land"),
        options={"recording": "highDensity"},
    )
    (rec,) = read(jumps, folder / "emg_ConcurrentIndependentUnits").values()
    assert rec.id == "sub-01/ses-01/run-jumpinghighDensity" and rec.emg.shape == (128, 1000)
    assert rec.events.onset.tolist() == [] and rec.attrs["TaskName"] == "jumping"
    bands = attrs.evolve(jumps, channels=("EMG0", "EMG31"), options={})
    (rec,) = read(bands, folder / "emg_TwoWristbands").values()
    assert rec.emg.shape == (2, 1000) and rec.id == "sub-01/ses-01/run-typing"
    face = attrs.evolve(jumps, channels=("EMG1", "EMG6"), labels=("foo",), options={})
    (rec,) = read(face, folder / "emg_CustomBipolarFace").values()
    assert rec.emg.shape == (2, 2000) and rec.events.onset.tolist() == [0]
