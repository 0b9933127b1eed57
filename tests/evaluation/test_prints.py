"""Recordings are known again by what is in them: under another name, gain or number type, or from later on."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from make_recordings import ORIGIN, recording

from myoflow.evaluation.prints import Print, print_of, traces, twins
from myoflow.recording import Recording
from myoflow.store import Writer, open_store


def prints(folder: Path, *records: Recording) -> dict[str, Print]:
    with Writer(folder / "s.zarr", {"dataset": "toy"}, "made") as writer:
        for record in records:
            writer.add(record, ORIGIN)
    store = open_store(folder / "s.zarr")
    return {row.subject: print_of(store.path / row.id) for row in store.rows}


def volts(record: Recording) -> Recording:
    return attrs.evolve(record, emg=record.emg.astype(np.float32) * np.float32(3.7e-6) + np.float32(0.01))


def later(record: Recording) -> Recording:
    return attrs.evolve(record, emg=np.ascontiguousarray(record.emg[:, 4000:]))


@pytest.mark.parametrize("change", [lambda record: record, volts, later, lambda record: later(volts(record))])
def test_a_copy_is_known_and_another_recording_is_not(change, tmp_path: Path) -> None:
    one, copy, other = recording("01"), attrs.evolve(change(recording("01")), subject="02"), recording("03")
    found = prints(tmp_path, one, copy, other)
    learned = {"01": found["01"]}
    assert twins({"02": found["02"], "03": found["03"]}, learned) == [("02", "01")]
    assert not twins({"01": found["01"]}, learned), "itself is no twin"


def test_signals_that_say_nothing_are_nobody() -> None:
    time = np.arange(8192)
    hum = np.sin(2 * np.pi * 50 * time / 1000)[None]
    steps = np.repeat(np.arange(8192 // 64), 64)[None]
    assert not any(traces(emg) for emg in (np.zeros((2, 8192)), hum, np.round(100 * hum), steps, np.ones((2, 3))))
