"""Splits: who trains, validates and tests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoflow.errors import InputError
from myoflow.split import Split
from myoflow.typed import Mismatch

SUBJECTS = [f"{n:02d}" for n in range(1, 37)]


def test_fixed_lists_with_ranges() -> None:
    split = Split(train=("1..24",), valid=("25..30",), test=("31..35", 36))
    assert split.assign(SUBJECTS) == [(tuple(SUBJECTS[:24]), tuple(SUBJECTS[24:30]), tuple(SUBJECTS[30:]))]
    assert split.parts == 1


def test_without_train_the_rest_trains() -> None:
    assert Split(test=("b",)).assign(["a", "b", "c"]) == [(("a", "c"), (), ("b",))]
    assert Split(valid="none", test=("b",)).assign(["a", "b"]) == [(("a",), (), ("b",))]


def test_train_may_be_fewer_than_the_rest() -> None:
    assert Split(train=(3, 1), test=(2,)).assign(["1", "2", "3", "4"]) == [(("3", "1"), (), ("2",))]


@pytest.mark.parametrize("unit", [7, "7", "07", "007"])
@pytest.mark.parametrize("name", ["7", "07"])
def test_one_unit_has_many_spellings(unit: Any, name: str) -> None:
    assert Split(test=(unit,)).assign(["1", name]) == [(("1",), (), (name,))]


def test_six_folds_of_six() -> None:
    folds = Split(folds=6).assign(SUBJECTS)
    assert folds[0] == (tuple(SUBJECTS[12:]), tuple(SUBJECTS[6:12]), tuple(SUBJECTS[:6]))
    assert folds[5][1] == tuple(SUBJECTS[:6])
    assert folds[5][2] == tuple(SUBJECTS[30:])


@given(st.integers(2, 40), st.integers(2, 40), st.booleans())
def test_folds_partition_the_units(count: int, folds: int, validate: bool) -> None:
    names = [f"s{n}" for n in range(count)]
    if validate and folds < 3:
        with pytest.raises(Mismatch, match="at least 3"):
            Split(folds=folds)
        return
    split = Split(folds=folds, valid=None if validate else "none")
    if count < folds:
        with pytest.raises(InputError, match=f"asks for {folds} folds, but there are only {count} subjects"):
            split.assign(names)
        return
    found = split.assign(names)
    assert len(found) == split.parts == folds
    assert [name for _, _, test in found for name in test] == names
    sizes = {len(test) for _, _, test in found}
    assert max(sizes) - min(sizes) <= 1
    for train, valid, test in found:
        assert sorted((*train, *valid, *test)) == sorted(names)
        assert train and test and bool(valid) == validate


def test_leave_one_subject_out() -> None:
    assert [test for _, _, test in Split(folds=4, valid="none").assign(list("abcd"))] == [
        ("a",),
        ("b",),
        ("c",),
        ("d",),
    ]


def test_units_that_do_not_exist() -> None:
    with pytest.raises(InputError) as caught:
        Split(test=(5, 40, "x")).assign(["01", "05"])
    assert str(caught.value) == (
        "data.split.test asks for subject 40, x, which the store does not have. It has: 01, 05"
    )
    with pytest.raises(
        InputError, match=r"session evenin, which .*; did you mean 'evening'\? It has: morning, evening"
    ):
        Split(by="session", test=("evenin",)).assign(["morning", "evening"])
    with pytest.raises(InputError, match=r"7, 8, 9, 10, 11, 12, 13, 14, \.\.\. 24 \(18 in all\)"):
        Split(train=("7..24",), test=(6,)).assign(SUBJECTS[:6])


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(InputError, match="holds out every subject"):
        Split(test=("1..2",)).assign(["1", "2"])


@pytest.mark.parametrize(
    ("fields", "message", "path"),
    [
        ({}, "needs 'test'", ()),
        ({"valid": (1,)}, "needs 'test'", ()),
        ({"folds": 6, "train": (1,)}, "cannot stand beside folds", ("train",)),
        ({"folds": 6, "valid": (1,)}, "write valid: none for no validation", ("valid",)),
        ({"folds": 1, "valid": "none"}, "must be at least 2, got 1", ("folds",)),
        (
            {"test": (1, 2), "train": ("2..3",)},
            "subject 2 is in both train and test: its windows would leak",
            ("test", 1),
        ),
        ({"test": ("1..3", 3)}, "subject 3 is twice in test", ("test", 1)),
        ({"test": ("9..1",)}, "runs backwards; write 1..9", ("test", 0)),
        ({"test": ("1...3",)}, "is not a range", ("test", 0)),
        ({"test": ("0..9999999",)}, "holds 10000000 units", ("test", 0)),
        ({"test": (-1,)}, "numbered from 0 up, got -1", ("test", 0)),
        ({"test": (True,)}, "expected a whole number or text, got true", ("test",)),
    ],
)
def test_what_is_no_split(fields: dict[str, Any], message: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(Mismatch) as caught:
        Split(**fields)
    assert message in str(caught.value)
    assert caught.value.path[: len(path)] == path


def test_parts_that_a_dataset_made_itself() -> None:
    split = Split(by="subset", train=("train",), valid=("dev",), test=("test",))
    assert split.assign(["dev", "held_out", "test", "train"]) == [(("train",), ("dev",), ("test",))]
    with pytest.raises(InputError, match="asks for subset dev, which the store does not have"):
        split.assign(["test", "train"])


@pytest.mark.parametrize("fields", [{"test": ("test",)}, {"folds": 3}])
def test_what_no_part_was_meant_for_is_never_trained_on(fields: dict[str, object]) -> None:
    with pytest.raises(Mismatch, match="by subset needs 'train' and 'test'"):
        Split(by="subset", **fields)  # type: ignore[arg-type]
