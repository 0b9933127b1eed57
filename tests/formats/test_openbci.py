"""openbci: the GUI's text, lost packets, markers, the real recording against numpy."""

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


def test_values_markers_and_lost_packets(tmp_path):
    signals = open_file(put(tmp_path, "a.txt", make.openbci()))
    assert (
        signals.channels == ("EXG Channel 0", "EXG Channel 1")
        and signals.rate_hz == 250
        and signals.units == ("uV", "uV")
    )
    assert signals.samples == 179
    kept = np.delete(np.abs(make.COUNTS), 100, axis=1)
    np.testing.assert_array_equal(signals.values, kept + np.array([[0.5], [0.25]]))
    assert [(m.onset_s, m.name) for m in signals.events] == [(20 / 250, "3")]
    assert signals.notes == ("1 samples were lost on the radio link, by the board's own count",)
    assert signals.streams["accel"].units == ("g",)


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.txt:8: field 2 is 'nope'"):
        open_file(put(tmp_path, "a.txt", make.openbci().replace(b"2, 126.5", b"2, nope")))
    with pytest.raises(InputError, match="no '%OpenBCI'"):
        open_file(put(tmp_path, "a.txt", b"1,2\n"), "openbci")


@real
@pytest.mark.data
def test_the_real_recording(tmp_path):
    path = next(make.unpacked("openbci", tmp_path).glob("*.txt"))
    signals = open_file(path)
    rows = np.genfromtxt(path, delimiter=",", skip_header=5, usecols=range(1, 9))
    assert signals.values.shape == (8, 22490) and signals.rate_hz == 250 and len(rows) == 22490
    np.testing.assert_allclose(signals.values.T, rows, rtol=1e-6)
