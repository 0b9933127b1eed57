"""delsys: EMGworks and Discover exports; projects are refused with what to do instead."""

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


def test_rates_are_kept_apart(tmp_path):
    signals = open_file(put(tmp_path, "a.csv", make.delsys()))
    assert signals.channels == ("S1: EMG 1",) and signals.rate_hz == 1000 and signals.units == ("V",)
    np.testing.assert_allclose(signals.values[0], make.COUNTS[0] / 1000, rtol=1e-6)
    (other,) = signals.streams.values()
    assert other.rate_hz == 100 and other.samples == 18 and other.units == ("g",)
    assert signals.notes == ()


def test_a_rate_that_the_times_deny_is_refused(tmp_path):
    data = make.delsys().replace(b"frequency: 1000.0", b"frequency: 2000.0")
    with pytest.raises(InputError, match=r"S1: EMG 1: rate 2000 Hz, but its times step at 1000 Hz"):
        open_file(put(tmp_path, "a.csv", data))


def test_what_is_cut_off_is_noted(tmp_path):
    data = b"\n".join(make.delsys().split(b"\n")[:100]) + b"\n"
    assert open_file(put(tmp_path, "a.csv", data)).notes == ("S1: EMG 1: 180 points are promised, 97 are there",)


@real
@pytest.mark.data
def test_the_real_exports(tmp_path):
    folder = make.unpacked("delsys", tmp_path)
    works = open_file(folder / "truncated_trigno_sample.csv")
    lines = (folder / "truncated_trigno_sample.csv").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("X[s]")) + 1
    cells = [line.split(",") for line in lines[first:]]
    assert works.channels == ("Mini sensor 10: EMG 10", "Mini sensor 11: EMG 11") and works.rate_hz == 1259.259
    np.testing.assert_allclose(works.values[1], [float(row[15]) for row in cells], rtol=1e-6)
    (inertial,) = works.streams.values()
    assert len(inertial.channels) == 12 and inertial.samples == sum(bool(row[3]) for row in cells)
    discover = open_file(folder / "trigno_discover_python_export.csv")
    table = np.genfromtxt(folder / "trigno_discover_python_export.csv", delimiter=",", skip_header=2)
    assert discover.channels == ("EMG 1",) and discover.rate_hz == 1925.926
    np.testing.assert_allclose(discover.values[0], table[:, 0], rtol=1e-6)
    (acc,) = discover.streams.values()
    np.testing.assert_allclose(acc.values.T, table[: acc.samples, 1:], rtol=1e-6)
    assert not np.nan_to_num(table[acc.samples :, 1:]).any() and acc.samples == round(len(table) * 148.148 / 1925.926)
    assert open_file(folder / "trigno_sample_header.csv").samples == 11


@real
@pytest.mark.data
@pytest.mark.parametrize("end", ["delsys", "shpf"])
def test_projects_are_refused(tmp_path, end):
    path = make.unpacked("delsys", tmp_path) / f"Forearm_Pronation_Supination_1.{end}"
    with pytest.raises(InputError, match=r"no published layout.*export the trial as CSV"):
        open_file(path)
