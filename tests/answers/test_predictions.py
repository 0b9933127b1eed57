from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myoflow.answers.base import aligned, concat
from myoflow.answers.predictions import Predictions
from myoflow.errors import InputError


def predictions(n: int = 12, labels: tuple[str, ...] = ("rest", "fist", "offen ü")) -> Predictions:
    draw = np.random.default_rng(n)
    return Predictions(
        scores=draw.normal(size=(n, len(labels))),
        label=np.arange(n) % len(labels),
        labels=labels,
        subject=[f"{i // 4:02d}" for i in range(n)],
        session=["01"] * n,
        repetition=np.arange(n) % 2,
        recording=[f"sub-{i // 4:02d}/ses-01/run-1" for i in range(n)],
        start_s=np.arange(n) % 4 * 0.25,
    )


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    one = predictions()
    one.save(tmp_path / "p.npz")
    two = Predictions.load(tmp_path / "p.npz")
    assert two.labels == one.labels
    for name in ("scores", *Predictions.known):
        np.testing.assert_array_equal(getattr(two, name), getattr(one, name))
        assert getattr(two, name).dtype == getattr(one, name).dtype
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    predictions().save(tmp_path / "a.npz")
    predictions().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_file_needs_no_pickle(tmp_path: Path) -> None:
    predictions().save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert set(file.files) == {"scores", "labels", *Predictions.known}
        assert all(file[name].dtype != object for name in file.files)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_broken_file_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz: not a file of predictions"):
        Predictions.load(path)


def test_other_files_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Predictions.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="not a file of predictions"):
        Predictions.load(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a file of predictions"):
        Predictions.load(tmp_path / "array.npy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.zeros((12, 2))}, r"scores have shape \(12, 2\), labels ask for \(12, 3\)"),
        ({"subject": ["01"] * 11}, r"subject has shape \(11,\) for 12 windows"),
        ({"label": [3] * 12}, r"a label lies outside 0\.\.2"),
        ({"label": [-1] * 12}, r"a label lies outside 0\.\.2"),
        ({"scores": np.where(np.arange(36).reshape(12, 3) == 4, np.nan, 0)}, "1 of 12 windows have scores"),
    ],
)
def test_wrong_columns_are_refused(change: dict[str, object], message: str) -> None:
    good = predictions()
    columns = {name: getattr(good, name) for name in ("scores", "labels", *Predictions.known)}
    with pytest.raises(InputError, match=message):
        Predictions(**{**columns, **change})  # type: ignore[arg-type]


def test_the_first_of_equal_scores_is_decided() -> None:
    good = predictions(2)
    columns = {name: getattr(good, name) for name in Predictions.known}
    tied = Predictions(np.array([[0, 1, 1], [2, 2, 0]]), labels=good.labels, **columns)
    assert tied.decision.tolist() == [1, 0]


def test_concat_keeps_every_window() -> None:
    one = predictions()
    parts = [one.take(one.subject == name) for name in np.unique(one.subject)]
    whole = concat(parts)
    for name in ("scores", *Predictions.known):
        np.testing.assert_array_equal(getattr(whole, name), getattr(one, name))
    with pytest.raises(InputError, match="labels differ"):
        concat([one, predictions(labels=("a", "b", "c"))])
    with pytest.raises(InputError, match="nothing to put together"):
        concat([])


def test_aligned_undoes_any_order() -> None:
    one = predictions()
    mixed = one.take(np.random.default_rng(0).permutation(len(one)))
    first, second = aligned([one, mixed])
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.start_s, second.start_s)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("start_s", 9.5, r"a and b saw different windows: start_s of sub-02/ses-01/run-1 at 0\.75 s is 0\.75 and 9\.5"),
        ("label", 0, r"label of sub-02/ses-01/run-1 at 0\.75 s is 2 and 0"),
        ("recording", "sub-02/ses-01/run-2", "recording of sub-02"),
    ],
)
def test_aligned_says_which_window_differs(column: str, value: object, message: str) -> None:
    one = predictions()
    columns = {name: getattr(one, name).copy() for name in Predictions.known}
    columns[column][-1] = value
    other = Predictions(one.scores, labels=one.labels, **columns)
    with pytest.raises(InputError, match=message):
        aligned([one, other], ["a", "b"])


def test_aligned_refuses_other_counts_and_labels() -> None:
    one = predictions()
    with pytest.raises(InputError, match="they saw 12 and 8 windows"):
        aligned([one, one.take(slice(0, 8))])
    with pytest.raises(InputError, match="their labels are"):
        aligned([one, predictions(labels=("a", "b", "c"))])
    with pytest.raises(InputError, match="no predictions"):
        aligned([])
