"""Every file of ../shared/data/formats goes into a store, or is refused with a line that says why."""

from __future__ import annotations

import make_formats as make
import numpy as np
import pytest

from myoflow.data.source import convert_file
from myoflow.errors import InputError
from myoflow.formats import open_file
from myoflow.readers.single import card_of_file
from myoflow.store import open_store

# archive -> file: channels of its first block, samples, rate (None: the file does not say)
OPENS = {
    "acq": {"r42_test.acq": (4, 7901, 1000)},
    "bdf": {"test_bdf_stim_channel.bdf": (4, 5000, 500)},
    "brainvision": {"test_NO.vhdr": (65, 2238, 5000)},
    "c3d": {"BTS.c3d": (44, 6750, 1000), "Vicon.c3d": (38, 11600, 2000)},
    "csv_facial": {"emgflow_sample_data_01.csv": (2, 20000, 2000)},
    "delsys": {
        "trigno_discover_python_export.csv": (1, 73736, 1925.926),
        "truncated_trigno_sample.csv": (2, 2519, 1259.259),
    },
    "edf_bids": {
        "sub-01_task-jumping_recording-highDensity_emg.edf": (128, 1000, 2000),
        "sub-01_task-jumping_recording-bipolar_emg.edf": (1, 1000, 2000),
        "sub-01_task-talking_emg.edf": (6, 2000, 2000),
        "sub-01_task-typing_emg.edf": (32, 1000, 2000),
    },
    "emg2pose_hdf5": {"test_data.hdf5": (16, 100, 2000)},
    "emg_angles": {"emg-0.csv": (1, 87400, None), "Hand_angles_record_1.csv": (3, 443, None)},
    "openbci": {"OpenBCI_GUI-v6-blinks-jawClench-alpha.txt": (8, 22490, 250)},
    "opensignals": {"biosppy_emg.txt": (1, 100000, 1000), "emg_bursts.h5": (1, 28519, 1000)},
    "otb_mat": {"OTBsolorefsig.mat": (2, 67584, 2048)},
    "rhd": {"sampledata_v1.5.rhd": (32, 40320, 20000)},
    "wfdb_emgdb": {"emg_healthy.hea": (1, 50860, 4000), "emg_myopathy.hea": (1, 110337, 4000)},
    "xdf": {"minimal.xdf": (3, 9, 10), "ollie_2ch000_26May22.xdf": (8, 76350, 250)},
}
REFUSED = {"gaddy_info_json": "no format reads '.json' files"}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data"),
]


def test_no_archive_is_forgotten():
    there = {path.name.removesuffix(".tar.xz") for path in make.ARCHIVES.glob("*.tar.xz")}
    assert there == set(OPENS) | set(REFUSED)


@pytest.mark.parametrize("archive", OPENS)
def test_into_a_store(archive, tmp_path):
    folder = make.unpacked(archive, tmp_path)
    for name, (channels, samples, rate) in OPENS[archive].items():
        path = next(folder.rglob(name))
        signals = open_file(path)
        assert (len(signals.channels), signals.samples, signals.rate_hz) == (channels, samples, rate)
        given = None if rate else "2500"
        store = tmp_path / f"{name}.zarr"
        summary = convert_file(path, store, rate=given, hold=True)
        assert (summary.written, summary.samples) == (1, samples)
        card = card_of_file(path, rate=given)
        rows = [signals.channels.index(channel) for channel in card.channels]
        factor = {"uV": 1e-6, "mV": 1e-3}.get(signals.units[rows[0]], 1.0)
        kept = open_store(store).emg("sub-01/ses-01/run-1")
        expected = signals.physical()[rows] * factor
        whole = np.isfinite(expected)
        np.testing.assert_allclose(kept.values[whole], expected[whole], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("archive", REFUSED)
def test_refused(archive, tmp_path):
    for path in make.unpacked(archive, tmp_path).rglob("*_info.json"):
        with pytest.raises(InputError, match=REFUSED[archive]):
            open_file(path)
