"""spans: events from one label and one repetition number per sample, as MATLAB sets keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.recording import Events

Numbers = npt.NDArray[np.integer[Any]]


def spans(label: Numbers, repetition: Numbers, names: tuple[str, ...]) -> Events:
    """Events that cover every sample: runs of one label and one repetition. `label` indexes `names`."""
    change = (np.diff(label) != 0) | (np.diff(repetition) != 0)
    onset = np.concatenate(([0], np.flatnonzero(change) + 1)).astype(np.int64)
    length = np.diff(np.concatenate((onset, [len(label)]))).astype(np.int64)
    return Events(onset, length, label[onset].astype(np.int16), repetition[onset].astype(np.int16), names)


def rest_before(label: Numbers, repetition: Numbers) -> npt.NDArray[np.int16]:
    """Repetitions in which rest (label 0) without one gets that of the movement that follows.

    So a split by repetition has rest in every part. Rest after the last movement keeps 0.
    """
    out = repetition.astype(np.int16)
    where = np.flatnonzero(label > 0)
    bare = np.flatnonzero((label == 0) & (repetition == 0))
    following = np.searchsorted(where, bare)
    known = following < len(where)
    out[bare[known]] = repetition[where[following[known]]]
    return out
