"""emg_uka: the corpus's layout, its traps, and every way a file can be wrong."""

from __future__ import annotations

import io
import pickle
import random
import re
import tarfile
import wave
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest
from make_emg_uka import make_emg_uka, wav

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "emg_uka_trial"
CARD = load_card("emg_uka_trial")


def items(place, wanted=None, card=CARD):
    return list(READERS["emg_uka"](card).recordings(open_source(place), wanted))


def one(place, identity):
    (item,) = [item for item in items(place) if item.id == identity]
    return pickle.loads(pickle.dumps(item.load()))()


def spans(rec):
    names = [rec.events.names[i] for i in rec.events.label]
    return list(zip(rec.events.onset.tolist(), rec.events.length.tolist(), names, strict=True))


@pytest.fixture
def raw(tmp_path):
    return tmp_path, make_emg_uka(tmp_path)


def test_emg_and_audio_are_cut_to_what_both_hold(raw):
    folder, made = raw
    rec = one(folder, "sub-002/ses-001/run-0100")
    truth = made["002-001-0100"]
    (begin, end), (first, last) = truth["moved"], truth["heard"]
    np.testing.assert_array_equal(rec.emg.T, truth["emg"][begin:end, [0, 1, 2, 3, 5]])  # neither 5 nor the marker
    audio = rec.streams["audio"]
    np.testing.assert_array_equal(audio.values, truth["audio"][None, first:last, 0])
    assert audio.values.dtype == np.int16 and audio.rate_hz == 16000.0
    assert abs(audio.values.shape[1] / 16000 - rec.emg.shape[1] / 600) < 0.02
    np.testing.assert_allclose(rec.gain, 0.033e-6)
    assert rec.attrs["audio_gain"] == 1 / 32768
    assert [name for name, _ in rec.sources] == [
        "e07_002_001_0100.adc",
        "offset_002_001_0100.txt",
        "transcript_002_001_0100.txt",
        "words_002_001_0100.txt",
        "a_002_001_0100.wav",
    ]


def test_words_are_events_and_phones_only_where_they_are_right(raw):
    folder, _ = raw
    words = [(36 * i, 36, "word") for i in range(1, 5)]
    wrong = one(folder, "sub-002/ses-001/run-0100")
    assert spans(wrong) == words
    assert wrong.attrs["words"] == ["THIS", "IS", "A", "TEST"]
    assert wrong.attrs["phones"] == "withheld: the corpus's phone alignment of this session is wrong"
    right = one(folder, "sub-008/ses-001/run-0000")
    phones = [(24 * i, 24, name) for i, name in enumerate(("SIL", "DH", "IH", "S"))] + [(96, 120, "SIL")]
    assert sorted(spans(right)) == sorted(words + phones)
    assert "phones" not in right.attrs
    assert right.events.names == (*CARD.labels, "word")
    assert np.all(np.diff(right.events.onset) >= 0)


def test_mode_and_subset_come_from_the_lists(raw):
    folder, made = raw
    found = {item.id: item.read() for item in items(folder)}
    assert len(found) == len(made) == 8
    modes = {key: (rec.attrs["mode"], rec.attrs["subset"]) for key, rec in found.items()}
    assert modes["sub-002/ses-001/run-0101"] == ("audible", "test")
    assert modes["sub-002/ses-001/run-0200"] == ("whispered", "train")
    assert modes["sub-002/ses-001/run-0301"] == ("silent", "test")
    assert modes["sub-008/ses-001/run-0000"] == ("audible", "train")
    assert found["sub-002/ses-001/run-0301"].streams == {}
    assert found["sub-002/ses-001/run-0301"].attrs["transcript"] == "TO BE OR NOT TO BE"


def test_a_card_may_have_all_six_channels(raw):
    card = attrs.evolve(CARD, channels=tuple(f"EMG{i}" for i in range(1, 7)))
    rec = items(raw[0], card=card)[0].read()
    truth = raw[1]["002-001-0100"]
    np.testing.assert_array_equal(rec.emg.T, truth["emg"][slice(*truth["moved"]), :6])
    with pytest.raises(InputError, match="there is no channel EMG7; it has EMG1, "):
        READERS["emg_uka"](attrs.evolve(CARD, channels=("EMG7",)))
    with pytest.raises(InputError, match="rate is 512 Hz, no multiple of the 100 Hz of frames"):
        READERS["emg_uka"](attrs.evolve(CARD, rate=512.0))


def test_a_folder_of_archives_in_any_order_is_one_set_and_few_passes(raw, tmp_path_factory, monkeypatch):
    folder, place = raw[0], tmp_path_factory.mktemp("parts")
    for part in ("emg", "audio", "text"):
        below = [part] if part != "text" else ["offset", "Transcripts", "Alignments", "Subsets", "Supplementary"]
        names = [path for top in below for path in (folder / top).rglob("*") if path.is_file()]
        random.Random(0).shuffle(names)
        with tarfile.open(place / f"emg_uka_trial_{part}.tar.xz", "w:xz") as out:
            for path in names:
                out.add(path, f"EMG-UKA-Trial-Corpus/{path.relative_to(folder)}")
    (place / "manual.pdf").write_bytes(b"%PDF")
    opened = []
    real = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda where, **more: opened.append(where) or real(where, **more))
    left, right = items(folder), items(place)
    assert [item.id for item in left] == [item.id for item in right]
    for a, b in zip(left, right, strict=True):
        a, b = a.read(), b.read()
        assert a.sources == b.sources
        np.testing.assert_array_equal(a.emg, b.emg)
    assert len(opened) <= 3 * 3  # once to list, and no more than twice to read


def test_an_empty_word_alignment_is_told(raw):
    (raw[0] / "Alignments/002/001/words_002_001_0100.txt").write_bytes(b"")
    rec = one(raw[0], "sub-002/ses-001/run-0100")
    assert rec.repairs == ("its word alignment is an empty file: no word events",)
    assert spans(rec) == [] and rec.attrs["words"] == [] and rec.attrs["transcript"] == "THIS IS A TEST"


def replace(old, new):
    return lambda data: data.replace(old, new)


BAD = {
    "empty adc": ("emg/008/001/e07_{}.adc", lambda d: b"", r"adc: the file is empty; expected rows of 7 int16"),
    "cut adc": ("emg/008/001/e07_{}.adc", lambda d: d[:-3], r"adc: byte \d+: the last row has 11 of 14 bytes"),
    "short adc": (
        "emg/008/001/e07_{}.adc",
        lambda d: d[:700],
        r"offset_\w+\.txt:2: the EMG ends at 261, but it has 50",
    ),
    "one offset": ("offset/008/001/offset_{}.txt", lambda d: d.split(b"\n")[0], r"txt:1: expected two lines of two"),
    "no offset": ("offset/008/001/offset_{}.txt", lambda d: b"", r"txt:1: expected two lines of two numbers, found 1"),
    "no number": ("offset/008/001/offset_{}.txt", replace(b"40 ", b"-40 "), r"txt:2: '-40 261' is not a begin"),
    "backwards": ("offset/008/001/offset_{}.txt", replace(b"40 ", b"400 "), r"txt:2: '400 261' is not a begin"),
    "other spans": ("offset/008/001/offset_{}.txt", replace(b"300 ", b"900 "), r"its two spans are not equally long"),
    "no frames": (
        "Alignments/008/001/words_{}.txt",
        replace(b"6 11", b"6 x"),
        r"txt:2: '6 x THIS' is not a first frame",
    ),
    "a gap": ("Alignments/008/001/words_{}.txt", replace(b"6 11", b"7 11"), r"txt:2: frames 7 to 11 do not join on; "),
    "cut words": ("Alignments/008/001/words_{}.txt", lambda d: d[:-30], r"words_\w+\.txt(:\d+)?: "),
    "other words": ("Alignments/008/001/words_{}.txt", replace(b"THIS", b"THAT"), r"its words are not those of .*tran"),
    "too far": ("Alignments/008/001/phones_{}.txt", replace(b"16 35", b"16 99"), r"txt:5: frame 99 is beyond the 221"),
    "no phone": ("Alignments/008/001/phones_{}.txt", replace(b"DH", b"DX"), r"txt:2: 'DX' is not one of the phones"),
    "not text": (
        "Transcripts/008/001/transcript_{}.txt",
        replace(b"IS A", b"\xff"),
        r"txt:1: is not plain text \(byte",
    ),
    "no wav": ("audio/008/001/a_{}.wav", lambda d: b"x" * 99, r"wav is no wav file: "),
    "empty wav": ("audio/008/001/a_{}.wav", lambda d: b"", r"wav is no wav file: it is cut off"),
    "cut wav": (
        "audio/008/001/a_{}.wav",
        lambda d: d[:-5],
        r"wav: frame \d+: the file is cut off; its header promises",
    ),
    "mono": ("audio/008/001/a_{}.wav", lambda d: wav(np.zeros((9000, 1))), r"wav: 1 tracks of 16 bit at 16000 Hz, exp"),
    "other rate": (
        "audio/008/001/a_{}.wav",
        lambda d: wav(np.zeros((9000, 2)), 8000),
        r"wav: 2 tracks of 16 bit at 8000",
    ),
    "short wav": (
        "audio/008/001/a_{}.wav",
        lambda d: wav(np.zeros((99, 2))),
        r"txt:1: the audio ends at \d+, but it has",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_named_with_its_place(raw, case):
    name, edit, says = BAD[case]
    path = raw[0] / name.format("008_001_0000")
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(InputError, match=says):
        one(raw[0], "sub-008/ses-001/run-0000")


def test_wrong_folders_and_lists(raw, tmp_path_factory):
    folder, empty = raw[0], tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match=r"expected the folders emg, offset, Subsets.* found no files"):
        items(empty)
    for kind, name in (("offset", "offset"), ("Transcripts", "transcript"), ("Alignments", "phones")):
        path = folder / f"{kind}/008/001/{name}_008_001_0000.txt"
        path.rename(path.with_suffix(".bak"))
        with pytest.raises(InputError, match=rf"008-001-0000 lacks {name}_008_001_0000\.txt; is an archive missing\?"):
            items(folder)
        assert len(items(folder, lambda subject: subject == "002")) == 6
        path.with_suffix(".bak").rename(path)
    (folder / "Alignments/002/001/phones_002_001_0100.txt").unlink()
    assert len(items(folder)) == 8  # not needed where they are wrong anyway
    train = folder / "Subsets" / "train.audible"
    text = train.read_text()
    train.write_text(text.replace("emg_008-001-0000", "emg_008-001-00"))
    with pytest.raises(InputError, match=r"train\.audible:2: 'emg_008-001-00' is no utterance such as"):
        items(folder)
    train.write_text(text.replace("emg_008-001-0000", "emg_008-001-0001"))
    with pytest.raises(InputError, match=r"emg_008-001-0001 stands in te?r?[a-z]+\.audible, too"):
        items(folder)
    train.write_text(text.replace(" emg_008-001-0000", ""))
    with pytest.raises(InputError, match=r"utterance 008-001-0000 is in none of Subsets/"):
        items(folder)


def _real():
    """Everything of the real archives by its name's end, read with tarfile alone."""
    for archive in sorted(REAL.glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    yield member.name.rpartition("/")[2], tar.extractfile(member).read()


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_corpus():
    raw = dict(_real())
    found = items(REAL)
    assert len(found) == sum(name.endswith(".adc") for name in raw) == 1520
    tally, modes, audio, repairs, seconds = Counter(), Counter(), 0, {}, 0.0
    for item in found:
        rec = item.read()
        key = item.id.replace("sub-", "").replace("ses-", "").replace("run-", "").replace("/", "_")
        a, b, c, d = (int(word) for word in raw[f"offset_{key}.txt"].split())
        whole = np.frombuffer(raw[f"e07_{key}.adc"], "<i2").reshape(-1, 7)
        np.testing.assert_array_equal(rec.emg.T, whole[c:d, [0, 1, 2, 3, 5]])
        assert rec.attrs["transcript"] == raw[f"transcript_{key}.txt"].decode().strip()
        modes[rec.attrs["mode"], rec.attrs["subset"]] += 1
        seconds += len(whole) / 600
        if "audio" in rec.streams:
            audio += 1
            with wave.open(io.BytesIO(raw[f"a_{key}.wav"])) as sound:
                left = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")[::2]
            np.testing.assert_array_equal(rec.streams["audio"].values[0], left[a:b])
        for _, length, name in spans(rec):
            tally[name, "events"] += 1
            tally[name, "samples"] += length
        if rec.repairs:
            repairs[rec.id] = rec.repairs
    assert audio == 100
    assert seconds / 60 == pytest.approx(97.5, abs=0.05)  # the data's README
    assert set(repairs) == {"sub-004/ses-001/run-0203", "sub-004/ses-001/run-0230"}
    assert modes == {  # 3 three-mode sessions of speakers 002 and 004, 2 of 008; 002-101 has 500 + 20
        **{(mode, "train"): 5 * 40 for mode in ("whispered", "silent")},
        **{(mode, "test"): 5 * 10 for mode in ("whispered", "silent")},
        ("audible", "train"): 10 * 40 + 500,
        ("audible", "test"): 10 * 10 + 20,
    }
    expected = Counter()
    for name, data in raw.items():
        match = re.fullmatch(r"(words|phones)_(\d{3})_(\d{3})_\d{4}\.txt", name)
        if match is None or (match[1] == "phones" and f"{match[2]}-{match[3]}" in CARD.options["wrong_phones"]):
            continue
        for line in data.decode().splitlines():
            first, last, word = line.split()
            label = word if match[1] == "phones" else "word"
            if word != "$":
                expected[label, "events"] += 1
                expected[label, "samples"] += 6 * (int(last) - int(first) + 1)
    assert tally == expected


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_manuals_worked_example():
    rec = one(REAL, "sub-002/ses-001/run-0100")
    assert rec.emg.shape[1] == 3462 and rec.streams["audio"].values.shape[1] == 92345  # manual, section 6
    assert spans(rec)[:2] == [(300, 180, "word"), (480, 264, "word")]  # 50 79 THIS, 80 123 COUNTRY
    assert rec.attrs["words"][:2] == ["THIS", "COUNTRY"]
