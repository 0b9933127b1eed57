"""Index: rows from groups, and their file."""

import hashlib

import pytest
from make_recordings import ORIGIN, full, recording

from myoflow.errors import MyoflowError
from myoflow.store import index, layout
from myoflow.store.index import Tally


def test_row_of_a_group(tmp_path):
    layout.write_group(tmp_path / "g", recording("07", "02"), ORIGIN)
    row = index.row_of(tmp_path / "g")
    assert row.id == "sub-07/ses-02/run-1"
    assert (row.subject, row.session, row.run, row.samples) == ("07", "02", "1", 20_000)
    assert (row.rate_hz, row.seconds, row.units) == (1000.0, 20.0, "V")
    assert row.channels == ("flexor", "extensor", "Ü3")
    assert row.labels == {"rest": Tally(1, 4000), "fist": Tally(1, 5000)}


def test_checksum_is_over_names_sizes_and_bytes_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"xy")
    (tmp_path / "a").write_bytes(b"")
    assert index.checksum(tmp_path) == hashlib.sha256(b"a\x000\x00" + b"b/c\x002\x00xy").hexdigest()


def test_any_change_changes_the_checksum(tmp_path):
    layout.write_group(tmp_path, full(), ORIGIN)
    before = index.checksum(tmp_path)
    file = tmp_path / "emg" / "c" / "0" / "0"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert index.checksum(tmp_path) != before


def test_rows_go_to_text_and_back_in_one_form(tmp_path):
    rows = []
    for subject in ("02", "01"):
        layout.write_group(tmp_path / subject, recording(subject), ORIGIN)
        rows.append(index.row_of(tmp_path / subject))
    text = index.dumps(rows)
    assert text == index.dumps(reversed(rows))
    assert [row.subject for row in index.loads(text, tmp_path)] == ["01", "02"]
    assert set(index.loads(text, tmp_path)) == set(rows)
    assert index.loads(index.dumps([]), tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ('{"version":2,"recordings":[{"id":"x"}]}', "damaged"),
        ("[]", "damaged"),
        ('{"version":9,"recordings":[]}', "version 9"),
    ],
)
def test_a_wrong_index_says_so(tmp_path, text, says):
    with pytest.raises(MyoflowError, match=says):
        index.loads(text, tmp_path / "index.json")
