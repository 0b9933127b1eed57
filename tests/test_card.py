"""Cards of datasets and of backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoflow import library
from myoflow.backend import Backend, engines, load_backend
from myoflow.card import load_card
from myoflow.engine import ENGINES
from myoflow.errors import InputError, RecipeError
from myoflow.split import Split, units_of

CARD = """\
title: A set
reader: uci_text
channels: [a, b]
rate: 2 kHz
labels: [none, fist, open]
unmarked: none
splits:
  paper: {by: session, test: [2]}
options: {anything: [1, 2]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", library.names("datasets"))
def test_shipped_cards_load(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.rate > 0 and (len(card.classes) >= 2 or card.streams), "something to learn"
    for split in card.splits.values():
        lists = [items for items in (split.train, split.valid, split.test) if isinstance(items, tuple)]
        named = [unit for items in lists for item in items for unit in units_of(item)]
        count = card.subjects or 0
        if split.by == "subject":  # no more than there are; sessions and repetitions the card does not count
            assert len(named) <= count
        assert split.assign([*named, "another"] if named else [f"{n:02d}" for n in range(1, count + 1)])


def test_a_card(folder: Path) -> None:
    Path("mine.yaml").write_text(CARD)
    card = load_card("mine.yaml")
    assert (card.name, card.rate, card.channels) == ("mine", 2000.0, ("a", "b"))
    assert card.classes == ("fist", "open")
    assert card.splits == {"paper": Split(by="session", test=(2,))}
    assert card.options == {"anything": [1, 2]}
    assert not card.simulated
    Path("mine.yaml").write_text(CARD.replace("uci_text", "simulated"))
    assert load_card("mine.yaml").simulated


def test_a_card_in_the_users_folder_is_found_by_name(folder: Path) -> None:
    Path("datasets").mkdir()
    Path("datasets/mine.yaml").write_text(CARD)
    assert load_card("mine").title == "A set"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title:", "titel:", "1:1: dataset mine has no field 'titel'; did you mean 'title'? Fields: name, title"),
        ("rate: 2 kHz", "rate: 2000", "4:7: dataset mine.rate: 2000 has no unit; write '2000 Hz'"),
        ("rate: 2 kHz", "rate: 0 Hz", "4:7: dataset mine.rate: must be above zero, got 0 Hz"),
        ("rate: 2 kHz", "rate: 2000000 kHz", "4:7: dataset mine.rate: 2e+09 Hz is no rate of EMG"),
        ("[a, b]", "[a, a]", "3:15: dataset mine.channels: names 'a' twice"),
        ("[a, b]", "[]", "3:11: dataset mine.channels: is empty"),
        (
            "unmarked: none",
            "unmarked: rest",
            "6:11: dataset mine.unmarked: 'rest' is not one of the labels: none, fist",
        ),
        ("test: [2]", "tests: [2]", "8:24: dataset mine.splits.paper has no field 'tests'; did you mean 'test'?"),
        ("reader: uci_text\n", "", "1:1: dataset mine needs 'reader' (text)"),
        (CARD, "", "1:1: the file is empty; see `myoflow list datasets` for examples"),
        (CARD, "- a\n", "1:1: expected fields, got a list"),
    ],
)
def test_broken_cards(old: str, new: str, expected: str, folder: Path) -> None:
    Path("mine.yaml").write_text(CARD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_card("mine.yaml")
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(f"mine.yaml:{expected}") or str(caught.value).startswith(
        f"{folder}/mine.yaml:{expected}"
    )


def test_no_such_card() -> None:
    with pytest.raises(InputError, match="there is no dataset 'uci_egm'; did you mean 'uci_emg'"):
        load_card("uci_egm")


def test_shipped_backends() -> None:
    assert {"host", "torch", "cuda"} <= set(library.names("backends"))
    for name in library.names("backends"):
        backend = load_backend(name)
        assert backend.name == name and backend.title and backend.description
        assert backend.engine in ENGINES
    assert load_backend("host") == Backend(
        name="host", engine="host", title="Host", description=load_backend("host").description
    )
    assert load_backend("cuda").device == "cuda"


def test_known_engines_are_the_registered_ones() -> None:
    assert engines() == list(ENGINES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "engine: tork\n",
            "1:9: there is no engine 'tork'; did you mean 'torch'? Engines: host, ",
        ),
        ("engine: host\ndevice: gpu\n", "2:9: backend mine.device: 'gpu' is not one of: cpu, cuda"),
        ("device: cpu\n", "1:1: backend mine needs 'engine' (text)"),
    ],
)
def test_broken_backends(text: str, expected: str, folder: Path) -> None:
    Path("mine.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_backend("mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml:{expected}")


def test_an_edited_card_is_read_anew(folder: Path) -> None:
    import os

    path = Path("mine.yaml")
    path.write_text(CARD)
    assert load_card("mine.yaml").title == "A set"
    path.write_text(CARD.replace("A set", "Another"))
    os.utime(path, ns=(1, 1))
    assert load_card("mine.yaml").title == "Another"
