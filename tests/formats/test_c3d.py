"""c3d: integers and floats against a file made by hand; the real files against ezc3d."""

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


@pytest.mark.parametrize("floats", [False, True])
def test_values_of_a_file_made_by_hand(tmp_path, floats):
    signals = open_file(put(tmp_path, "a.c3d", make.c3d(floats)))
    assert signals.channels == ("EMG 1", "EMG 2") and signals.units == ("mV", "mV") and signals.rate_hz == 1000
    np.testing.assert_allclose(signals.physical(), (make.COUNTS - [[3], [0]]) * [[1.0], [0.5]])
    assert [(round(m.onset_s, 4), m.name) for m in signals.events] == [(0.1, "Left fist")]


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.c3d: byte \d+: 45 frames are promised, 4\d are there"):
        open_file(put(tmp_path, "a.c3d", make.c3d()[:-30]))
    vax = bytearray(make.c3d())
    vax[512 + 3] = 85
    with pytest.raises(InputError, match=r"DEC \(VAX\) floats"):
        open_file(put(tmp_path, "a.c3d", bytes(vax)))


@real
@pytest.mark.data
@pytest.mark.parametrize(("name", "shape", "rate"), [("BTS", (44, 6750), 1000), ("Vicon", (38, 11600), 2000)])
def test_the_real_files(tmp_path, name, shape, rate):
    ezc3d = pytest.importorskip("ezc3d")
    path = make.unpacked("c3d", tmp_path) / f"{name}.c3d"
    signals, other = open_file(path), ezc3d.c3d(str(path))
    assert signals.values.shape == shape and signals.rate_hz == rate
    assert list(signals.channels) == other["parameters"]["ANALOG"]["LABELS"]["value"]
    assert list(signals.units) == other["parameters"]["ANALOG"]["UNITS"]["value"]
    np.testing.assert_allclose(signals.physical(), other["data"]["analogs"][0], rtol=1e-6, atol=1e-9)
