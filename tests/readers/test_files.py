"""files, single, starter: a laboratory's own files by a card, one file without a card, a card to begin with."""

from __future__ import annotations

import pickle

import attrs
import make_formats as make
import numpy as np
import pytest

from myoflow.card import Card, load_card
from myoflow.data.conversion import convert
from myoflow.data.source import convert_file
from myoflow.errors import InputError
from myoflow.readers import READERS
from myoflow.readers.single import card_of_file
from myoflow.readers.starter import write_card

CARD = Card(
    name="lab",
    title="ours",
    reader="files",
    channels=("flexor", "extensor"),
    rate=1000.0,
    labels=("unmarked", "rest", "fist"),
    unmarked="unmarked",
    options={
        "pattern": r"S(?P<who>\d+)/(?P<what>[a-z]+)_(?P<take>\d+)\.csv",
        "subject": "{who}",
        "run": "{what}{take}",
        "channels": ["EMG 1", "EMG 2"],
        "labels_from": "path",
        "label": "{what}",
        "repetition": "{take}",
        "labels": {"pause": "rest"},
    },
)


def with_options(**changes):
    options = {key: value for key, value in {**CARD.options, **changes}.items() if value is not None}
    return attrs.evolve(CARD, options=options)


@pytest.fixture
def lab(tmp_path):
    for who in ("01", "02"):
        (tmp_path / f"S{who}").mkdir()
        for name in ("fist_1.csv", "fist_2.csv", "pause_1.csv", "notes.txt"):
            (tmp_path / f"S{who}" / name).write_bytes(make.csv())
    return tmp_path


def read(card, place):
    reader = READERS["files"](card)
    return {item.id: item.read() for item in reader.recordings(reader.open(place))}


def test_folders_of_text(lab):
    found = read(CARD, lab)
    assert sorted(found)[:3] == ["sub-01/ses-01/run-fist1", "sub-01/ses-01/run-fist2", "sub-01/ses-01/run-pause1"]
    rec = found["sub-02/ses-01/run-fist2"]
    np.testing.assert_array_equal(rec.emg, make.COUNTS)
    np.testing.assert_allclose(rec.gain, 1e-6)  # the file says uV, the card V
    assert rec.rate_hz == 1000 and rec.channels == ("flexor", "extensor") and rec.timestamp_ms is None
    events = rec.events
    assert (events.onset.tolist(), events.length.tolist()) == ([0], [180])
    assert (events.names[events.label[0]], events.repetition.tolist()) == ("fist", [2])
    assert found["sub-01/ses-01/run-pause1"].events.label.tolist() == [1]


def test_what_a_worker_gets_is_the_same(lab):
    reader = READERS["files"](CARD)
    item = next(iter(reader.recordings(reader.open(lab))))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(item.load()))().emg, item.read().emg)


def test_events_outside_are_told_and_a_wrong_rate_does_not_move_them(tmp_path):
    files = make.brainvision()
    files["a.vmrk"] += b"Mk4=Stimulus,late,999,1,0\n"
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    options = {"pattern": r"\.vhdr", "labels_from": "events", "labels": {"S  1": "rest"}, "rate": "card"}
    card = attrs.evolve(CARD, channels=("EMG, left", "EMG right"), rate=2000.0, options=options)
    rec = read(card, tmp_path)["sub-01/ses-01/run-1"]
    assert rec.events.onset.tolist() == [10, 50] and rec.rate_hz == 2000
    assert rec.repairs == ("1 events lie outside the recording and are left out",)


def test_into_a_store(lab, tmp_path):
    summary = convert(CARD, lab, tmp_path / "lab.zarr", subjects="2")
    assert (summary.written, summary.samples, summary.labels["fist"].events) == (3, 540, 2)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"channels": ["EMG 1", "EMG 3"]}, r"fist_1\.csv: has no channel 'EMG 3'; did you mean .* it has EMG 1, EMG 2"),
        ({"labels": {}}, r"pause_1\.csv: label 'pause' is not on the card"),
        (
            {"pattern": r"T\d+\.csv", **dict.fromkeys(("subject", "run", "label", "repetition", "labels_from"))},
            "no file matches",
        ),
        ({"run": "{take}"}, r"would both be sub-01/ses-01/run-1; let the pattern tell them apart"),
        ({"subject": "{nobody}"}, r"options\.subject: the pattern has no group 'nobody'"),
        ({"pattern": "("}, r"options\.pattern: is not a regular expression"),
        ({"format": "cvs"}, r"options\.format: there is no format 'cvs'; did you mean 'csv'"),
        ({"channels": ["EMG 1"]}, r"options\.channels: 1 for the card's 2"),
        ({"label_column": "x"}, r"options\.label_column: goes with labels_from: column"),
        ({"labels": {"a": "b"}}, "the card has no label 'b'"),
    ],
)
def test_what_is_wrong_is_told(lab, changes, error):
    with pytest.raises(InputError, match=error):
        read(with_options(**changes), lab)


def test_rates_must_agree_unless_the_card_is_to_be_believed(lab):
    other = attrs.evolve(CARD, rate=999.0)
    with pytest.raises(InputError, match=r"is recorded at 1000 Hz, the card says 999 Hz"):
        read(other, lab)
    believed = attrs.evolve(other, options={**CARD.options, "rate": "card"})
    assert next(iter(read(believed, lab).values())).rate_hz == 999


def test_units_that_cannot_be_compared_are_refused(lab):
    with pytest.raises(InputError, match=r"channel 'EMG 1' is in uV, the card's unit is counts"):
        read(attrs.evolve(CARD, units="counts"), lab)


def test_missing_numbers(lab):
    path = lab / "S01" / "fist_1.csv"
    path.write_bytes(make.csv().replace(b"0.003,-89,", b"0.003,,").replace(b"0.0,-200,", b"0.0,-200.5,"))
    with pytest.raises(
        InputError, match=r"fist_1\.csv: channel 'EMG 1' has no number at sample 4; options.missing: hold "
    ):
        read(CARD, lab)
    rec = read(with_options(missing="hold"), lab)["sub-01/ses-01/run-fist1"]
    assert rec.emg[0, 3] == rec.emg[0, 2] and rec.repairs[0].startswith("1 missing values repeat the one before")


def test_a_column_of_labels_and_other_streams(tmp_path):
    rows = "".join(f"{i / 100},{i},{int(3 <= i < 7)},{i * 2}\n" for i in range(10))
    (tmp_path / "a.csv").write_text("time,emg,cue,force\n" + rows)
    card = attrs.evolve(
        CARD,
        channels=("emg",),
        rate=100.0,
        options={
            "pattern": r"a\.csv",
            "labels_from": "column",
            "label_column": "cue",
            "labels": {"0": "rest", "1": "fist"},
            "streams": {"force": ["force"]},
        },
    )
    rec = read(card, tmp_path)["sub-01/ses-01/run-1"]
    assert rec.events.onset.tolist() == [0, 3, 7] and rec.events.label.tolist() == [1, 2, 1]
    assert rec.streams["force"].values[0, -1] == 18 and rec.streams["force"].rate_hz == 100


@pytest.mark.parametrize(("until_next", "length"), [(False, 20), (True, 130)])
def test_events_of_the_file(tmp_path, until_next, length):
    for name, data in make.brainvision().items():
        (tmp_path / name).write_bytes(data)
    options = {"pattern": r"\.vhdr", "labels_from": "events", "labels": {"S  1": "rest"}, "until_next": until_next}
    card = attrs.evolve(CARD, channels=("EMG, left", "EMG right"), options=options)
    rec = read(card, tmp_path)["sub-01/ses-01/run-1"]
    assert rec.events.onset.tolist() == [10, 50] and rec.events.label.tolist() == [1, 2]
    assert rec.events.length[-1] == length
    np.testing.assert_allclose(rec.gain, [0.5e-6, 2e-3])
    assert [name for name, _ in rec.sources] == ["a.vhdr", "a.eeg", "a.vmrk"]


@pytest.mark.parametrize("key", make.every())
def test_one_file_without_a_card(tmp_path, key):
    for name, data in make.every()[key].items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / next(iter(make.every()[key]))
    summary = convert_file(path, tmp_path / "out.zarr", rate="1000")
    assert summary.written == 1 and summary.samples >= 179


def test_a_file_that_does_not_say_enough(tmp_path):
    (tmp_path / "a.csv").write_text("timestamp,emg\n0,1\n0.5,2\n0.6,1\n2,3\n")
    with pytest.raises(InputError, match=r"does not say its rate \(its uneven clock gives 1\.5 samples a second"):
        card_of_file(tmp_path / "a.csv")
    with pytest.raises(InputError, match="--rate: "):
        card_of_file(tmp_path / "a.csv", rate="fast")
    card = card_of_file(tmp_path / "a.csv", rate="2 kHz", units="mV")
    assert (card.rate, card.units, card.channels) == (2000, "V", ("emg",))


def test_a_card_to_begin_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = load_card(str(write_card("mine")))
    assert card.name == "mine" and card.reader == "files" and "strict" in card.splits
    READERS["files"](card)
    with pytest.raises(InputError, match="there is a dataset 'mine' already"):
        write_card("mine")
    with pytest.raises(InputError, match="'My data' is no name"):
        write_card("My data")
