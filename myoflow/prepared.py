"""Prepared: one recording after the signal stages, as tasks make their examples of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from attrs import frozen

if TYPE_CHECKING:
    import numpy as np

    from myoflow.recording import Recording

Array = npt.NDArray[Any]


@frozen(eq=False)
class Prepared:
    """One recording after the signal stages, with its events in samples of that signal.

    `target` `(channel, time)` is the stream to learn at the rate that the Spec's target says, NaN where unknown.
    """

    id: str
    subject: str
    session: str
    subset: str
    values: Array
    onset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    repetition: npt.NDArray[np.int16]
    target: Array | None = None
    raw: Callable[[], Recording] | None = None  # the recording as stored, with its other streams and what is told of it
    dataset: str = ""
