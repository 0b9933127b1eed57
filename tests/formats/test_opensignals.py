"""opensignals: text of PLUX and BIOSPPy, HDF5; the real files against numpy and h5py."""

from __future__ import annotations

import make_formats as make
import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.formats import open_file

real = pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data")


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def test_text_of_a_bitalino(tmp_path):
    signals = open_file(put(tmp_path, "a.txt", make.opensignals()))
    assert signals.channels == ("EMG A1",) and signals.rate_hz == 1000 and signals.attrs == {"resolution_bits": [10]}
    np.testing.assert_array_equal(signals.values[0], make.COUNTS[0] + 512)
    assert signals.streams["other"].channels == ("nSeq", "I1")


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.txt:2: the header's JSON cannot be read"):
        open_file(put(tmp_path, "a.txt", make.opensignals().replace(b'"sensor"', b"sensor")))
    with pytest.raises(InputError, match=r"a\.txt:4: has 2 fields, the header names 3 columns"):
        open_file(put(tmp_path, "a.txt", make.opensignals().replace(b"\t0\t", b"\t")))
    with pytest.raises(InputError, match="gives no sampling rate"):
        open_file(put(tmp_path, "a.txt", b"# Simple Text Format\n1\n2\n"))


@real
@pytest.mark.data
def test_the_real_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    folder = make.unpacked("opensignals", tmp_path)
    simple = open_file(folder / "biosppy_emg.txt")
    assert simple.channels == ("EMG",) and simple.rate_hz == 1000 and simple.samples == 100000
    np.testing.assert_array_equal(simple.values[0], np.loadtxt(folder / "biosppy_emg.txt"))
    packed = open_file(folder / "emg_bursts.h5")
    assert packed.channels == ("EMG channel_3",) and packed.rate_hz == 1000
    with h5py.File(folder / "emg_bursts.h5") as file:
        raw = file["00:07:80:3B:46:61/raw/channel_3"][:, 0]
    np.testing.assert_array_equal(packed.values[0], raw)
    assert packed.samples == 28519
