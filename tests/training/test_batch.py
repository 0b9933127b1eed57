"""Batches: where a sample is that is no number, whatever kind of examples it is in."""

from __future__ import annotations

import numpy as np

from myoflow.errors import InputError, MyoflowError
from myoflow.store.masked import Masked
from myoflow.store.windows import Windows
from myoflow.training.batch import explained, not_finite


def windows(bad: float | None) -> Windows:
    signals = tuple(np.random.default_rng(0).normal(size=(2, 3, 400)).astype(np.float32))
    if bad is not None:
        signals[1][2, 250] = bad
    names = ("sub-1", "sub-2")
    return Windows(
        signals=signals, rate_hz=100.0, ids=names, subjects=("1", "2"), sessions=("", ""), subsets=("", ""), length=100,
        recording=np.repeat(np.arange(2, dtype=np.int32), 4), start=np.tile(np.arange(4) * 100, 2),
        label=np.zeros(8, np.int64), repetition=np.zeros(8, np.int16),
    )  # fmt: skip


def test_the_place_of_a_sample_that_is_no_number_is_named() -> None:
    for bad in (np.nan, np.inf):
        for examples in (windows(bad), Masked.of(windows(bad))):
            assert not_finite(examples, size=3) == "sub-2 (window at 2.000 s, sample 50, channel 3)"
    assert not_finite(windows(None)) is None


def test_an_error_is_explained_by_such_a_sample_or_stays_what_it_is() -> None:
    error = MyoflowError("training diverged")
    assert explained(error, windows(None)) is error
    found = explained(error, windows(np.nan))
    assert isinstance(found, InputError) and "sub-2 (window at 2.000 s, sample 50, channel 3) is not finite" in str(
        found
    )
