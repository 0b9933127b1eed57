"""brainvision: orientations, types, markers, renamed triples, the real NeurOne export."""

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


def triple(folder, files):
    for name, data in files.items():
        put(folder, name, data)
    return folder / next(iter(files))


@pytest.mark.parametrize("kind", ["INT_16", "INT_32", "IEEE_FLOAT_32"])
@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
def test_values_names_units_and_markers(tmp_path, kind, orientation):
    signals = open_file(triple(tmp_path, make.brainvision(kind, orientation)))
    assert signals.channels == ("EMG, left", "EMG right") and signals.units == ("uV", "mV") and signals.rate_hz == 1000
    np.testing.assert_allclose(signals.physical(), make.COUNTS * np.array([[0.5], [2]]))
    assert [(m.onset_s, m.length_s, m.name) for m in signals.events] == [(0.01, 0, "S  1"), (0.05, 0.02, "fist")]


def test_a_renamed_triple_still_goes_together(tmp_path):
    files = {name.replace("a.", "b."): data for name, data in make.brainvision().items()}
    assert len(open_file(triple(tmp_path, files)).events) == 2


def test_what_is_wrong_is_told(tmp_path):
    path = triple(tmp_path, make.brainvision())
    put(tmp_path, "a.eeg", make.brainvision()["a.eeg"][:-3])
    with pytest.raises(InputError, match=r"a\.eeg: byte 717: ends inside a sample of 2 channels"):
        open_file(path)
    (tmp_path / "a.eeg").unlink()
    with pytest.raises(InputError, match=r"a\.vhdr: its samples \(a\.eeg\) are not beside it"):
        open_file(path)
    put(tmp_path, "a.vhdr", make.brainvision()["a.vhdr"].replace(b"=BINARY", b"=ASCII"))
    with pytest.raises(InputError, match="samples are in text"):
        open_file(path)


@real
@pytest.mark.data
def test_the_real_export(tmp_path):
    folder = make.unpacked("brainvision", tmp_path)
    signals = open_file(folder / "test_NO.vhdr")
    table = np.fromfile(folder / "test_NO.eeg", "<f4").reshape(-1, 65)
    assert signals.rate_hz == 5000 and signals.channels[-2:] == ("EMGright", "EMGleft") and set(signals.units) == {"uV"}
    np.testing.assert_array_equal(signals.values, table.T)
