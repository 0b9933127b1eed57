"""Units: spellings that mean one unit, and words that are none."""

from __future__ import annotations

import pytest

from myoflow.units import known, spelt


@pytest.mark.parametrize(
    ("text", "unit"),
    [("uV", "uV"), ("µV", "uV"), ("μV", "uV"), ("microvolts", "uV"), ("counts", "counts"), ("mV ", "mV")],
)
def test_spellings_of_a_unit(text, unit):
    assert known(text) == unit


@pytest.mark.parametrize(("text", "told"), [("furlong", r"Known: V, mV, uV"), ("uv", "did you mean 'uV'"), ("", "")])
def test_other_words_are_refused_with_those_that_are_known(text, told):
    with pytest.raises(ValueError, match=f"there is no unit '{text}'.*{told}.*counts"):
        known(text)


def test_what_a_file_says_may_be_anything():
    assert spelt("microsiemen") == "microsiemen"
