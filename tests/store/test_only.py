"""Some recordings of a store, chosen by what they say of themselves; and every way to ask for none."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_emg_uka import make_emg_uka

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.store import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("uka")
    make_emg_uka(folder / "raw")
    return open_store(convert(load_card("emg_uka_trial"), folder / "raw", folder / "s.zarr").store)


def test_recordings_are_chosen_by_index_and_by_attribute(store) -> None:
    assert len(store) == 8
    some = store.only({"subject": (2,), "mode": ("silent", "audible")})
    assert [row.id[-4:] for row in some.rows] == ["0100", "0101", "0300", "0301"]
    assert {row.subject for row in some.rows} == {"002"} and some.digest != store.digest
    assert [row.id for row in some.only({"subset": ("test",)}).rows] == [some.rows[1].id, some.rows[3].id]
    assert store.only({}) is store and store.only({"session": ("001",)}) is store
    with pytest.raises(InputError, match="has no recording"):
        some.row("sub-008/ses-001/run-0000")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"mood": ("silent",)}, r"data\.only\.mood: no recording of .* says its mood"),
        (
            {"mode": ("silnt",)},
            r"data\.only\.mode: .* has silnt; did you mean 'silent'\? There is: audible, silent, wh",
        ),
        ({"subject": ("008",), "mode": ("silent",)}, r"data\.only\.mode: .* has silent\. There is: audible"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(store, wanted, says) -> None:
    with pytest.raises(InputError, match=says):
        store.only(wanted)
