"""otb: OTB+ and OTB4 archives made by hand, and the real .mat export."""

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


def test_otb_plus(tmp_path):
    signals = open_file(put(tmp_path, "a.otb+", make.otb_plus()))
    assert signals.channels == ("AD1 1", "AD1 2") and signals.rate_hz == 2048 and signals.units == ("V", "V")
    np.testing.assert_allclose(signals.physical(), make.COUNTS * 3.3 / 65536 / 200)


def test_otb4(tmp_path):
    signals = open_file(put(tmp_path, "a.otb4", make.otb4()))
    assert signals.channels == ("EMG 1", "EMG 2") and signals.rate_hz == 2000
    np.testing.assert_allclose(signals.physical(), make.COUNTS * 4.8 / 65536 / 150)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'ad_bits="16"', b'ad_bits="24"', "samples of 24 bits are not read in OTB"),
        (b'Index="1"', b'Index="7"', "adapter AD1 goes beyond channel 2"),
        (b'Channels="2"', b'Channels="7"', r"x\.sig: byte 720: ends inside a sample of 7 channels"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, old, new, error):
    with pytest.raises(InputError, match=error):
        open_file(put(tmp_path, "a.otb+", make.otb_plus().replace(old, new)))


@real
@pytest.mark.data
def test_the_real_export(tmp_path):
    from scipy.io import loadmat

    path = make.unpacked("otb_mat", tmp_path) / "OTBsolorefsig.mat"
    signals = open_file(path)
    assert signals.channels == ("acquired data", "performed path") and signals.rate_hz == 2048
    assert signals.units == ("%(MVC)", "%(MVC)") and signals.samples == 67584
    np.testing.assert_array_equal(signals.values.T, loadmat(path)["Data"][0, 0])
