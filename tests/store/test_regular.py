"""Regular: against a loop that does what the docstring says, one sample at a time."""

from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_recordings import events, full, recording

from myoflow.errors import InputError
from myoflow.store.regular import regularise, splice


@st.composite
def clocked(draw):
    """A recording with a clock that may stand still or jump, and disjoint events."""
    steps = draw(st.lists(st.integers(0, 30), min_size=0, max_size=60))
    clock = draw(st.integers(-50, 50)) + np.cumsum([0, *steps])
    count = len(clock)
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=8, unique=True)))
    spans = [(a, b - a, 1 + i % 2, i) for i, (a, b) in enumerate(zip(cuts[::2], cuts[1::2], strict=False))]
    emg = np.arange(3 * count).reshape(3, count).astype(np.int16)
    return recording(emg=emg, timestamp_ms=clock.astype(np.int32), events=events(*spans))


def rows_of(made):
    """Event number of every sample, -1 outside."""
    mark = np.full(made.emg.shape[1], -1)
    for i, (onset, length) in enumerate(zip(made.events.onset, made.events.length, strict=True)):
        mark[onset : onset + length] = i
    return mark


@settings(max_examples=200)
@given(clocked(), st.sampled_from([1.0, 7.0, 100.0, 200.0, 333.25, 1000.0, 2000.0]))
def test_regularise_against_a_loop(made, rate):
    held = []
    k = 0
    while True:
        t = int(made.timestamp_ms[0]) + Fraction(k * 1000) / Fraction(rate)
        if t > int(made.timestamp_ms[-1]):
            break
        held.append(max(i for i, stamp in enumerate(made.timestamp_ms) if int(stamp) <= t))
        k += 1
    out = regularise(made, rate)
    np.testing.assert_array_equal(out.emg, made.emg[:, held])
    mark = rows_of(made)[held]
    kept = [i for i in range(len(made.events.onset)) if i in mark]
    np.testing.assert_array_equal(out.events.onset, [np.flatnonzero(mark == i)[0] for i in kept])
    np.testing.assert_array_equal(out.events.length, [np.count_nonzero(mark == i) for i in kept])
    np.testing.assert_array_equal(out.events.label, made.events.label[kept])
    np.testing.assert_array_equal(out.events.repetition, made.events.repetition[kept])
    assert out.timestamp_ms is None
    assert out.rate_hz == rate


@settings(max_examples=200)
@given(clocked())
def test_splice_against_a_loop(made):
    mark = rows_of(made)
    kept = [i for i in range(len(mark)) if mark[i] >= 0]
    out = splice(made)
    np.testing.assert_array_equal(out.emg, made.emg[:, kept])
    np.testing.assert_array_equal(out.timestamp_ms, made.timestamp_ms[kept])
    np.testing.assert_array_equal(rows_of(out), mark[kept])
    np.testing.assert_array_equal(out.events.label, made.events.label)
    assert out.repairs[-1] == f"{len(mark) - len(kept)} unlabelled samples dropped, their neighbours joined"


def test_splice_keeps_overlapping_events_in_place():
    made = recording(emg=np.arange(30).reshape(3, 10).astype(np.int16), events=events((2, 4, 1, 1), (4, 4, 2, 1)))
    out = splice(made)
    assert out.emg[0].tolist() == [2, 3, 4, 5, 6, 7]
    assert out.events.onset.tolist() == [0, 2]
    assert out.events.length.tolist() == [4, 4]
    assert out.attrs["RecordingType"] == "discontinuous"


def test_an_even_recording_is_left_alone_or_refused():
    made = recording()
    assert regularise(made, 1000.0) is made
    with pytest.raises(InputError, match=r"even clock of 1000 Hz; .* use the resample stage to reach 200 Hz"):
        regularise(made, 200.0)
    with pytest.raises(InputError, match="above zero"):
        regularise(full(), 0.0)


def test_what_was_done_is_told():
    out = regularise(full(), 500.0)
    assert out.repairs == ("line 3 mended", "put on an even grid of 500 Hz by holding the last row")
    assert out.attrs["SamplingFrequency"] == 500.0
    assert out.streams["glove"].rate_hz == 25.0


def test_no_samples_at_all():
    empty = recording(emg=np.zeros((3, 0), np.int16), events=events(), timestamp_ms=np.zeros(0, np.int32))
    assert regularise(empty, 100.0).emg.shape == (3, 0)
    assert splice(empty).emg.shape == (3, 0)


def test_splice_will_not_unalign_streams():
    with pytest.raises(InputError, match=r"other streams \(glove\)"):
        splice(full())


def test_neither_changes_what_it_was_given():
    made = attrs.evolve(full(), streams={})
    before = [made.emg.copy(), made.timestamp_ms.copy(), made.events.onset.copy()]
    regularise(made, 250.0)
    splice(made)
    for was, now in zip(before, [made.emg, made.timestamp_ms, made.events.onset], strict=True):
        np.testing.assert_array_equal(was, now)
