"""rhd: a version 2 file made by hand, the vendor's version 1.5 sample against its own bytes."""

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


def test_values_of_a_file_made_by_hand(tmp_path):
    signals = open_file(put(tmp_path, "a.rhd", make.rhd()))
    assert signals.channels == ("EMG 1", "EMG 2") and signals.rate_hz == 2000 and signals.units == ("uV", "uV")
    np.testing.assert_array_equal(signals.values, make.rhd_counts())
    assert set(signals.gain) == {0.195}
    assert [(m.onset_s, m.length_s, m.name) for m in signals.events] == [(128 / 2000, 10 / 2000, "cue")]


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.rhd: byte \d+: the last block has 1,2\d\d of 1,280 bytes"):
        open_file(put(tmp_path, "a.rhd", make.rhd()[:-5]))
    with pytest.raises(InputError, match=r"a\.rhd: byte 60: ends inside the header"):
        open_file(put(tmp_path, "a.rhd", make.rhd()[:60]))


@real
@pytest.mark.data
def test_the_vendors_sample(tmp_path):
    path = make.unpacked("rhd", tmp_path) / "sampledata_v1.5.rhd"
    signals = open_file(path)
    assert signals.values.shape == (32, 672 * 60) and signals.rate_hz == 20000 and signals.channels[0] == "A-000"
    assert {name: stream.values.shape[0] for name, stream in signals.streams.items()} == {
        "aux": 3, "supply": 1, "temperature": 1, "adc": 2, "digital_in": 2, "digital_out": 16,
    }  # fmt: skip
    # 672 equal blocks at the end of the file, each with its 60 sample numbers first
    size = 60 * 4 + 32 * 120 + 3 * 30 + 2 + 2 + 2 * 120 + 120 + 120
    blocks = np.frombuffer(path.read_bytes()[-672 * size :], np.uint8).reshape(672, size)
    numbers = np.ascontiguousarray(blocks[:, :240]).view("<i4").ravel()
    np.testing.assert_array_equal(np.diff(numbers), 1)
    raw = np.ascontiguousarray(blocks[:, 240 : 240 + 32 * 120]).view("<u2").reshape(672, 32, 60)
    np.testing.assert_array_equal(signals.values[5], raw[:, 5].ravel().astype(int) - 32768)
    supply = signals.streams["supply"].physical()
    assert 3.0 < supply.mean() < 3.6  # volts of the chip's supply
