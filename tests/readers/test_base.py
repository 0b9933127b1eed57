"""Base: the readers' registry and what they share."""

import attrs
import pytest

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, Reader
from myoflow.readers.base import bids_attributes, listed


def test_every_card_names_a_reader_that_takes_its_options():
    from myoflow import library

    for name in library.names("datasets"):
        card = load_card(name)
        assert READERS[card.reader](card).card is card


def test_an_unknown_reader_is_named_with_a_guess():
    with pytest.raises(InputError, match=r"there is no reader 'uci_txt'; did you mean 'uci_text'\?"):
        READERS["uci_txt"]


def test_a_reader_must_say_what_it_reads():
    class Empty(Reader):
        from myoflow.readers.uci_text import Options

    with pytest.raises(TypeError, match="Empty does not define recordings"):
        Empty(attrs.evolve(load_card("uci_emg"), options={})).recordings(None)


def test_bids_attributes_of_a_card():
    card = load_card("uci_emg")
    known = bids_attributes(card)
    assert known["PowerLineFrequency"] == 50.0
    assert known["EMGPlacementSchemeDescription"] == card.placement
    assert bids_attributes(attrs.evolve(card, placement="", power_line=None)) == {"RecordingType": "continuous"}


def test_lists_are_short():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(9)], 2) == "0, 1, ... (9 in all)"
