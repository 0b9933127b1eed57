"""to_mne: values, types and annotations, as MNE itself tells them."""

from __future__ import annotations

import sys

import make_recordings as make
import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.store import open_store
from myoflow.store.write import Writer


@pytest.fixture
def store(tmp_path):
    with Writer(tmp_path / "s.zarr", {"dataset": "toy", "labels": list(make.NAMES)}, "d") as writer:
        writer.add(make.recording(), make.ORIGIN)
        writer.add(make.recording("02", units="mV"), make.ORIGIN)
        writer.add(make.recording("03", units="counts"), make.ORIGIN)
    return open_store(tmp_path / "s.zarr")


def test_the_recording_in_mne(store):
    pytest.importorskip("mne")
    rec, raw = make.recording(), store.to_mne("sub-01/ses-01/run-1")
    assert raw.ch_names == list(rec.channels) and raw.info["sfreq"] == 1000 and raw.info["line_freq"] == 50
    assert set(raw.get_channel_types()) == {"emg"}
    np.testing.assert_allclose(raw.get_data(), rec.emg * rec.gain[:, None].astype(float), rtol=1e-12)
    assert raw.annotations.onset.tolist() == [2.0, 10.0] and raw.annotations.duration.tolist() == [4.0, 5.0]
    assert raw.annotations.description.tolist() == ["rest", "fist"]


def test_other_units(store):
    pytest.importorskip("mne")
    rec, raw = make.recording("02"), store.to_mne("sub-02/ses-01/run-1")
    np.testing.assert_allclose(raw.get_data(units="mV"), rec.emg * rec.gain[:, None].astype(float), rtol=1e-9)
    assert set(store.to_mne("sub-03/ses-01/run-1").get_channel_types()) == {"misc"}


def test_without_mne(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(InputError, match=r"pip install 'myoflow\[mne\]'"):
        store.to_mne("sub-01/ses-01/run-1")
