"""uci_text: the published layout with its quirks, and every way a file can be wrong."""

import lzma
import re
from pathlib import Path

import numpy as np
import pytest
from make_uci import make_uci, pack, rows, text

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.readers.uci_text import parse, runs

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "uci_emg_gestures"


def items(place, wanted=None):
    return list(READERS["uci_text"](load_card("uci_emg")).recordings(open_source(place), wanted))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return folder, make_uci(folder, 3)


def test_rows_come_through_as_recorded(raw):
    folder, made = raw
    found = items(folder)
    assert [item.id for item in found] == [f"sub-{s:02d}/ses-{e:02d}/run-1" for s in (1, 2, 3) for e in (1, 2)]
    for item, (name, table) in zip(found, made.items(), strict=True):
        rec = item.read()
        assert rec.id == item.id
        assert rec.emg.dtype == np.int8
        np.testing.assert_array_equal(rec.emg.T, table[:, 1:9])
        np.testing.assert_array_equal(rec.timestamp_ms, table[:, 0])
        label = np.zeros(len(table), int)
        for onset, length, value in zip(rec.events.onset, rec.events.length, rec.events.label, strict=True):
            label[onset : onset + length] = value
        np.testing.assert_array_equal(label, table[:, 9])
        assert rec.sources[0][0] == name
        np.testing.assert_array_equal(rec.gain, np.float32(1e-5))


def test_what_the_card_says_travels_along(raw):
    rec = items(raw[0])[0].read()
    assert rec.rate_hz == 1000.0
    assert rec.units == "V"
    assert rec.channels == tuple(f"channel{i}" for i in range(1, 9))
    assert rec.attrs["PowerLineFrequency"] == 50.0
    assert rec.attrs["ManufacturersModelName"] == "Myo"
    assert rec.events.names[0] == "unmarked"


def test_repetitions_count_per_label():
    found = runs(np.array([0, 1, 1, 0, 2, 1, 0, 0, 2], np.int16), ("u", "a", "b"))
    assert found.onset.tolist() == [1, 4, 5, 8]
    assert found.length.tolist() == [2, 1, 1, 1]
    assert found.label.tolist() == [1, 2, 1, 2]
    assert found.repetition.tolist() == [1, 1, 2, 2]


def test_the_last_row_without_its_class_is_unmarked_and_told(raw):
    *others, last = items(raw[0])
    rec = last.read()
    count = rec.emg.shape[1]
    assert rec.repairs == (f"last row (line {count + 1}) lacks its class: taken as unmarked",)
    assert all(item.read().repairs == () for item in others)


def test_a_class_less_row_is_mended_whatever_was_before_it():
    table = rows(0)
    table[-1, 9] = 3
    whole = text(table).encode()
    cut = text(table, class_less=True)
    for ending in ("", "\r\n", "\t", "\t\r\n"):
        found = parse((cut + ending).encode(), "f", class_less=True)
        assert found.label[-1] == 0
        assert len(found.repairs) == 1
        np.testing.assert_array_equal(found.counts, parse(whole, "f").counts)
    assert parse(whole, "f").label[-1] == 3
    with pytest.raises(InputError, match=rf"f:{len(table) + 1}: 9 of 10 values"):
        parse(cut.encode(), "f")  # a file that is not known for it was cut off


@pytest.mark.parametrize("change", [("\r\n", "\n"), ("time\t", "\ufefftime\t"), ("1e-05", "0.00001")])
def test_harmless_differences_of_text(change):
    plain = parse(text(rows(0)).encode(), "f")
    other = parse(text(rows(0)).replace(*change).encode(), "f")
    np.testing.assert_array_equal(plain.counts, other.counts)
    np.testing.assert_array_equal(plain.time, other.time)


def test_a_jump_of_the_clock_is_told():
    table = rows(0)
    table[100:, 0] += 5000
    step = table[100, 0] - table[99, 0]
    found = parse(text(table).encode(), "f")
    assert found.repairs == (f"the clock jumps by {step} ms after line 101: kept as recorded",)


def _line(i, new):
    """Replace line `i` (from 1); `new` maps its ten words."""

    def change(lines):
        lines[i - 1] = "\t".join(new(lines[i - 1].split("\t")))
        return lines

    return change


def _word(column, value):
    return lambda words: [*words[:column], value, *words[column + 1 :]]


BAD = {
    "missing column": (_line(1, lambda w: w[:5] + w[6:]), r":1: there is no column channel5; expected time channel1"),
    "columns swapped": (_line(1, lambda w: [w[1], w[0], *w[2:]]), r":1: the columns are in another order"),
    "truncated line": (_line(7, lambda w: w[:4]), r":7: 4 of 10 values$"),
    "truncated last line": (lambda x: [*x[:-1], "9999\t0\t0"], r":\d+: 3 of 10 values: the file is cut off"),
    "class-less row inside": (_line(7, lambda w: w[:9]), r":7: 9 of 10 values$"),
    "one value too many": (_line(9, lambda w: [*w, "0"]), r":9: 11 of 10 values$"),
    "no number": (_line(12, _word(3, "abc")), r":12: channel3 is 'abc', not a number"),
    "no value": (_line(12, _word(3, "")), r":12: channel3 is '', not a number"),
    "not finite": (_line(12, _word(3, "nan")), r":12: channel3 is 'nan', not a number"),
    "too large": (_line(12, _word(8, "0.00128")), r":12: channel8 0.00128 is not a multiple of 1e-05 within"),
    "not a count": (_line(12, _word(1, "1.5e-05")), r":12: channel1 1.5e-05 is not a multiple of 1e-05"),
    "half a millisecond": (_line(12, _word(0, "10.5")), r":12: time 10.5 is not a whole number of milliseconds"),
    "a time of years": (_line(12, _word(0, "1e12")), r":12: time 1e12 is no time in milliseconds"),
    "unknown class": (_line(12, _word(9, "8")), r":12: class 8 is not a class from 0 to 7"),
    "half a class": (_line(12, _word(9, "1.5")), r":12: class 1.5 is not a class"),
    "time backwards": (_line(30, _word(0, "3")), r":30: time goes backwards, from \d+ to 3 ms"),
    "blank line": (lambda x: [*x[:20], "", *x[20:]], r":21: 0 of 10 values$"),
    "only a header": (lambda x: x[:1], r":1: there are no rows below the header"),
    "no header": (lambda x: x[1:], r":1: there is no column time"),
    "comma for tab": (lambda x: [line.replace("\t", ",") for line in x], r":1: there is no column time"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_named_with_its_line(case):
    change, says = BAD[case]
    lines = text(rows(0)).split("\r\n")[:-1]
    data = "\r\n".join(change(lines)).encode()
    with pytest.raises(InputError, match=r"^raw/01/1_raw\.txt" + says):
        parse(data, "raw/01/1_raw.txt")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"f:1: the file is empty; expected the columns time, channel1"),
        (b"\r\n \r\n", r"f:1: the file is empty"),
        (text(rows(0)).encode("utf-16"), r"f:1: is not text \(byte 0xff\)"),
        (text(rows(0)).encode().replace(b"\t0\r\n", b"\t\xe90\r\n", 1), r"f:2: is not text \(byte 0xe9\)"),
        (lzma.compress(text(rows(0)).encode()), r"f:\d+: is not text"),
        (b"\0" * 5000, r"f:1: there is no column time"),
    ],
)
def test_bytes_that_are_no_such_text(data, says):
    with pytest.raises(InputError, match=says):
        parse(data, "f")


def test_cut_anywhere_it_is_whole_mended_or_refused():
    data = text(rows(3, classes=(1,), span=4)).encode()
    whole = parse(data, "f")
    for end in range(len(data)):
        try:
            found = parse(data[:end], "f", class_less=True)
        except InputError as error:
            assert re.match(r"f:\d+: ", str(error))
            continue
        count = len(found.time)
        np.testing.assert_array_equal(found.time, whole.time[:count])
        np.testing.assert_array_equal(found.counts[:-1], whole.counts[: count - 1])


def test_wrong_folders_say_what_was_expected_and_what_is_there(tmp_path):
    with pytest.raises(InputError, match=r"expected folders 01\.\.36, each with two files 1_raw_data.*found no files"):
        items(tmp_path)
    (tmp_path / "S1_A1_E1.mat").write_bytes(b"x")
    with pytest.raises(InputError, match=r"found S1_A1_E1\.mat"):
        items(tmp_path)


def test_a_series_that_is_missing_or_there_twice(tmp_path):
    make_uci(tmp_path, 2, span=20)
    extra = tmp_path / "02" / "2_raw_data_10-00_01.01.17.txt"
    extra.write_text("x")
    with pytest.raises(InputError, match=r"two files for subject 02, series 2: .*07\.04\.16\.txt"):
        items(tmp_path)
    for file in (tmp_path / "02").glob("2_*"):
        file.unlink()
    with pytest.raises(InputError, match=r"subject 02 lacks 2_raw_data_\*\.txt; it has only 02/1_raw_data"):
        items(tmp_path)
    assert len(items(tmp_path, lambda subject: subject == "01")) == 2  # who is not asked for need not be whole


def test_the_archive_gives_the_same_recordings(raw, tmp_path):
    for left, right in zip(items(raw[0]), items(pack(raw[0], tmp_path / "a.tar.xz")), strict=True):
        a, b = left.read(), right.read()
        assert a.sources == b.sources
        np.testing.assert_array_equal(a.emg, b.emg)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_set_has_the_published_counts():
    tally = np.zeros(8, int)
    repairs = {}
    changes, hours, spans = 0, 0.0, 0
    for item in items(REAL):
        rec = item.read()
        label = np.bincount(rec.events.label, rec.events.length, minlength=8).astype(int)
        label[0] = rec.emg.shape[1] - label.sum()
        tally += label
        spans += len(rec.events.onset)
        changes += np.count_nonzero((np.diff(rec.emg, axis=1) != 0).any(axis=0))
        hours += (int(rec.timestamp_ms[-1]) - int(rec.timestamp_ms[0])) / 3.6e6
        if rec.repairs:
            repairs[rec.sources[0][0]] = rec.repairs
    # the data's README, and the row without its class, which it counts nowhere
    assert tally.tolist() == [2725157 + 1, 250055, 243193, 249494, 251570, 251733, 253009, 13696]
    assert tally.sum() == 4_237_908
    assert spans == 872
    assert repairs == {
        "34/1_raw_data_10-51_07.04.16.txt": (
            "last row (line 79766) lacks its class: taken as unmarked",
            "the clock jumps by 13827 ms after line 76084: kept as recorded",
        )
    }
    # what the card says of the rate
    assert changes / (hours * 3600) == pytest.approx(104.3, abs=0.1)
    assert hours == pytest.approx(1.225, abs=0.001)
