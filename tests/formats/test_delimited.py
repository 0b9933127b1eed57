"""csv: separators, encodings, clocks, units, and the line of what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.formats import open_file

ROWS = np.array([[1.5, -2.0], [3.25, 4.0], [5.0, 6.5], [7.0, 8.0]])


def opened(tmp_path, data, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_file(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("header", ["", "a{0}b\n", "# made by us\na{0}b\n"])
def test_tables_of_every_separator(tmp_path, separator, header):
    body = "".join(separator.join(f"{x}" for x in row) + "\n" for row in ROWS)
    signals = opened(tmp_path, header.format(separator) + body)
    np.testing.assert_array_equal(signals.values, ROWS.T.astype(np.float32))
    assert signals.channels == (("a", "b") if header else ("column1", "column2"))
    assert signals.rate_hz is None and signals.units == ("", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    signals = opened(tmp_path, "Zeit;Stärke (µV)\r\n0;1\r\n1;2\r\n2;4\r\n".encode(encoding))
    assert signals.channels[-1] == "Stärke" and signals.units[-1] == "uV"
    np.testing.assert_array_equal(signals.values[-1], [1, 2, 4])
    assert signals.values.dtype == np.int8


def test_decimal_commas(tmp_path):
    signals = opened(tmp_path, "a;b\n1,5;-2\n3,25;4,5\n")
    np.testing.assert_array_equal(signals.values.T, [[1.5, -2], [3.25, 4.5]])


@pytest.mark.parametrize("body", ["1,5\t2\n3,25\t4\n", '"1,5";2\n3,25;4\n'])
def test_commas_beside_another_separator_are_decimal(tmp_path, body):
    np.testing.assert_array_equal(opened(tmp_path, body).values.T, [[1.5, 2], [3.25, 4]])


def test_quoted_commas_are_decimal(tmp_path):
    np.testing.assert_array_equal(opened(tmp_path, 'emg\n"1,5"\n"2,25"\n').values, [[1.5, 2.25]])


@pytest.mark.parametrize("rows", ["1,2\n3,4\n", "# two\n1,2\n3,4\n", "a,b\n1,2\n3,4\n"])
def test_commas_alone_part_columns(tmp_path, rows):
    np.testing.assert_array_equal(opened(tmp_path, rows).values, [[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ("1,2\n3\n", r"a\.csv:2: has 1 fields, expected 2"),
        ("1,2\n3\n4\n", r"a\.csv:1: has 2 fields, most lines have 1\. A comma parts columns unless"),
        ("1, 2\n3, 4, 5\n", r"a\.csv:2: has 3 fields, expected 2"),
        ("emg\n1,5\n2,7\n", r"a\.csv:2: '1,5' is 2 whole numbers, or 1 with decimal commas.*write decimal points"),
        ("l,r\n1,5,2,7\n3,5,1,2\n", r"a\.csv:2: '1,5,2,7' is 4 whole numbers, or 2 with decimal commas"),
    ],
)
def test_commas_that_may_be_decimal_are_not_guessed(tmp_path, rows, error):
    with pytest.raises(InputError, match=error):
        opened(tmp_path, rows)


@pytest.mark.parametrize(
    ("name", "times", "rate"),
    [
        ("Time", [0.0, 0.0005, 0.001, 0.0015], 2000),
        ("time (ms)", [0, 5, 10, 15], 200),
        ("timestamp", [1638638769042, 1638638769044, 1638638769046, 1638638769048], 500),
        ("X[s]", [0, 0.001, 0.01, 0.02], None),
    ],
)
def test_an_even_clock_gives_the_rate(tmp_path, name, times, rate):
    rows = "".join(f"{t},{i}\n" for i, t in enumerate(times))
    signals = opened(tmp_path, f"{name},emg\n{rows}")
    assert signals.channels == ("emg",) and signals.rate_hz == rate
    assert (signals.time_s is None) == (rate is not None)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the file is empty"),
        ("a,b\n", r"a\.csv:1: no line of numbers"),
        ("a,b\n1,2\n3,4,5\n6,7\n", r"a\.csv:3: has 3 fields, expected 2"),
        ("a,b\n1,2\n3,x\n6,7\n", r"a\.csv:3: field 2 is 'x', not a number"),
        ("a,b\n1,2\n3,4\n6", r"a\.csv:4: has 1 fields, expected 2.*last line"),
        ("time\n1\n2\n", "its only column is the time"),
        ("a\0b\n1\n", "zero byte"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, error):
    with pytest.raises(InputError, match=error):
        opened(tmp_path, text)


def test_an_empty_field_is_no_number(tmp_path):
    signals = opened(tmp_path, "a,b\n1,2\n3,\n5,6\n")
    assert np.isnan(signals.values[1, 1]) and np.isfinite(signals.values[0]).all()


def test_a_word_of_a_million_digits_is_read_without_going_through_it_again_and_again(tmp_path):
    """By the square of its length it would take hours."""
    assert opened(tmp_path, "9" * (1 << 20) + "x,emg\n1,2\n3,4\n").channels[1] == "emg"
