"""What a report on speech draws."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("jiwer")

from myoflow.report.speech import _figure
from myoflow.speech.shown import Shown


def test_words_stand_above_the_emg_that_they_were_said_in():
    emg = np.random.default_rng(0).standard_normal((3, 700)).astype(np.float32)
    spans = ((0.2, 0.9, "one"), (0.9, 1.6, "two"))
    example = Shown("r", "silent", "one two", "one two", "", emg, 350.0, ("chin", "cheek", "throat"), spans)
    drawn = _figure(example)
    found = re.findall(r'<text [^>]* x="([-\d.]+)" y="([-\d.]+)"[^>]*>(\w+)</text>', drawn)
    place = {name: (float(x), float(y)) for x, y, name in found}
    assert place["one"][0] < place["two"][0]
    assert place["one"][1] == place["two"][1] < place["chin"][1] < place["throat"][1]  # y goes down
    assert not re.search(r"<g clip-path[^>]*>\s*<text [^>]*>(one|two)<", drawn)  # nothing cuts them off
