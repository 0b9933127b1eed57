"""grabmyo: WFDB records as PhysioNet gives them, and every way they can be wrong."""

from __future__ import annotations

import pickle
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from make_grabmyo import SIGNALS, make_grabmyo, record

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, File, open_source
from myoflow.readers.grabmyo import read

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "grabmyo"
CARD = load_card("grabmyo")
NAME = "session1_participant1_gesture1_trial1"
FILES = (File(f"{NAME}.hea", "r.hea"), File(f"{NAME}.dat", "r.dat"))
KEPT = [SIGNALS.index(channel) for channel in CARD.channels]

pytest.importorskip("wfdb")


def items(place, wanted=None):
    return list(READERS["grabmyo"](CARD).recordings(open_source(place), wanted))


def test_records_come_through_in_volts_without_the_unused_signals(tmp_path):
    made = make_grabmyo(tmp_path)
    found = items(tmp_path)
    assert len(found) == len(made) == 12
    assert found[0].id == "sub-01/ses-01/run-G01T1" and found[-1].id == "sub-02/ses-01/run-G17T2"
    for item in found:
        rec = pickle.loads(pickle.dumps(item.load()))()
        assert rec.id == item.id and rec.emg.dtype == np.int32 and rec.rate_hz == 2048.0
        volts = made[rec.sources[0][0].removesuffix(".hea")][:, KEPT] * 1e-3
        np.testing.assert_allclose((rec.emg * rec.gain[:, None]).T, volts, rtol=1e-5, atol=1e-12)
    assert rec.events.names[rec.events.label[0]] == "rest"
    assert rec.events.repetition.tolist() == [2] and rec.events.length.tolist() == [200]
    assert not {"U1", "U2", "U3", "U4"} & set(rec.channels)


def test_only_the_subjects_asked_for(tmp_path):
    make_grabmyo(tmp_path)
    assert {item.id[:6] for item in items(tmp_path, lambda subject: subject == "02")} == {"sub-02"}


def change(old, new, count=1):
    return lambda header, data: (re.sub(old, new, header, count=count), data)


BAD = {
    "empty header": (lambda h, d: ("", d), r"r\.hea:1: the file is empty; expected a WFDB header"),
    "no header": (lambda h, d: ("time,F1\n0,1\n", d), r"r\.hea(:1)?: |r\.hea is no WFDB record: "),
    "binary": (lambda h, d: ("\0\1\2" * 99, d), r"r\.hea(:1)?: |r\.hea is no WFDB record: "),
    "cut in the header": (lambda h, d: (h[: len(h) // 2], d), r"r\.hea"),
    "an endless line": (lambda h, d: (h + "9" * 50_000 + "\n", d), r"r\.hea:34: is longer than a WFDB header can be"),
    "no signals": (change(" 32 2048", " 0 2048"), r"r\.hea:1: n_sig is 0, expected a number above zero"),
    "other rate": (change(" 2048 ", " 1000 "), r"r\.hea:1: the rate is 1000 Hz, expected 2048"),
    "cut samples": (lambda h, d: (h, d[:-7]), r"r\.dat: byte 12793: the header promises 200 samples.*cut off"),
    "no samples": (lambda h, d: (h, b""), r"r\.dat: byte 0: the header promises 200 .* there are 0: the file is cut"),
    "more samples": (lambda h, d: (h, d + b"\0\0"), r"r\.dat: byte 12800: .* the file is longer than that"),
    "longer than it is": (change(" 200\n", " 2000000000\n"), r"r\.dat: byte 12800: the header promises 2000000000"),
    "other format": (change(r"\.dat 16 ", ".dat 212 "), r"r\.hea:2: F1 is in .* in format 212; expected plain"),
    "another file": (change(r"session1\S+\.dat", "other.dat"), r"r\.hea:2: F1 is in other\.dat in format 16; expected"),
    "a frame of two": (change(r"\.dat 16 ", ".dat 16x2 "), r"r\.hea:2: F1 is in .* expected plain samples"),
    "a signal less": (change(" W3\n", " X3\n"), r"r\.hea: there is no signal W3; it has F1, "),
    "no unit of volts": (change("/mV", "/degC"), r"r\.hea:2: F1: its scale is [\d.]+/degC, expected"),
    "wrong checksum": (change(r"\d+ 0 F2\n", "1 0 F2\n"), r"r\.hea:3: F2: the checksum differs from the samples in r"),
    "a flipped bit": (
        lambda h, d: (h, bytes([*d[:128], d[128] ^ 1, *d[129:]])),
        r"r\.hea:4: F3: the checksum differs|r\.hea:2: F1: the checksum differs",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_record_is_named(case):
    edit, says = BAD[case]
    header, data = edit(*record(NAME, 0)[:2])
    with pytest.raises(InputError, match=says):
        read(header.encode(), data, FILES, CARD)


def test_a_sample_that_is_marked_missing_is_named():
    header, _, _, counts = record(NAME, 0)
    counts = counts.copy()
    counts[7, 1] = -32768
    header = re.sub(r"\d+ 0 F2\n", f"{int(counts[:, 1].sum()) % 65536} 0 F2\n", header)
    with pytest.raises(InputError, match=r"r\.dat: sample 7 of F2 is marked as missing"):
        read(header.encode(), counts.astype("<i2").tobytes(), FILES, CARD)


def test_a_header_cut_anywhere_is_whole_or_refused():
    header, data = record(NAME, 0)[:2]
    for end in range(0, len(header) - 1, 61):
        with pytest.raises(InputError, match=r"r\."):
            read(header[:end].encode(), data, FILES, CARD)


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wfdb", None)
    header, data = record(NAME, 0)[:2]
    with pytest.raises(InputError, match=r"needs the package wfdb: pip install 'myoflow\[readers\]'"):
        read(header.encode(), data, FILES, CARD)


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match=r"expected pairs of session<n>_participant.* found no files"):
        items(tmp_path)
    make_grabmyo(tmp_path)
    below = tmp_path / "Session1" / "session1_participant2"
    (below / "session1_participant2_gesture1_trial1.hea").rename(below / "x.hea")
    with pytest.raises(InputError, match=r"gesture1_trial1\.dat lacks its \.hea file"):
        items(tmp_path)
    assert items(tmp_path, lambda subject: subject == "01")
    (below / "x.hea").rename(below / "session1_participant2_gesture18_trial1.hea")
    (below / "session1_participant2_gesture1_trial1.dat").rename(below / "session1_participant2_gesture18_trial1.dat")
    with pytest.raises(InputError, match="there is no gesture 18"):
        items(tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_files_give_wfdbs_own_millivolts(tmp_path):
    import wfdb

    with tarfile.open(next(REAL.glob("*.tar.xz"))) as tar:
        tar.extractall(tmp_path, filter="data")
    found = items(REAL)
    assert len(found) == 9
    tally = {}
    for item in found:
        rec = item.read()
        physical = wfdb.rdrecord(str(tmp_path / "grabmyo" / rec.sources[0][0].removesuffix(".hea")))
        kept = [physical.sig_name.index(channel) for channel in rec.channels]
        np.testing.assert_allclose((rec.emg * rec.gain[:, None]).T, physical.p_signal[:, kept] * 1e-3, rtol=1e-5)
        label = rec.events.names[rec.events.label[0]]
        tally[label] = tally.get(label, 0) + rec.emg.shape[1]
    expected = {"lateral_prehension": 1, "wrist_extension": 2, "wrist_flexion": 2, "hand_open": 2, "hand_close": 2}
    assert tally == {label: 10240 * trials for label, trials in expected.items()}
    with open(tmp_path / "grabmyo" / "session1_participant1_gesture1_trial1.dat", "rb") as file:
        first = np.frombuffer(file.read(64), "<i2")  # the first row, read by hand
    emg = found[0].read().emg[:, 0]
    assert (emg[0], emg[16]) == (int(first[0]) - 4087, int(first[17]) - 3149)
