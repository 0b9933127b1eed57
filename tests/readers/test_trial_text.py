"""trial_text: six sets that are cards alone, and every way a card or a file can be wrong."""

from __future__ import annotations

import io
import lzma
import pickle
import re
import tarfile
from collections import Counter
from pathlib import Path

import attrs
import make_trial_text as make
import numpy as np
import pytest

from myoflow.card import Card, load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.readers.trial_text import Options, parse

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")


def items(card, place, wanted=None):
    card = load_card(card) if isinstance(card, str) else card
    return list(READERS["trial_text"](card).recordings(open_source(place), wanted))


def by_file(card, folder):
    """Recordings by the end of their file's name, read as a worker would."""
    found = {}
    for item in items(card, folder):
        rec = pickle.loads(pickle.dumps(item.load()))()
        assert rec.id == item.id
        found[rec.sources[0][0]] = rec
    return found


def spans(rec):
    names = [rec.events.names[i] for i in rec.events.label]
    return list(
        zip(rec.events.onset.tolist(), rec.events.length.tolist(), names, rec.events.repetition.tolist(), strict=True)
    )


def test_libemg_one_subject(tmp_path):
    made = make.one_subject(tmp_path)
    found = by_file("libemg_one_subject", tmp_path)
    assert set(found) == {name.removeprefix("OneSubjectMyoDataset/") for name in made}
    for name, table in made.items():
        rec = found[name.removeprefix("OneSubjectMyoDataset/")]
        assert rec.emg.dtype == np.int8
        np.testing.assert_array_equal(rec.emg.T, table)
    rec = found["trial_2/R_1_C_3.csv"]
    assert rec.id == "sub-01/ses-trial2/run-R1C3"
    assert spans(rec) == [(0, 33, "wrist_extension", 1)]
    assert rec.timestamp_ms is None and rec.units == "counts"
    free = found["stream/raw_emg.csv"]
    assert free.id == "sub-01/ses-stream/run-rawemg" and spans(free) == []


def test_libemg_myodisco(tmp_path):
    made = make.myodisco(tmp_path)
    found = by_file("libemg_myodisco", tmp_path)
    assert set(found) == set(made)
    rec = found["S3/positions/4/R_0_C_9_EMG.csv"]
    assert rec.id == "sub-03/ses-positions4/run-R0C9"
    assert spans(rec) == [(0, 29, "rest", 0)]
    assert rec.attrs["condition"] == "positions/4"


def test_myo_readings(tmp_path):
    made = make.readings(tmp_path)
    found = by_file("myo_readings", tmp_path)
    assert set(found) == set(made)
    for name, rec in found.items():
        np.testing.assert_array_equal(rec.emg.T, made[name][:, :8])
    rec = found["_readings_left_hand/777-1/2.txt"]
    assert rec.id == "sub-777/ses-left1/run-2"
    assert rec.attrs["hand"] == "left"
    pause, gesture = "hibernation", "extension"
    expected = [(0, pause, 1), (10, gesture, 1), (20, pause, 2), (30, gesture, 2), (40, pause, 3), (50, gesture, 3)]
    assert spans(rec) == [(onset, 10, name, count) for onset, name, count in expected]
    assert spans(found["_readings_left_hand/777-1/0.txt"]) == [(0, 60, pause, 1)]


def test_myo_longterm_keeps_its_numbers_as_float32(tmp_path):
    made = make.longterm(tmp_path)
    found = by_file("myo_longterm", tmp_path)
    assert {f"data/{name}" for name in found} == set(made)
    for name, rec in found.items():
        assert rec.emg.dtype == np.float32 and rec.gain.tolist() == [1] * 8
        np.testing.assert_array_equal(rec.emg.T, made[f"data/{name}"].astype(np.float32))
    rec = found["sub1/day30/D30M10T4.csv"]
    assert rec.id == "sub-01/ses-30/run-M10T4"
    assert spans(rec) == [(0, 300, "motion_10", 4)]


def test_somach(tmp_path):
    made = make.somach(tmp_path)
    found = by_file("somach", tmp_path)
    assert {f"data/{name}" for name in found} == set(made)
    for name, rec in found.items():
        assert rec.emg.dtype == np.int16 and rec.timestamp_ms is None  # even steps at the card's rate say nothing
        np.testing.assert_array_equal(rec.emg.T, made[f"data/{name}"][:, 1:])
    rec = found["studyB_5phase/Phase_6_Covert/NOISE_001_20260211_154851.csv"]
    assert rec.id == "sub-01/ses-B6/run-NOISE001"
    assert spans(rec) == [(0, rec.emg.shape[1], "NOISE", 1)]
    assert (rec.attrs["mode"], rec.attrs["study"]) == ("Covert", "B")


def test_an_uneven_clock_is_kept(tmp_path):
    make.somach(tmp_path)
    path = next(tmp_path.rglob("UP_001*"))
    lines = path.read_text().split("\n")
    lines[10:-1] = [re.sub(r"^\d+", lambda m: str(int(m[0]) + 3), line) for line in lines[10:-1]]
    path.write_text("\n".join(lines))
    rec = by_file("somach", path.parent.parent.parent)["/".join(path.parts[-3:])]
    assert np.diff(rec.timestamp_ms).tolist() == [4] * 8 + [7] + [4] * (rec.emg.shape[1] - 10)


def test_subvocal_cyton_gets_the_boards_counts_back(tmp_path):
    made = make.cyton(tmp_path)
    found = by_file("subvocal_cyton", tmp_path)
    assert {f"dist/saves/{name}" for name in found} == set(made)
    for name, rec in found.items():
        assert rec.emg.dtype == np.int32 and rec.channels == tuple(f"Channel_{i}" for i in range(1, 5))
        np.testing.assert_array_equal(rec.emg.T, made[f"dist/saves/{name}"][:, :4])
        np.testing.assert_allclose(rec.gain, make.CYTON_STEP * 1e-6, rtol=1e-6)
    rec = found["P001/F/Nao.csv"]
    assert rec.id == "sub-001/ses-F/run-Nao"
    assert spans(rec)[:3] == [(0, 11, "nao", 1), (11, 9, "silence", 1), (20, 11, "nao", 2)]


def test_an_archive_gives_the_same_recordings(tmp_path):
    make.readings(tmp_path / "raw")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as out:
        out.add(tmp_path / "raw", "repository-main")
    left, right = by_file("myo_readings", tmp_path / "raw"), by_file("myo_readings", tmp_path / "a.tar.gz")
    assert {name: rec.sources for name, rec in left.items()} == {name: rec.sources for name, rec in right.items()}
    assert all(np.array_equal(left[name].emg, right[name].emg) for name in left)


def test_only_the_subjects_asked_for(tmp_path):
    make.readings(tmp_path)
    found = items("myo_readings", tmp_path, lambda subject: subject == "777")
    assert {item.id.split("/")[0] for item in found} == {"sub-777"}


def small(**options):
    """A card of two channels, a label column and a clock."""
    known = {
        "pattern": r"(?:^|/)p(?P<who>\w+)_(?P<word>[a-z]*)\.txt$",
        "subject": "{who}",
        "columns": ["t", "a", "b", "l"],
        "header": True,
        "delimiter": ";",
        "label_column": "l",
        "time": "t",
        "range": [-100, 100],
        "step": 0.5,
        **options,
    }
    return Card(
        name="small", title="", reader="trial_text", channels=("b", "a"), rate=100.0, labels=("u", "x", "y"),
        unmarked="u", options=known,
    )  # fmt: skip


LINES = ["t;a;b;l", "0;0.5;1;u", "10;1.5;-50;x", "20;50;0;x", "30;-0.5;0.5;y", ""]


def read(card, lines=LINES, name="p1_.txt"):
    card = attrs.evolve(card)
    data = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
    reader = READERS["trial_text"](card)
    return parse(data, name, reader.options, card.channels)


def test_a_card_says_columns_order_step_and_labels(tmp_path):
    (tmp_path / "p1_.txt").write_text("\n".join(LINES))
    (rec,) = (item.read() for item in items(small(), tmp_path))
    assert rec.channels == ("b", "a") and rec.emg.dtype == np.int8
    assert rec.emg.tolist() == [[2, -100, 0, 1], [1, 3, 100, -1]]
    assert spans(rec) == [(1, 2, "x", 1), (3, 1, "y", 1)]  # never the unmarked


BAD = {
    "no number": (2, "10;1.5;abc;x", r":3: b is 'abc', not a number"),
    "no value": (2, "10;1.5;;x", r":3: b is '', not a number"),
    "not finite": (2, "10;1.5;nan;x", r":3: b is 'nan', not a number"),
    "digits with a line": (2, "10;1.5;1_0;x", r":3: b is '1_0', not a number"),
    "no multiple": (3, "20;0.7;0;x", r":4: a 0.7 is not a multiple of 0.5"),
    "out of range": (3, "20;50.5;0;x", r":4: a 50.5 is not within -50..50"),
    "endless": (3, "20;1e400;0;x", r":4: a is '1e400', not a number"),
    "half a millisecond": (3, "20.5;0;0;x", r":4: t 20.5 is no time in whole milliseconds"),
    "a time of years": (3, "1e12;0;0;x", r":4: t 1e12 is no time"),
    "time backwards": (3, "9;0;0;x", r":4: t 9 goes backwards"),
    "a value less": (3, "20;50;0", r":4: 3 of 4 values"),
    "a value more": (3, "20;50;0;x;", r":4: 5 of 4 values"),
    "a blank line": (3, "", r":4: 0 of 4 values"),
    "other delimiter": (0, "t,a,b,l", r":1: expected the columns t;a;b;l, found t,a,b,l"),
    "columns swapped": (0, "t;b;a;l", r":1: expected the columns t;a;b;l, found t, b, a, l"),
    "cut in the last line": (5, "40;0", r":6: the last line does not end: the file is cut off"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_named_with_its_line(case):
    number, line, says = BAD[case]
    with pytest.raises(InputError, match=r"^p1_\.txt" + says):
        read(small(), [*LINES[:number], line, *LINES[number + 1 :]])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r":1: the file is empty; expected the columns t, a, b, l"),
        (b" \r\n\r\n", r":1: the file is empty"),
        (b"t;a;b;l\n", r":1: there are no rows below the header"),
        ("\n".join(LINES).encode("utf-16"), r":1: is not text \(byte 0xff\)"),
        ("\n".join(LINES).replace("u", "\xfc").encode("latin-1"), r":2: is not text \(byte 0xfc\)"),
        (lzma.compress(b"t;a;b;l\n"), r":\d+: is not text"),
        (b"\0" * 3000 + b"\n", r":1: expected the columns"),
    ],
)
def test_bytes_that_are_no_such_text(data, says):
    with pytest.raises(InputError, match=says):
        read(small(), data)


def test_cut_anywhere_it_is_refused_or_whole_rows():
    data = "\n".join(LINES).encode()
    for end in range(len(data)):
        try:
            found = read(small(), data[:end])
        except InputError as error:
            assert re.match(r"p1_\.txt:\d+: ", str(error))
        else:
            assert data[end - 1 : end] == b"\n"
            assert found.values.tolist() == read(small()).values.tolist()[: len(found.values)]


def test_harmless_differences_of_text():
    plain = read(small()).values.tolist()
    for old, new in (("\n", "\r\n"), ("t;a", "\ufefft;a"), (";1;", "; 1.0 ;")):
        assert read(small(), "\n".join(LINES).replace(old, new).encode()).values.tolist() == plain
    assert read(small(closed=False), LINES[:-1]).values.tolist() == plain


def test_a_count_of_rows_that_is_promised_is_kept():
    assert len(read(small(rows=4)).values) == 4
    with pytest.raises(InputError, match=r"p1_\.txt:5: 4 rows, expected 5; is the file whole\?"):
        read(small(rows=5))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("p1_.txt", {"labels": {"x": "y", "u": "u"}, "repetition": "{who}"}, None),
        ("p1_.txt", {"label_column": None, "label": "{word}"}, None),
        ("p1_z.txt", {"label_column": None, "label": "{word}"}, r"p1_z\.txt: label 'z' is not one of u, x, y"),
        ("p1_y.txt", {"label": "{word}"}, r"p1_y\.txt:2: label 'u' in a file of 'y'"),
        ("px_.txt", {"repetition": "{who}"}, r"repetition 'x' is not a whole number"),
        ("p__.txt", {}, r"p__\.txt: its path gives no subject"),
    ],
)
def test_labels_and_names_must_be_known(tmp_path, name, options, says):
    (tmp_path / name).write_text("\n".join(LINES))
    if says is None:
        items(small(**options), tmp_path)[0].read()
        return
    with pytest.raises(InputError, match=says):
        items(small(**options), tmp_path)[0].read()


def test_an_unknown_label_in_a_column_is_named_with_its_line(tmp_path):
    (tmp_path / "p1_.txt").write_text("\n".join(LINES).replace("0.5;y", "0.5;z"))
    with pytest.raises(InputError, match=r"p1_\.txt:5: label 'z' is not one of u, x, y"):
        items(small(), tmp_path)[0].read()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pattern": "("}, r"dataset small: options\.pattern: is not a regular expression"),
        ({"session": "{no}"}, r"options\.session: the pattern has no group 'no'"),
        ({"attributes": {"mode": "{no}"}}, r"options\.attributes\.mode: the pattern has no group 'no'"),
        ({"time": "z"}, r"options\.time: 'z' is not one of the columns"),
        ({"columns": ["t", "a", "l"]}, r"options\.columns: there is no column for channel b"),
        ({"labels": {"1": "z"}}, r"options\.labels\.1: 'z' is not one of its labels"),
        ({"range": [5, 5]}, r"options\.range: must rise"),
        ({"step": 0.0}, r"options\.step: must be above zero"),
        ({"delimiter": ""}, r"options\.delimiter: is empty"),
        ({"colums": []}, r"reader trial_text has no option 'colums'; did you mean 'columns'\?"),
    ],
)
def test_a_wrong_card_is_named_with_its_key(options, says):
    with pytest.raises(InputError, match=says):
        READERS["trial_text"](small(**options))


def test_wrong_folders_say_what_was_expected_and_what_is_there(tmp_path):
    with pytest.raises(InputError, match=r"expected files named as .* found no files"):
        items(small(), tmp_path)
    (tmp_path / "p1_.csv").write_text("x")
    with pytest.raises(InputError, match=r"expected the repository as an archive or folder: S1.* found p1_\.csv"):
        items("libemg_myodisco", tmp_path)


def test_two_files_of_one_place_are_refused(tmp_path):
    for name in ("p1_.txt", "p01_.txt"):
        (tmp_path / name).write_text("\n".join(LINES))
    with pytest.raises(InputError, match=r"two files for sub-01/ses-01/run-1: p01_\.txt and p1_\.txt"):
        items(small(), tmp_path)


def test_options_are_checked_in_python_too():
    assert Options(pattern="x$", columns=("a",)).range is None


# card: folder, files, recordings, samples; the files are read here with tarfile and str.split alone
TALLIES = {
    "libemg_one_subject": ("libemg_myo", r"trial_\d/R_\d_C_(\d)\.csv$|raw_emg\.csv$", 61, 41_064),
    "libemg_myodisco": ("libemg_myo", r"_C_(\d)_EMG\.csv$", 600, 241_229),
    "myo_longterm": ("myo_longterm", r"/D\d+M(\d+)T\d\.csv$", 440, 132_000),
    "somach": ("somach_silent_speech", r"/([A-Z]+)_\d+_\d+_\d+\.csv$", 2400, 590_606),
    "myo_readings": ("myo_readings", r"_hand/\d+-\d/\d\.txt$", 48, 579_496),
    "subvocal_cyton": ("subvocal_cyton", r"P001/[AF]/\w+\.csv$", 6, 149_959),
}


def independent(card, folder, pattern):
    """Samples per word and the sum of all signal numbers, by file."""
    rows = {}
    start, stop, word = {"somach": (1, 3, 3), "subvocal_cyton": (1, 5, 0), "myo_readings": (0, 8, 8)}.get(
        card, (0, 8, None)
    )
    for archive in sorted(folder.glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                match = re.search(pattern, member.name)
                if match is None or not member.isfile():
                    continue
                lines = io.TextIOWrapper(tar.extractfile(member), encoding="utf-8").read().split()
                cells = [line.split(",") for line in lines][card in ("somach", "subvocal_cyton") :]
                numbers = np.array([row[start:stop] for row in cells], float)
                words = [row[word] for row in cells] if word is not None else [match[1] or ""] * len(cells)
                rows[member.name] = (numbers, Counter(words))
    return rows


@pytest.mark.data
@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", TALLIES)
def test_the_real_sets_have_the_files_numbers(name):
    folder, pattern, recordings, samples = TALLIES[name]
    raw = independent(name, REAL / folder, pattern)
    card = load_card(name)
    translate = card.options.get("labels", {})
    found, tally, expected = 0, Counter(), Counter()
    for _, words in raw.values():
        for word, count in words.items():
            if word:
                expected[translate.get(word, word)] += count
    for item in items(card, REAL / folder):
        rec = item.read()
        numbers, _ = raw[item.names[0].partition(".tar.xz/")[2] or item.names[0]]
        unit = rec.gain[0] * (1e6 if name == "subvocal_cyton" else 1)
        np.testing.assert_allclose(rec.emg.T * np.float64(unit), numbers, rtol=2e-7, atol=1e-9)
        found += 1
        samples -= rec.emg.shape[1]
        for _, length, label, _ in spans(rec):
            tally[label] += length
    assert (found, samples, len(raw)) == (recordings, 0, recordings)
    assert tally == expected
