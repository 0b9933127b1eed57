"""wfdb: formats 16 and 212, checksums, and the real needle EMG against the wfdb package."""

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


def record(folder, files):
    for name, data in files.items():
        put(folder, name, data)
    return folder / "a.hea"


@pytest.mark.parametrize("kind", [16, 212])
def test_values_of_a_record_made_by_hand(tmp_path, kind):
    path = record(tmp_path, make.wfdb(kind))
    signals = open_file(path)
    assert signals.channels == ("EMG 1", "EMG 2") and signals.units == ("mV", "mV") and signals.rate_hz == 1000
    np.testing.assert_allclose(signals.physical(), (make.COUNTS - 10) / 200)
    wfdb = pytest.importorskip("wfdb")
    np.testing.assert_allclose(signals.physical().T, wfdb.rdrecord(str(path)[:-4]).p_signal)


def test_what_is_wrong_is_told(tmp_path):
    files = make.wfdb()
    changed = bytearray(files["a.dat"])
    changed[40] ^= 4
    with pytest.raises(InputError, match=r"a\.hea: signal 'EMG 1': .*checksum"):
        open_file(record(tmp_path, files | {"a.dat": bytes(changed)}))
    with pytest.raises(InputError, match=r"a\.dat: byte 700: 360 samples are promised, 350 are there"):
        open_file(record(tmp_path, files | {"a.dat": files["a.dat"][:700]}))
    with pytest.raises(InputError, match=r"a\.hea:2: format 516 is not read"):
        open_file(record(tmp_path, files | {"a.hea": files["a.hea"].replace(b".dat 16", b".dat 516")}))
    with pytest.raises(InputError, match="several segments"):
        open_file(record(tmp_path, files | {"a.hea": b"a/3 2 1000 180\n"}))


@real
@pytest.mark.data
@pytest.mark.parametrize(("name", "samples"), [("emg_healthy", 50860), ("emg_myopathy", 110337)])
def test_the_real_records(tmp_path, name, samples):
    wfdb = pytest.importorskip("wfdb")
    path = make.unpacked("wfdb_emgdb", tmp_path) / f"{name}.hea"
    signals = open_file(path)
    assert signals.values.shape == (1, samples) and signals.rate_hz == 4000 and signals.units == ("mV",)
    np.testing.assert_allclose(signals.physical().T, wfdb.rdrecord(str(path)[:-4]).p_signal)
