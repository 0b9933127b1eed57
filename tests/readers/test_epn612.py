"""epn612: JSON and the authors' .mat, MATLAB categoricals included."""

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest
from make_epn import SETS, as_json, as_mat, labels_csv, make_epn, user

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "epn612"
SAMPLES = user(3, each=3)


def items(place, wanted=None, **options):
    card = load_card("epn612")
    card = attrs.evolve(card, options={**card.options, **options})
    return list(READERS["epn612"](card).recordings(open_source(place), wanted))


def mat_folder(folder, group="training", data=None):
    path = folder / group / "user1" / "userData.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(as_mat(SAMPLES) if data is None else data)
    return path


def json_folder(folder, change=lambda whole: whole, group="trainingJSON"):
    path = folder / group / "user1" / "user1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = change(as_json(SAMPLES))
    path.write_bytes(whole if isinstance(whole, bytes) else json.dumps(whole).encode())
    return path


def compare(rec, samples, *, labelled=True, before=0):
    """A joined recording against what was made; `before` repetitions of each gesture stand in another one."""
    names = load_card("epn612").labels
    np.testing.assert_array_equal(rec.emg.T, np.concatenate([sample["emg"] for sample in samples]))
    assert rec.emg.dtype == np.int8
    at, seen, truth = 0, dict.fromkeys((sample["gesture"] for sample in samples), before), []
    for i, sample in enumerate(samples):
        count, word = len(sample["emg"]), sample["gesture"]
        seen[word] += 1
        if labelled:
            event = [int(getattr(rec.events, name)[i]) for name in ("onset", "length", "label", "repetition")]
            assert event == [at, count, names.index(word), seen[word]]
            start, end = sample["truth"] or (1, 0)
            truth += [int(start <= n <= end) for n in range(1, count + 1)]
        at += count
    assert len(rec.events.onset) == (len(samples) if labelled else 0)
    if labelled:
        assert rec.streams["ground_truth"].values[0].tolist() == truth


def test_json_users_of_both_groups(tmp_path):
    made = make_epn(tmp_path, 2, each=12)
    found = items(tmp_path)
    whole, parted = ["01/run-1", "02/run-1"], ["01/run-1", "01/run-2", "02/run-1"]
    runs = {"001": whole, "002": whole, "307": parted, "308": parted}
    assert [item.id for item in found] == [f"sub-{s}/ses-{run}" for s, some in runs.items() for run in some]
    subsets = {"001 01": "train", "001 02": "valid", "307 02": "unlabelled"}
    for item in found:
        rec = item.read()
        samples = made[item.names[0]][SETS[int(rec.session) - 1]]
        before, subset = 0, subsets.get(f"{rec.subject} {rec.session}")
        if rec.subject > "306" and rec.session == "01":  # most papers train on ten repetitions of the people tested
            seen, kept = Counter(), []
            for sample in samples:
                seen[sample["gesture"]] += 1
                if (seen[sample["gesture"]] <= 10) == (rec.run == "1"):
                    kept.append(sample)
            samples = kept
            before, subset = (0, "train") if rec.run == "1" else (10, "test")
        compare(rec, samples, labelled=not (rec.subject > "306" and rec.session == "02"), before=before)
        assert subset in (None, rec.attrs["subset"])
        assert rec.attrs["RecordingType"] == "discontinuous"
        assert rec.attrs["Participant"]["age"] == 21 and "name" not in rec.attrs["Participant"]
        assert (rec.rate_hz, rec.units) == (200.0, "counts")
    assert {item.id[:7] for item in items(tmp_path, lambda subject: subject == "307")} == {"sub-307"}


def test_mat_is_the_same_as_json(tmp_path):
    mat_folder(tmp_path / "mat")
    json_folder(tmp_path / "json")
    for a, b in zip(items(tmp_path / "mat"), items(tmp_path / "json"), strict=True):
        left, right = a.read(), b.read()
        compare(left, SAMPLES[SETS[int(left.session) - 1]])
        np.testing.assert_array_equal(left.emg, right.emg)
        np.testing.assert_array_equal(left.events.label, right.events.label)
        np.testing.assert_array_equal(left.streams["ground_truth"].values, right.streams["ground_truth"].values)


def test_an_archive_gives_the_same(tmp_path):
    path = json_folder(tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.write(path, "EMG-EPN612 Dataset/trainingJSON/user1/user1.json")
    for a, b in zip(items(tmp_path / "raw"), items(tmp_path / "a.zip"), strict=True):
        assert a.read().sources == b.read().sources
        np.testing.assert_array_equal(a.read().emg, b.read().emg)


def test_events_where_the_hand_moves(tmp_path):
    json_folder(tmp_path)
    rec = items(tmp_path, events="ground_truth")[0].read()
    truth = rec.streams["ground_truth"].values[0]
    quiet = rec.events.label == 0
    assert np.count_nonzero(quiet) == 3
    covered = np.zeros(len(truth), int)
    for onset, length in zip(rec.events.onset[~quiet], rec.events.length[~quiet], strict=True):
        covered[onset : onset + length] += 1
    np.testing.assert_array_equal(covered, truth)


def test_samples_kept_apart_have_their_inertial_streams(tmp_path):
    samples = user(5, each=25)
    path = tmp_path / "testing" / "user1" / "userData.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(as_mat(samples))
    found = items(tmp_path, recordings="sample")
    assert len(found) == 300
    assert found[153].id == "sub-307/ses-02/run-004"
    rec, sample = found[153].read(), samples["testing"][3]
    np.testing.assert_array_equal(rec.emg.T, sample["emg"])
    assert rec.attrs["RecordingType"] == "continuous"
    for name in ("gyro", "accel"):
        np.testing.assert_array_equal(rec.streams[name].values.T, sample[name])
        assert rec.streams[name].rate_hz == 50.0
    assert rec.events.repetition.tolist() == [4]


def test_a_user_of_no_known_group(tmp_path):
    path = tmp_path / "user7" / "userData.mat"
    path.parent.mkdir()
    path.write_bytes(as_mat(SAMPLES))
    rec = items(tmp_path)[0].read()
    assert rec.subject == "007"
    assert rec.repairs[0] == "no folder says training or testing: taken as a training user (options.group)"
    assert items(tmp_path, group="testing")[0].read().subject == "313"


def test_without_the_objects_a_table_must_tell(tmp_path):
    path = mat_folder(tmp_path, data=as_mat(SAMPLES, objects=False))
    with pytest.raises(
        InputError, match=r"userData\.mat: its gesture names are MATLAB categoricals .*Put a labels\.csv"
    ):
        items(tmp_path)[0].read()
    labels_csv(path.parent / "labels.csv", SAMPLES)
    for item in items(tmp_path):
        rec = item.read()
        compare(rec, SAMPLES[SETS[int(rec.session) - 1]])
    (path.parent / "labels.csv").write_text("set,gesture\ntraining,fist\n")
    with pytest.raises(InputError, match=r"labels\.csv: expected a table with the columns set, index, gesture"):
        items(tmp_path)[0].read()


def _set(path, value):
    def change(whole):
        at = whole
        for key in path[:-1]:
            at = at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return whole

    return change


ITEM = ("trainingSamples", "idx_5")
BAD_JSON = {
    "cut off": (lambda w: json.dumps(w).encode()[:5000], r":1:\d+: is not JSON: .*Is the download complete\?"),
    "empty": (lambda w: b"", ":1:1: is not JSON"),
    "no text": (lambda w: b'{"a": "\xe9"}', r":1: is not text \(byte 0xe9\)"),
    "deep": (lambda w: b"[" * 200_000, ":1: is not JSON of this set"),
    "a list": (lambda w: [], "there is no object 'generalInfo'; this is not a user's file"),
    "no set": (_set(("testingSamples",), None), "there is no object 'testingSamples'"),
    "other rate": (_set(("generalInfo", "samplingFrequencyInHertz"), 500), "samplingFrequencyInHertz is 500, expected"),
    "a hole": (_set(ITEM, None), "trainingSamples: expected idx_1, idx_2"),
    "no gesture": (_set((*ITEM, "gestureName"), None), "training sample 5 has no gestureName"),
    "a new gesture": (
        _set((*ITEM, "gestureName"), "wave"),
        r"trainingSamples\.idx_5: gestureName is 'wave', not one of",
    ),
    "no channel": (_set((*ITEM, "emg", "ch3"), None), r"trainingSamples\.idx_5\.emg\.ch3: expected a list of numbers"),
    "words": (_set((*ITEM, "emg", "ch3"), ["a"]), r"idx_5\.emg\.ch3: expected a list of numbers"),
    "uneven": (_set((*ITEM, "emg", "ch3"), [1, 2]), r"idx_5\.emg: its lists differ in length"),
    "no count": (
        _set((*ITEM, "emg", "ch1"), [300] * len(SAMPLES["training"][4]["emg"])),
        "sample 1 of channel 1 is 300",
    ),
    "bad truth": (_set((*ITEM, "groundTruthIndex"), ["a", 1]), r"idx_5: groundTruthIndex is \['a', 1\], expected two"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_wrong_json_is_named_with_its_place(tmp_path, case):
    change, says = BAD_JSON[case]
    json_folder(tmp_path, change)
    with pytest.raises(InputError, match=r"user1\.json.*" + says):
        items(tmp_path)[0].read()


def test_ground_truth_outside_its_sample_is_cut_and_told(tmp_path):
    json_folder(tmp_path, _set((*ITEM, "groundTruthIndex"), [3, 5000]))
    rec = items(tmp_path)[0].read()
    assert any(note.startswith("trainingSamples.idx_5: ground truth 3..5000 reaches outside") for note in rec.repairs)
    assert not any("idx_5" in note for note in items(tmp_path)[1].read().repairs)


def test_damaged_mat_is_refused_or_whole(tmp_path):
    data = as_mat(SAMPLES)
    rng = np.random.default_rng(0)
    refused = 0
    path = mat_folder(tmp_path)
    for trial in range(40):
        broken = bytearray(data)
        if trial % 2:
            broken = broken[: int(rng.integers(len(data)))]
        else:
            broken[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            items(tmp_path)[0].read()
        except InputError as error:
            refused += 1
            assert "userData.mat" in str(error)
    assert refused >= 15


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"expected trainingJSON and testingJSON .*; found no files"):
        items(tmp_path)
    json_folder(tmp_path)
    json_folder(tmp_path, group="more training")
    with pytest.raises(InputError, match="two files for one user"):
        items(tmp_path)
    path = tmp_path / "x" / "user400" / "user400.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(InputError, match="users are numbered 1 to 306"):
        items(path.parents[1])


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_user_by_its_table_and_by_scipy_alone():
    from scipy.io import loadmat

    with open(REAL / "user10" / "labels.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    plain = loadmat(REAL / "user10" / "userData.mat")["userData"][0, 0]
    found = [item.read() for item in items(REAL, group="testing")]
    assert [rec.id for rec in found] == [f"sub-316/ses-{run}" for run in ("01/run-1", "01/run-2", "02/run-1")]
    seen, unseen, _ = found
    assert np.bincount(seen.events.label).tolist() == [10] * 6 and np.bincount(unseen.events.label).tolist() == [15] * 6
    assert (seen.attrs["subset"], unseen.attrs["subset"]) == ("train", "test")
    assert seen.events.repetition.max() == 10 and unseen.events.repetition.min() == 11
    assert sum(rec.emg.shape[1] for rec in found) == 295_314
    names = load_card("epn612").labels
    found = [item.read() for item in items(REAL, group="training")]  # whole sets
    for rec, chosen in zip(found, SETS, strict=True):
        rows = [row for row in table if row["set"] == chosen]
        assert len(rows) == 150
        assert [names[i] for i in rec.events.label] == [row["gesture"] for row in rows]
        assert rec.events.length.tolist() == [int(row["n_emg_samples"]) for row in rows]
        emg = np.concatenate([cell[0, 0]["emg"] for cell in plain[chosen].ravel()])
        np.testing.assert_array_equal(rec.emg.T / 128, emg)
        truth = rec.streams["ground_truth"].values[0]
        for onset, length, row in zip(rec.events.onset, rec.events.length, rows, strict=True):
            inside = np.flatnonzero(truth[onset : onset + length])
            ends = [str(inside[0] + 1), str(inside[-1] + 1)] if len(inside) else ["", ""]
            assert ends == [row["ground_truth_start"], row["ground_truth_end"]]
        assert np.bincount(rec.events.label, minlength=6).tolist() == [25] * 6
    assert sum(rec.emg.shape[1] for rec in found) == 295_314
