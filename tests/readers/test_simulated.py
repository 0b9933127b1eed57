"""simulated: the simulator behind the reader's contract."""

import pickle

import attrs
import numpy as np
import pytest

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS
from myoflow.simulate.gestures import Gestures, simulate


def small(**changes):
    card = load_card("simulated_gestures")
    options = {**card.options, "subjects": 2, "repetitions": 1, **changes.pop("options", {})}
    return attrs.evolve(card, subjects=2, options=options, **changes)


def test_items_are_the_simulators_recordings():
    card = small(options={"sessions": 2})
    found = list(READERS["simulated"](card).recordings(None))
    assert [item.id for item in found] == [f"sub-{s:02d}/ses-{e:02d}/run-1" for s in (1, 2) for e in (1, 2)]
    rec = pickle.loads(pickle.dumps(found[1].load()))()
    settings = Gestures(**card.options)
    np.testing.assert_array_equal(rec.emg, simulate(settings, 1, 2).emg)
    assert rec.channels == card.channels
    assert rec.events.names == card.labels
    assert rec.attrs["PowerLineFrequency"] == 50.0
    assert rec.attrs["RecordingType"] == "continuous"


def test_only_the_subjects_asked_for():
    found = READERS["simulated"](small()).recordings(None, lambda subject: subject == "02")
    assert [item.id for item in found] == ["sub-02/ses-01/run-1", "sub-02/ses-02/run-1"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"options": {"subjects": 3}}, "dataset simulated_gestures: subjects is 2, but its options simulate 3"),
        ({"rate": 1000.0}, "rate is 1000.0, but its options simulate 500.0"),
        ({"labels": ("a", "b")}, "labels is"),
        ({"options": {"sessionz": 3}}, r"reader simulated has no option 'sessionz'; did you mean 'sessions'\?"),
        ({"options": {"rate_hz": 500}}, r"options\.rate_hz: 500 has no unit"),
        ({"options": {"effort": [0.2, "x"]}}, r"options\.effort\.1: "),
    ],
)
def test_a_card_that_contradicts_its_options_is_refused(changes, says):
    with pytest.raises(InputError, match=says):
        READERS["simulated"](small(**changes))


def test_channels_must_be_the_simulators():
    card = small(channels=("a", "b"))
    item = next(iter(READERS["simulated"](card).recordings(None)))
    with pytest.raises(InputError, match="its channels should be E1, E2"):
        item.read()
