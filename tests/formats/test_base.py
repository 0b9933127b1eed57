"""The contract of formats: finding one, offsets kept exactly, names told apart, errors in one line."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.formats import FORMATS, find_format, open_file
from myoflow.formats.base import compact, guard, joined, plain, scaled, smallest, unique, upright


def test_every_format_says_what_it_is_and_what_it_opens():
    assert len(FORMATS["csv"].suffixes) > 3
    for name in FORMATS:
        assert FORMATS[name].what and FORMATS[name].__doc__
        assert all(end.startswith(".") and end == end.lower() for end in FORMATS[name].suffixes)


@pytest.mark.parametrize(
    ("name", "data", "format_name"),
    [
        ("a.CSV", b"a,b\n1,2\n", "csv"),
        ("a.txt", b"%OpenBCI Raw EXG Data\n", "openbci"),
        ("a.txt", b"# OpenSignals Text File Format\n", "opensignals"),
        ("a.csv", b"Label: x Sampling frequency: 1e3 Number of points: 3 start: 0 Unit: V Domain Unit: s\n", "delsys"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "hdf5"),
        ("a.otb+", b"", "otb"),
    ],
)
def test_content_decides_between_formats_of_one_ending(name, data, format_name):
    assert find_format(name, data, name).name == format_name


def test_a_file_that_no_format_reads_is_told_with_what_does():
    with pytest.raises(InputError, match=r"x/a\.docx: no format reads '\.docx' files.*\.edf"):
        find_format("a.docx", b"PK", "x/a.docx")
    with pytest.raises(InputError, match=r"a\.eeg: is one part of a recording; give its header \(\.vhdr\)"):
        find_format("a.eeg", b"", "a.eeg")
    with pytest.raises(InputError, match=r"a\.edf: is not an EDF or BDF file.*b'hello'"):
        find_format("a.edf", b"hello", "a.edf")


def test_there_is_no_such_file_or_format(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*nothing\.csv"):
        open_file(tmp_path / "nothing.csv")
    (tmp_path / "a.csv").write_text("1\n2\n")
    with pytest.raises(InputError, match="there is no format 'cvs'; did you mean 'csv'"):
        open_file(tmp_path / "a.csv", "cvs")


@pytest.mark.parametrize(("offset", "kind"), [(0.0, "i"), (-5.0, "i"), (0.5, "i"), (0.3, "f")])
def test_offsets_are_kept(offset, kind):
    counts = np.array([[-32768, 0, 32767], [1, 2, 3]])
    values, gain = scaled(counts, [0.5, 2.0], [offset, 0.0])
    np.testing.assert_allclose(values * gain[:, None], (counts + np.array([[offset], [0]])) * [[0.5], [2.0]], rtol=1e-6)
    assert values.dtype.kind == kind


def test_whole_numbers_take_the_smallest_type_and_others_float():
    assert smallest(np.array([[127, -128]])).dtype == np.int8
    assert smallest(np.array([[128]])).dtype == np.int16
    assert smallest(np.array([[1 << 31]])).dtype == np.float32
    assert compact(np.array([[2055.0, -1.0]])).dtype == np.int16
    assert compact(np.array([[0.5]])).dtype == np.float32
    assert np.isnan(compact(np.array([[np.nan, 1.0]]))).any()


def test_names_are_told_apart():
    assert unique(["EMG", " EMG ", "", "a\0b"]) == ("EMG", "EMG_2", "channel3", "a b")
    assert len(set(unique(["x", "x_2", "x"]))) == 3


def test_the_emg_comes_first_and_the_rest_are_streams():
    fast = plain(["force"], 5000.0, "N", np.zeros((1, 50)))
    emg = plain(["EMG 1"], 1000.0, "V", np.ones((1, 10)))
    both = joined([("fast", fast), ("slow", emg)])
    assert both.channels == ("EMG 1",) and both.streams["fast"] is fast


def test_the_long_side_is_time():
    assert upright(np.zeros((100, 3))).shape == upright(np.zeros((3, 100))).shape == (3, 100)
    assert upright(np.zeros(7)).shape == (1, 7)


def test_whatever_goes_wrong_inside_names_the_file():
    for error in (KeyError("x"), MemoryError(), ZeroDivisionError("by zero\nsecond line")):
        with pytest.raises(InputError, match=r"^f\.x: cannot be read as a thing: .+") as told, guard("f.x", "a thing"):
            raise error
        assert "\n" not in str(told.value)
