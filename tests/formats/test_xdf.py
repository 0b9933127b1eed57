"""xdf: streams, cues, channel descriptions; the real files against pyxdf and their raw chunks."""

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


pytest.importorskip("pyxdf")


def test_the_emg_stream_and_its_cues(tmp_path):
    signals = open_file(put(tmp_path, "a.xdf", make.xdf()))
    assert signals.channels == ("m1", "m2") and signals.units == ("uV", "uV") and signals.rate_hz == 1000
    np.testing.assert_array_equal(signals.values, make.COUNTS)
    assert [(round(m.onset_s, 3), m.name) for m in signals.events] == [(0.1, "fist")]


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.xdf: byte \d+: a chunk of [\d,]+ bytes, [\d,]+ follow"):
        open_file(put(tmp_path, "a.xdf", make.xdf()[:-20]))
    with pytest.raises(InputError, match="has no stream 'leg'; it has arm"):
        open_file(put(tmp_path, "a.xdf", make.xdf()), variable="leg")


@real
@pytest.mark.data
def test_the_real_files(tmp_path):
    folder = make.unpacked("xdf", tmp_path)
    small = open_file(folder / "minimal.xdf")
    assert small.values.shape == (3, 9) and small.rate_hz == 10 and len(small.events) == 9
    np.testing.assert_array_equal(small.values[:, 0], [192, 255, 238])
    large = open_file(folder / "ollie_2ch000_26May22.xdf")
    assert large.values.shape == (8, 76350) and large.rate_hz == 250 and len(large.events) == 99
    assert round(large.events[0].onset_s, 1) == 3.7  # 941.847 - 938.112 s by pyxdf
