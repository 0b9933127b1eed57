"""cote_allard: the published layout, and every way it can be wrong."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import attrs
import numpy as np
import pytest
from make_cote_allard import make_cote_allard

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.readers.cote_allard import parse

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "myo_cote_allard"


def items(place, wanted=None):
    return list(READERS["cote_allard"](load_card("cote_allard_myo")).recordings(open_source(place), wanted))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return folder, make_cote_allard(folder)


def test_every_file_becomes_a_recording_of_one_gesture(raw):
    folder, made = raw
    found = items(folder)
    assert len(found) == len(made) == 4 * 28
    assert sorted({item.id.rpartition("/")[0] for item in found}) == [
        "sub-EvalFemale0/ses-Test0",
        "sub-EvalFemale0/ses-Test1",
        "sub-EvalFemale0/ses-training0",
        "sub-PreMale10/ses-training0",
    ]
    for item in found:
        rec = pickle.loads(pickle.dumps(item.load()))()
        assert rec.id == item.id
        counts = made[rec.sources[0][0]]
        assert rec.emg.dtype == np.int8
        np.testing.assert_array_equal(rec.emg.T, counts)
        assert (rec.events.onset.tolist(), rec.events.length.tolist()) == ([0], [len(counts)])


def test_the_number_of_a_file_is_gesture_and_cycle(raw):
    found = {item.id: item for item in items(raw[0], lambda subject: subject == "EvalFemale0")}
    assert len(found) == 84
    for number, label, cycle in ((0, "neutral", 1), (6, "hand_open", 1), (7, "neutral", 2), (26, "hand_close", 4)):
        rec = found[f"sub-EvalFemale0/ses-Test1/run-{number:02d}"].read()
        assert rec.events.names[rec.events.label[0]] == label
        assert rec.events.repetition.tolist() == [cycle]


def test_a_folder_of_two_archives_is_one_set(raw, tmp_path):
    for half in ("PreTrainingDataset", "EvaluationDataset"):
        with tarfile.open(tmp_path / f"{half}.tar.xz", "w:xz") as out:
            out.add(raw[0] / half, half)
    left, right = items(raw[0]), items(tmp_path)
    assert [item.id for item in left] == [item.id for item in right]
    for a, b in zip(left[::9], right[::9], strict=True):
        assert a.read().sources == b.read().sources


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"f: the file is empty; expected rows of 8 int16"),
        (b"\0" * 35, r"f: byte 32: the last row has 3 of 16 bytes; the file is cut off or another"),
        (np.array([[0] * 8, [0, 0, 200, *[0] * 5]], "<i2").tobytes(), r"f: byte 20: 200 is no count of the armband"),
        (np.array([[0] * 7 + [-129]], "<i2").tobytes(), r"f: byte 14: -129 is no count"),
        (np.array([[1] * 8], ">i2").tobytes(), r"f: byte 0: 256 is no count"),
        (b"time,channel1,channel2,channel3\n", r"f: byte 0: \d+ is no count"),
    ],
)
def test_a_wrong_file_is_named_with_its_byte(data, says):
    with pytest.raises(InputError, match=says):
        parse(data, "f")


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"expected PreTrainingDataset or EvaluationDataset with .* found no files"):
        items(tmp_path)
    made = make_cote_allard(tmp_path)
    (tmp_path / "PreTrainingDataset/Male10/training0/classe_28.dat").write_bytes(b"\0" * 16)
    with pytest.raises(InputError, match=r"training0/classe_28\.dat is none of classe_0 to classe_27"):
        items(tmp_path)
    assert len(items(tmp_path, lambda subject: subject == "EvalFemale0")) == 84  # who is not asked for may be odd
    (tmp_path / "PreTrainingDataset/Male10/training0/classe_28.dat").unlink()
    (tmp_path / "PreTrainingDataset/Male10/training0/classe_3.dat").unlink()
    with pytest.raises(InputError, match=r"PreTrainingDataset/Male10/training0 lacks classe_3\.dat"):
        items(tmp_path)
    twice = tmp_path / "copy/EvaluationDataset/Female0/Test0/classe_0.dat"
    twice.parent.mkdir(parents=True)
    twice.write_bytes(made["EvaluationDataset/Female0/Test0/classe_0.dat"].tobytes())
    with pytest.raises(InputError, match=r"the same file twice: .*classe_0\.dat and .*classe_0\.dat"):
        items(tmp_path)


def test_a_card_must_have_the_sets_channels_and_labels():
    card = load_card("cote_allard_myo")
    with pytest.raises(InputError, match="dataset cote_allard_myo: channels are 8, not 2"):
        READERS["cote_allard"](attrs.evolve(card, channels=("a", "b")))
    with pytest.raises(InputError, match="labels are 7, not 2"):
        READERS["cote_allard"](attrs.evolve(card, labels=("a", "b")))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_set_has_the_files_numbers():
    raw = {}
    for archive in REAL.glob("*.tar.xz"):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.endswith(".dat"):
                    raw[member.name] = np.frombuffer(tar.extractfile(member).read(), "<i2").reshape(-1, 8)
    found = items(REAL)
    assert len(found) == len(raw) == 952  # 22 people once, 4 people three times, 28 files each
    assert len({item.id.split("/")[0] for item in found}) == 26
    tally = np.zeros(7, int)
    for item in found:
        rec = item.read()
        name = rec.sources[0][0]
        np.testing.assert_array_equal(rec.emg.T, raw[name])
        number = int(name.rpartition("_")[2].removesuffix(".dat"))
        assert rec.events.label.tolist() == [number % 7] and rec.events.repetition.tolist() == [number // 7 + 1]
        tally[rec.events.label[0]] += rec.emg.shape[1]
    assert tally.sum() == 945_329
    expected = np.zeros(7, int)
    for name, counts in raw.items():
        expected[int(name.rpartition("_")[2].removesuffix(".dat")) % 7] += len(counts)
    assert tally.tolist() == expected.tolist()
