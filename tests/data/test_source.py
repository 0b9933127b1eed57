"""Source: a store that is there, is made from raw files that the recipe names, or is asked for."""

from pathlib import Path

import attrs
import pytest
from make_recordings import ORIGIN, recording
from make_uci import make_uci

from myoflow.data.prepare import input_spec
from myoflow.data.source import locate_store
from myoflow.errors import InputError
from myoflow.progress import Progress
from myoflow.recipe import Data, load
from myoflow.split import Split
from myoflow.store import Writer, open_store


def test_raw_files_that_a_recipe_names_are_converted_once(tmp_path: Path) -> None:
    make_uci(tmp_path / "raw", 2, span=40)
    changes = (f"data.store={tmp_path / 's.zarr'}", f"data.raw={tmp_path / 'raw'}")
    recipe = load("gestures_uci", changes)
    first = locate_store(recipe.data, Progress())
    assert len(first.rows) == 4
    again = locate_store(recipe.data, Progress())
    assert again.digest == first.digest
    assert recipe.digest == load("gestures_uci", changes[:1]).digest  # where files came from decides nothing


def test_without_either_the_command_and_the_key_are_told(tmp_path: Path) -> None:
    recipe = load("gestures_uci", (f"data.store={tmp_path / 's.zarr'}",))
    with pytest.raises(InputError, match=r"myoflow convert uci_emg RAW .*data\.raw=RAW"):
        locate_store(recipe.data, Progress())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"units": "counts"},
            "holds signals in V and counts: sub-02.* is in counts, sub-01.* in V",
        ),
        ({"rate_hz": 500.0}, "holds recordings at 500 Hz, 1000 Hz"),
        ({"channels": ("a", "b", "c")}, "sub-02/ses-01/run-1 has other channels than sub-01/ses-01/run-1"),
    ],
)
def test_recordings_of_two_kinds_are_no_one_input(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    with Writer(tmp_path / "s.zarr", {"dataset": "toy"}, "made") as writer:
        writer.add(recording("01"), ORIGIN)
        writer.add(attrs.evolve(recording("02"), **changes), ORIGIN)
    with pytest.raises(InputError, match=says):
        input_spec(open_store(tmp_path / "s.zarr"), Data("toy", Split(test=(2,))), ("rest", "fist"))
