"""Source: a store that is there, is made from raw files that the recipe names, or is asked for."""

from pathlib import Path

import pytest
from make_uci import make_uci

from myoflow.data.source import locate_store
from myoflow.errors import InputError
from myoflow.progress import Progress
from myoflow.recipe import load


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
