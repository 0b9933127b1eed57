"""Recording: one continuous piece of raw data with its events, as readers give it and the store keeps it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import Factory, frozen

IntArray = npt.NDArray[np.integer[Any]]


@frozen(eq=False)
class Events:
    """Labelled spans of a recording. `onset` and `length` count samples of its EMG, `label` indexes `names`."""

    onset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    label: npt.NDArray[np.int16]
    repetition: npt.NDArray[np.int16]
    names: tuple[str, ...]


@frozen(eq=False)
class Stream:
    """Another signal recorded beside the EMG, `(channel, time)`, at its own rate, starting with the EMG."""

    values: npt.NDArray[Any]
    rate_hz: float
    units: str
    channels: tuple[str, ...]


@frozen(eq=False)
class Recording:
    """Raw EMG `(channel, time)` in the recorder's integers; volts are `emg * gain[:, None]`.

    `subject`, `session` and `run` are BIDS labels without their prefix ("01"). `timestamp_ms`, where a recorder
    kept an uneven clock, is one time in ms per sample, starting anywhere, never falling. `sources` are
    (file name, SHA-256) pairs; `repairs` says in words what the reader dropped or mended. `attrs` uses BIDS-EMG names.
    """

    subject: str
    session: str
    run: str
    emg: IntArray
    gain: npt.NDArray[np.float32]
    rate_hz: float
    channels: tuple[str, ...]
    events: Events
    units: str = "V"
    timestamp_ms: npt.NDArray[np.int32] | None = None
    streams: dict[str, Stream] = Factory(dict)
    attrs: dict[str, Any] = Factory(dict)
    sources: tuple[tuple[str, str], ...] = ()
    repairs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`sub-01/ses-01/run-1`: its path in the store."""
        return f"sub-{self.subject}/ses-{self.session}/run-{self.run}"
