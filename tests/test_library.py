"""The three libraries: what is found by name, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoflow import library
from myoflow.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shipped_files_are_found_from_anywhere(folder: Path) -> None:
    assert library.find("recipes", "quickstart") == library.root() / "recipes" / "quickstart.yaml"
    assert {"quickstart", "gestures_uci", "gestures_uci_folds", "gestures_uci_published"} <= set(
        library.names("recipes")
    )


def test_the_users_files_win_and_add(folder: Path) -> None:
    Path("datasets").mkdir()
    Path("datasets/mine.yaml").write_text("")
    Path("datasets/uci_emg.yaml").write_text("")
    assert library.find("datasets", "uci_emg").resolve() == folder / "datasets" / "uci_emg.yaml"
    assert {"mine", "uci_emg", "simulated_gestures"} <= set(library.names("datasets"))


def test_a_path_wins_over_a_name(folder: Path) -> None:
    Path("quickstart.yaml").write_text("")
    assert library.find("recipes", "quickstart.yaml") == Path("quickstart.yaml")
    assert library.find("recipes", "quickstart") == library.root() / "recipes" / "quickstart.yaml"


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"there is no backend 'dsp56'; `myoflow list backends` shows them"):
        library.find("backends", "dsp56")
    with pytest.raises(InputError, match=r"there is no recipe 'quick'; did you mean 'quickstart'\? `myoflow list"):
        library.find("recipes", "quick")


@pytest.mark.parametrize(
    "name", ["quickstart.yml", "quickstart.yaml", "recipes/quickstart.yaml", "else/quickstart.yaml"]
)
def test_a_path_that_is_not_there_is_not_taken_for_a_name(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"there is no file {name}; the recipe of that name is called 'quickstart'"):
        library.find("recipes", name)


def test_a_path_is_no_name(folder: Path) -> None:
    Path("mine").mkdir()
    Path("mine/gestures.txt").write_text("")
    with pytest.raises(InputError, match=r"there is no file mine/gestures\.yaml$"):
        library.find("recipes", "mine/gestures.yaml")
    with pytest.raises(InputError, match=r"mine/gestures\.txt: a recipe's file ends in \.yaml"):
        library.find("recipes", "mine/gestures.txt")
    with pytest.raises(InputError, match=r"there is no file \.\./recipes/quickstart"):
        library.find("recipes", "../recipes/quickstart")


@pytest.mark.parametrize("shelf", ["recipes", "datasets"])
def test_every_shipped_file_says_what_it_is_in_its_first_line(shelf: library.Shelf) -> None:
    for name in library.names(shelf):
        first = library.find(shelf, name).read_text().splitlines()[0]
        assert first.startswith("# ")
        assert library.headline(library.find(shelf, name)) == first[2:].rstrip()
