"""unibo_mat: the published layout and the one real file."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from make_ninapro import mat5
from make_unibo import NAME, make_unibo, variables

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "unibo_inail"


def items(place, wanted=None, **options):
    card = load_card("unibo_inail")
    card = attrs.evolve(card, options={**card.options, **options})
    return list(READERS["unibo_mat"](card).recordings(open_source(place), wanted))


def labels(rec):
    out = np.full(rec.emg.shape[1], -1)
    for onset, length, value in zip(rec.events.onset, rec.events.length, rec.events.label, strict=True):
        out[onset : onset + length] = value
    return out


@pytest.mark.parametrize("chosen", ["relabel", "label"])
def test_every_sample_comes_through(tmp_path, chosen):
    made = make_unibo(tmp_path)
    found = items(tmp_path, labels=chosen)
    assert [item.id for item in found] == [
        f"sub-{u:02d}/ses-{d:02d}/run-{p}" for u in (1, 2) for d in (1, 2) for p in (1, 2)
    ]
    for item in found:
        rec, arrays = item.read(), made[item.names[0]]
        assert rec.emg.dtype == np.float32 and rec.gain.tolist() == [1.0] * 4
        np.testing.assert_array_equal(rec.emg.T, arrays["emg"])
        np.testing.assert_array_equal(labels(rec), arrays[chosen].ravel() - 1)
        for gesture in range(1, 6):
            assert rec.events.repetition[rec.events.label == gesture].tolist() == list(range(1, 11))
        assert rec.repairs == ()
    assert [item.id for item in items(tmp_path, lambda subject: subject == "02")] == [item.id for item in found[4:]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"emg": np.zeros((9, 5), np.float32)}, "variable emg has 5 columns, expected 4"),
        ({"relabel": np.ones((9, 1))}, "variable relabel has 9 rows, but emg has"),
        ({"gestureCounter": np.ones((9, 1))}, "variable gestureCounter has 9 rows"),
        ({"relabel": np.full((30, 1), 7.0)}, "variable relabel row 1 is 7.0, not a whole number from 0 to 6"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, says):
    (tmp_path / NAME.format(1, 1, 1)).write_bytes(mat5({**variables(0), **change}))
    with pytest.raises(InputError, match=r"user_1_day_1_posture_1\.mat: " + says):
        items(tmp_path)[0].read()


def test_label_zero_and_gaps_are_named_with_their_row(tmp_path):
    path = tmp_path / NAME.format(1, 1, 1)
    arrays = variables(0)
    arrays["relabel"][3] = 0
    path.write_bytes(mat5(arrays))
    with pytest.raises(InputError, match="variable relabel row 4 is 0; labels count from 1"):
        items(tmp_path)[0].read()
    arrays = variables(0)
    arrays["emg"][6, 2] = np.inf
    path.write_bytes(mat5(arrays))
    with pytest.raises(InputError, match="variable emg row 7 column 3 is not a finite number"):
        items(tmp_path)[0].read()


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"expected files such as user_1_day_1_posture_1\.mat; found no files"):
        items(tmp_path)
    make_unibo(tmp_path / "a", 1, 1, 1)
    make_unibo(tmp_path / "b", 1, 1, 1)
    with pytest.raises(InputError, match="two files for one recording"):
        items(tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_file_by_scipy_alone():
    from scipy.io import loadmat

    (item,) = items(REAL)
    rec, plain = item.read(), loadmat(REAL / "user_1_day_1_posture_1.mat")
    assert item.id == "sub-01/ses-01/run-1"
    assert rec.emg.shape == (4, 158_536)
    assert rec.emg.T.tobytes() == plain["emg"].astype("<f4").tobytes()
    np.testing.assert_array_equal(labels(rec), plain["relabel"].ravel() - 1)
    tally = np.bincount(rec.events.label, rec.events.length).astype(int)
    assert tally.tolist() == [85604, 14478, 15314, 14408, 13482, 15250]
    assert np.bincount(rec.events.label)[1:].tolist() == [10] * 5
    assert float(rec.emg.max()) == pytest.approx(28659.691)
