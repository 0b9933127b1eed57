"""Regular: an uneven clock put on an even grid, and unlabelled samples dropped. Pure functions on recordings."""

from __future__ import annotations

from fractions import Fraction

import attrs
import numpy as np

from myoflow.errors import InputError
from myoflow.recording import Events, Recording


def regularise(recording: Recording, rate_hz: float) -> Recording:
    """Put a recording with uneven time stamps on a grid of `rate_hz` by sample and hold.

    Grid time k is `first time stamp + k / rate_hz`, up to the last time stamp. The value there is the row with the
    last time stamp not after it, and so is the label: an event covers the grid times that hold one of its rows.
    Events that hold none are dropped. Time stamps are whole milliseconds, so this is exact for any rate.
    Streams keep their own rate. A recording without time stamps has an even clock already and comes back as it is.

    Raises:
        InputError: a rate that is not above zero, or an even recording of another rate (use the resample stage).
    """
    if not rate_hz > 0:
        raise InputError(f"a rate must be above zero, got {rate_hz}")
    clock = recording.timestamp_ms
    if clock is None:
        if recording.rate_hz != rate_hz:
            raise InputError(
                f"{recording.id} has an even clock of {recording.rate_hz:g} Hz; "
                f"`regularise` only holds uneven ones: use the resample stage to reach {rate_hz:g} Hz"
            )
        return recording
    held = _held(clock.astype(np.int64), rate_hz)
    events = recording.events
    onset = np.searchsorted(held, events.onset)
    end = np.searchsorted(held, events.onset + events.length)
    keep = end > onset
    return attrs.evolve(
        recording,
        emg=np.ascontiguousarray(recording.emg[:, held]),
        rate_hz=float(rate_hz),
        timestamp_ms=None,
        events=Events(
            onset=onset[keep].astype(np.int64),
            length=(end - onset)[keep].astype(np.int64),
            label=events.label[keep],
            repetition=events.repetition[keep],
            names=events.names,
        ),
        attrs={**recording.attrs, "SamplingFrequency": float(rate_hz), "RecordingDuration": len(held) / rate_hz},
        repairs=(*recording.repairs, f"put on an even grid of {rate_hz:g} Hz by holding the last row"),
    )


def _held(
    clock: np.ndarray[tuple[int], np.dtype[np.int64]], rate_hz: float
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Row held at each grid time: the last with `clock <= first + k * 1000 / rate`."""
    if not len(clock):
        return np.zeros(0, np.intp)
    since = clock - clock[0]
    rate = Fraction(rate_hz).limit_denominator(1_000_000)
    count = int(since[-1]) * rate.numerator // (1000 * rate.denominator) + 1
    # time stamps are whole ms, so comparing with the floor of a grid time is comparing with the grid time
    grid = np.arange(count, dtype=np.int64) * (1000 * rate.denominator) // rate.numerator
    return np.searchsorted(since, grid, side="right") - 1


def splice(recording: Recording) -> Recording:
    """Drop every sample outside all events and move the events up; time stamps stay with their samples.

    Signals that were apart become neighbours, so a filter behind this rings at every joint: only for published
    protocols that did so.

    Raises:
        InputError: the recording has other streams, which would lose their alignment.
    """
    if recording.streams:
        raise InputError(
            f"{recording.id} has other streams ({', '.join(recording.streams)}); `splice` would unalign them"
        )
    events = recording.events
    count = recording.emg.shape[1]
    step = np.zeros(count + 1, np.int64)
    np.add.at(step, events.onset, 1)
    np.add.at(step, events.onset + events.length, -1)
    inside = np.cumsum(step[:-1]) > 0
    before = np.concatenate(([0], np.cumsum(inside)))
    clock = recording.timestamp_ms
    kept = int(before[-1])
    dropped = count - kept
    return attrs.evolve(
        recording,
        emg=np.ascontiguousarray(recording.emg[:, inside]),
        timestamp_ms=None if clock is None else clock[inside],
        events=attrs.evolve(events, onset=before[events.onset].astype(np.int64)),
        attrs={**recording.attrs, "RecordingType": "discontinuous"},
        repairs=(*recording.repairs, f"{dropped} unlabelled samples dropped, their neighbours joined"),
    )
