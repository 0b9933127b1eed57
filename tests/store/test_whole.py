"""Whole recordings as examples: rows chosen, and where they come from."""

from typing import ClassVar

import numpy as np
from attrs import frozen

from myoflow.store.whole import Whole


@frozen(eq=False)
class Notes(Whole):
    per_row: ClassVar[tuple[str, ...]] = ("ids", "subjects", "sessions", "subsets", "notes")

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    subsets: tuple[str, ...]
    notes: tuple[int, ...]
    scale: float = 2.0


def test_rows_are_chosen_by_mask_or_place_and_keep_what_belongs_to_them() -> None:
    made = Notes(("a", "b", "c"), ("1", "1", "2"), ("x", "y", "x"), ("train", "dev", "test"), (7, 8, 9), 3.0)
    some = made.select(np.array([True, False, True]))
    assert some.ids == ("a", "c") and some.notes == (7, 9) and some.scale == 3.0 and len(some) == 2
    assert made.select(np.array([2, 0])).subsets == ("test", "train")
    assert some.recording.tolist() == [0, 1]
    assert made.units("subject").tolist() == ["1", "1", "2"] and made.units("repetition").tolist() == ["1"] * 3
    places = made.places()
    assert places["recording"].tolist() == ["a", "b", "c"] and places["start_s"].tolist() == [0, 0, 0]
