"""ninapro_mat: the six databases in their published layout, and the real files of two."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from make_ninapro import DB6_GRASPS, LAYOUT, exercise, file_name, make_ninapro, mat5, mat73

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.readers.ninapro_mat import actuation_matrix
from myoflow.readers.spans import rest_before, spans
from myoflow.store import open_store

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


def items(place, database, wanted=None, **options):
    card = load_card(database)
    card = attrs.evolve(card, options={**card.options, **options})
    return list(READERS["ninapro_mat"](card).recordings(open_source(place), wanted))


def one(tmp_path, database, arrays, *, number=1, data=None, **options):
    """The recording of one file made of `arrays`."""
    path = tmp_path / file_name(database, 1, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mat5(arrays) if data is None else data)
    (item,) = items(tmp_path, database, **options)
    return item.read()


def per_sample(events, count):
    label, repetition = np.full(count, -1), np.full(count, -1)
    rows = zip(events.onset, events.length, events.label, events.repetition, strict=True)
    for onset, length, value, number in rows:
        assert (label[onset : onset + length] == -1).all(), "events overlap"
        label[onset : onset + length], repetition[onset : onset + length] = value, number
    return label, repetition


@pytest.fixture(scope="module", params=LAYOUT)
def database(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, make_ninapro(folder, request.param, 2, span=3)


def test_every_sample_comes_through(database):
    name, folder, made = database
    card = load_card(name)
    found = items(folder, name)
    assert len(found) == len(made)
    step = np.float64(card.options.get("step", 1))
    starts = np.cumsum([0, *card.options["exercises"]])
    keep = [i for i in range(made[next(iter(made))]["emg"].shape[1]) if i not in card.options.get("drop", ())]
    for item in found:
        rec = item.read()
        arrays = made[item.names[0]]
        assert rec.id == item.id
        assert rec.emg.dtype == card.options["storage"]
        values = rec.emg * (step if rec.emg.dtype.kind == "i" else 1)
        np.testing.assert_allclose(values.T, arrays["emg"][:, keep], rtol=1e-12, atol=0)
        assert (rec.rate_hz, rec.channels, rec.units) == (card.rate, card.channels, card.units)
        label, repetition = per_sample(rec.events, len(arrays["emg"]))
        raw = arrays["restimulus"].ravel().astype(int)
        if name == "ninapro_db6":
            raw = np.searchsorted(DB6_GRASPS, raw)
        elif name in ("ninapro_db1", "ninapro_db5"):
            raw = np.where(raw > 0, raw + starts[int(rec.run) - 1], 0)
        np.testing.assert_array_equal(label, raw)
        np.testing.assert_array_equal(repetition[raw > 0], arrays["rerepetition"].ravel()[raw > 0])
        assert (repetition[: np.flatnonzero(raw)[-1]] > 0).all(), "rest belongs to the movement that follows"
        assert rec.sources[0][0] == item.names[0].split("/")[-1]


def test_ids_of_exercises_acquisitions_and_half_days(database):
    name, folder, _ = database
    ids = [item.id for item in items(folder, name, lambda subject: subject == "02")]
    parts = {
        "ninapro_db6": [f"ses-{n:02d}/run-1" for n in (1, 2, 3, 4)],
        "ninapro_db8": [f"ses-{n:02d}/run-1" for n in (1, 2, 3)],
    }
    exercises = [f"ses-01/run-{n}" for n in range(1, len(LAYOUT[name][0]) + 1)]
    assert ids == [f"sub-02/{part}" for part in parts.get(name, exercises)]


def test_all_labels_of_the_card_occur_once_per_repetition(database):
    name, folder, _ = database
    card = load_card(name)
    repetitions = LAYOUT[name][3]
    seen = {}
    for item in items(folder, name, lambda subject: subject == "01"):
        rec = item.read()
        rows = zip(rec.events.label.tolist(), rec.events.repetition.tolist(), strict=True)
        for pair in rows:
            seen[rec.session, pair] = seen.get((rec.session, pair), 0) + 1
    for session in {session for session, _ in seen}:
        for label in range(1, len(card.labels)):
            for repetition in range(1, repetitions + 1):
                assert seen[session, (label, repetition)] == 1


def test_streams_are_as_in_the_file(database):
    name, folder, made = database
    card = load_card(name)
    for item in items(folder, name):
        rec, arrays = item.read(), made[item.names[0]]
        for key, units in card.options["streams"].items():
            assert (key in rec.streams) == (key in arrays)
            if key in arrays:
                np.testing.assert_array_equal(rec.streams[key].values.T, arrays[key])
                assert (rec.streams[key].units, rec.streams[key].rate_hz) == (units, card.rate)
        np.testing.assert_array_equal(rec.streams["stimulus"].values[0], arrays["stimulus"].ravel())
        np.testing.assert_array_equal(rec.streams["stimulus"].values[1], arrays["repetition"].ravel())


def test_the_shown_labels_can_be_chosen(tmp_path):
    arrays = exercise("ninapro_db5", 1, 2)
    rec = one(tmp_path, "ninapro_db5", arrays, number=2, labels="stimulus", rest="file")
    label, repetition = per_sample(rec.events, len(arrays["emg"]))
    shown = arrays["stimulus"].ravel().astype(int)
    np.testing.assert_array_equal(label, np.where(shown > 0, shown + 12, 0))
    np.testing.assert_array_equal(repetition, arrays["repetition"].ravel())
    np.testing.assert_array_equal(rec.streams["restimulus"].values[0], arrays["restimulus"].ravel())


@pytest.mark.parametrize("goes_on", [True, False])
def test_labels_that_start_anew_and_those_that_go_on_mean_the_same(tmp_path, goes_on):
    arrays = exercise("ninapro_db7", 1, 2)
    if not goes_on:
        for name in ("restimulus", "stimulus"):
            arrays[name] = np.where(arrays[name] > 0, arrays[name] - 17, 0).astype(np.int8)
    rec = one(tmp_path, "ninapro_db7", arrays, number=2)
    assert sorted(set(rec.events.label.tolist())) == [0, *range(18, 41)]


def test_degrees_of_actuation_of_db8(tmp_path):
    arrays = exercise("ninapro_db8", 1, 1)
    rec = one(tmp_path, "ninapro_db8", arrays)
    glove, angles = arrays["glove"].astype(float), rec.streams["kinematics"]
    by_hand = np.stack(
        [
            0.639 * glove[:, 0] + 0.383 * glove[:, 1] - 0.639 * glove[:, 3] - 0.19 * glove[:, 16],
            glove[:, 2],
            0.4 * glove[:, 4] + 0.6 * glove[:, 5],
            0.4 * glove[:, 6] + 0.6 * glove[:, 7],
            0.1667 * (glove[:, 9] + glove[:, 12]) + 0.3333 * (glove[:, 10] + glove[:, 13]),
        ]
    )
    np.testing.assert_allclose(angles.values, by_hand, rtol=1e-5, atol=1e-4)
    assert angles.units == "deg" and angles.values.shape[0] == 5
    gone = np.isnan(glove).any(axis=1)
    assert gone.sum() == 5
    np.testing.assert_array_equal(np.isnan(angles.values), np.broadcast_to(gone, angles.values.shape))
    assert rec.repairs == (f"glove: 5 of {len(glove)} rows have NaN: kept",)
    assert actuation_matrix().shape == (18, 5)


def test_gaps_and_single_precision_survive_the_store(tmp_path):
    make_ninapro(tmp_path / "raw", "ninapro_db8", 1)
    store = tmp_path / "s.zarr"
    summary = convert(load_card("ninapro_db8"), tmp_path / "raw", store)
    assert (summary.written, summary.missing) == (3, 11)
    for item in items(tmp_path / "raw", "ninapro_db8"):
        rec, back = item.read(), open_store(store).raw(item.id)
        assert back.emg.tobytes() == rec.emg.tobytes()
        assert open_store(store).emg(item.id).values.tobytes() == rec.emg.tobytes()
        for name, stream in rec.streams.items():
            assert back.streams[name].values.tobytes() == stream.values.tobytes()


def test_the_empty_columns_of_db6(tmp_path):
    arrays = exercise("ninapro_db6", 1, 1)
    rec = one(tmp_path, "ninapro_db6", arrays)
    assert rec.emg.shape[0] == 14 and rec.repairs == ()
    assert rec.channels[7:9] == ("emg8", "emg11")
    arrays["emg"][5, 9] = 1e-5
    (note,) = one(tmp_path, "ninapro_db6", arrays).repairs
    assert note == "emg column 9 (from 0) left out although it is not constant"
    arrays["emg"][:, 8:10] = np.nan
    assert one(tmp_path, "ninapro_db6", arrays).repairs == ()


def test_variables_of_unequal_length_are_cut_to_what_all_have(tmp_path):
    arrays = exercise("ninapro_db1", 1, 1)
    rows = len(arrays["emg"])
    arrays["restimulus"] = arrays["restimulus"][:-2]
    rec = one(tmp_path, "ninapro_db1", arrays)
    assert rec.emg.shape[1] == rec.streams["glove"].values.shape[1] == rows - 2
    assert int(rec.events.onset[-1] + rec.events.length[-1]) == rows - 2
    assert rec.repairs[0].endswith(f"only the first {rows - 2} rows are kept")
    arrays["restimulus"] = arrays["restimulus"][: rows // 2]
    with pytest.raises(InputError, match=r"variable restimulus has [\d,]+ rows, but emg has"):
        one(tmp_path, "ninapro_db1", arrays)


def test_double_precision_and_gaps_are_told(tmp_path):
    arrays = exercise("ninapro_db7", 1, 1)
    arrays["emg"] = arrays["emg"].astype(np.float64) * (1 + 1e-12)
    arrays["emg"][7, 3] = np.nan
    rec = one(tmp_path, "ninapro_db7", arrays)
    assert rec.repairs == ("emg rounded from double to single precision", "emg: 1 values are not finite: set to 0")
    assert rec.emg[3, 7] == 0


def test_a_file_of_matlab_73_gives_the_same_recording(tmp_path):
    pytest.importorskip("h5py")
    arrays = exercise("ninapro_db2", 1, 3)
    a = one(tmp_path, "ninapro_db2", arrays, number=3)
    b = one(tmp_path, "ninapro_db2", arrays, number=3, data=mat73(arrays))
    np.testing.assert_array_equal(a.emg, b.emg)
    np.testing.assert_array_equal(a.events.label, b.events.label)
    assert {name: s.values.tobytes() for name, s in a.streams.items()} == {
        name: s.values.tobytes() for name, s in b.streams.items()
    }


def _with(**changes):
    return lambda arrays: {**{k: v for k, v in arrays.items() if k not in changes}, **_present(changes)}


def _present(changes):
    return {name: value for name, value in changes.items() if value is not None}


BAD = {
    "no emg": (_with(emg=None), "there is no variable emg; the file has acc"),
    "no labels": (_with(restimulus=None), "there is no variable restimulus"),
    "another database": (_with(emg=np.zeros((400, 10))), "variable emg has 10 columns, expected 16"),
    "another subject": (_with(subject=np.array([[7]])), "variable subject is 7, but the file's name says 1"),
    "another rate": (_with(frequency=np.array([[2000]])), "is sampled at 2000 Hz, ninapro_db5 at 200 Hz"),
    "complex": (_with(emg=np.zeros((400, 16), complex)), "variable emg is not a table of real numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_named_with_its_variable(tmp_path, case):
    change, says = BAD[case]
    with pytest.raises(InputError, match=r"S1_E1_A1\.mat: " + says):
        one(tmp_path, "ninapro_db5", change(exercise("ninapro_db5", 1, 1)))


def test_values_that_are_no_counts_and_labels_that_are_none(tmp_path):
    arrays = exercise("ninapro_db5", 1, 1)
    arrays["emg"][4, 2] = 200
    with pytest.raises(InputError, match="variable emg row 5 column 3 is 200, not a multiple of 1 that fits int8"):
        one(tmp_path, "ninapro_db5", arrays)
    assert one(tmp_path, "ninapro_db5", arrays, storage="float32").emg[2, 4] == 200
    arrays = exercise("ninapro_db5", 1, 1)
    arrays["restimulus"][9] = 40
    with pytest.raises(InputError, match=r"restimulus has the labels .*, 40; exercise 1 of ninapro_db5 has 1\.\.12"):
        one(tmp_path, "ninapro_db5", arrays)
    arrays = exercise("ninapro_db5", 1, 2)
    arrays["restimulus"] = np.where(arrays["restimulus"] > 12, arrays["restimulus"], 0)
    with pytest.raises(InputError, match=r"has the labels 13, .*; they could mean 1\.\.17 or 13\.\.29"):
        one(tmp_path / "other", "ninapro_db5", arrays, number=2)


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"expected files such as S1_E1_A1\.mat .*; found no files"):
        items(tmp_path, "ninapro_db5")
    (tmp_path / "S1_E9_A1.mat").write_bytes(mat5(exercise("ninapro_db5", 1, 1)))
    with pytest.raises(InputError, match="there is no exercise 9; ninapro_db5 has 3"):
        items(tmp_path, "ninapro_db5")[0].read()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "s1_e9_a1.MAT").write_bytes(b"x")
    with pytest.raises(InputError, match="two files for one recording"):
        items(tmp_path, "ninapro_db5")
    with pytest.raises(InputError, match=r"such as S1_D1_T1\.mat"):
        items(tmp_path, "ninapro_db6")


def test_spans_cover_everything_and_break_at_repetitions():
    label, repetition = np.array([0, 0, 1, 1, 1, 0, 2, 0]), np.array([0, 0, 1, 1, 2, 0, 1, 0])
    assert rest_before(label, repetition).tolist() == [1, 1, 1, 1, 2, 1, 1, 0]
    found = spans(label, repetition, ("rest", "a", "b"))
    assert found.onset.tolist() == [0, 2, 4, 5, 6, 7]
    assert found.length.tolist() == [2, 2, 1, 1, 1, 1]
    assert found.repetition.tolist() == [0, 1, 2, 0, 1, 0]


def _real(database):
    return {item.id: item.read() for item in items(REAL / database, database)}


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("database", "rows", "movements"),
    [
        ("ninapro_db1", {1: 101014, 2: 100686}, 120),
        ("ninapro_db5", {1: 130267, 4: 151664, 5: 148526}, 72),
    ],
)
def test_the_real_files_by_scipy_alone(database, rows, movements):
    from scipy.io import loadmat

    found = _real(database)
    assert list(found) == [f"sub-{s:02d}/ses-01/run-1" for s in rows]
    for (subject, count), rec in zip(rows.items(), found.values(), strict=True):
        name = f"S{subject}_A1_E1.mat" if database == "ninapro_db1" else f"S{subject}_E1_A1.mat"
        plain = loadmat(REAL / database / name)
        assert rec.emg.shape[1] == count == len(plain["emg"])
        scale = 1e4 if database == "ninapro_db1" else 1
        np.testing.assert_array_equal(rec.emg, np.rint(plain["emg"].T * scale))
        back = rec.emg.astype(np.float32) * rec.gain[:, None]
        np.testing.assert_allclose(back.T, plain["emg"], rtol=2e-7)
        np.testing.assert_array_equal(rec.streams["glove"].values.T, plain["glove"])
        label, repetition = per_sample(rec.events, count)
        np.testing.assert_array_equal(label, plain["restimulus"].ravel())
        moving = label > 0
        np.testing.assert_array_equal(repetition[moving], plain["rerepetition"].ravel()[moving])
        assert np.count_nonzero(rec.events.label > 0) == movements
        assert rec.repairs == ()
        if database == "ninapro_db5":  # the rule for rest gives what these files have
            np.testing.assert_array_equal(repetition, plain["rerepetition"].ravel())
            np.testing.assert_array_equal(rest_before(label, np.where(moving, repetition, 0)), repetition)
