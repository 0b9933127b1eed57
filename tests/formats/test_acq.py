"""acq: the real AcqKnowledge file, against values in the file itself."""

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


pytest.importorskip("bioread")


@real
@pytest.mark.data
def test_the_real_file(tmp_path):
    path = make.unpacked("acq", tmp_path) / "r42_test.acq"
    signals = open_file(path)
    assert signals.channels[1] == "EMG (30 - 500 Hz)" and signals.units[:3] == ("mV", "mV", "microsiemen")
    assert signals.values.shape == (4, 7901) and signals.rate_hz == 1000 and signals.values.dtype == np.int16
    first = np.array([[1490, 1481], [-152, -26], [-611, -611], [11648, 11648]])
    np.testing.assert_array_equal(signals.values[:, :2], first)
    interleaved = first.T.astype("<i2").tobytes()
    assert interleaved in path.read_bytes()  # so the counts stand in the file
    np.testing.assert_allclose(signals.physical()[1, 0], -0.0231933, rtol=1e-4)


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.acq: is not a BIOPAC AcqKnowledge file: it has 3 bytes"):
        open_file(put(tmp_path, "a.acq", b"abc"))
