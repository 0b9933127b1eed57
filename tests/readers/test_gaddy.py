"""gaddy: the set's layout against plain numpy and soundfile, its pairs and lists, and every way a file can be wrong."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest

pytest.importorskip("soundfile")  # comes with the extra `readers`
from make_gaddy import BOOK, PARTS, flac, make_gaddy, npy, spoken, textgrid, utterance

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.readers.gaddy_files import info_of
from myoflow.readers.source import File
from myoflow.readers.textgrid import tiers_of
from myoflow.store import layout, open_store

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats" / "gaddy_info_json.tar.xz"
CARD = load_card("gaddy_silent_speech")
GIVEN = attrs.evolve(CARD, options=CARD.options | {"alignments": "given"})


def items(place, wanted=None, card=CARD):
    return list(READERS["gaddy"](card).recordings(open_source(place), wanted))


def one(place, identity, card=CARD):
    (item,) = [item for item in items(place, card=card) if item.id.endswith(identity)]
    rec = pickle.loads(pickle.dumps(item.load()))()
    layout.check(rec)
    return rec


def spans(rec):
    names = [rec.events.names[i] for i in rec.events.label]
    return list(zip(rec.events.onset.tolist(), rec.events.length.tolist(), names, strict=True))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaddy")
    return folder, make_gaddy(folder)


@pytest.fixture
def copy(corpus, tmp_path):
    return Path(shutil.copytree(corpus[0], tmp_path / "copy"))


def test_every_utterance_is_a_recording(corpus):
    folder, made = corpus
    found = items(folder)
    assert len(found) == len(made) == 17
    sessions = Counter(item.id.split("/")[1] for item in found)
    assert sessions == {
        "ses-0504silent": 6,
        "ses-0504voiced": 4,
        "ses-0510voiced": 4,
        "ses-042502nonparallel": 2,
        "ses-0519closedvoiced": 1,
    }
    assert [item.id for item in found] == sorted(item.id for item in found)
    assert items(folder, lambda subject: subject == "2") == []


def test_streams_start_together_at_their_own_rates(corpus):
    folder, made = corpus
    truth = made["5-4/3"]
    rec = one(folder, "0504voiced/run-0003")
    np.testing.assert_array_equal(rec.emg.T, truth["emg"].astype(np.float32))
    assert rec.emg.shape == (8, truth["samples"]) and rec.rate_hz == 1000 and rec.units == "uV"
    np.testing.assert_array_equal(rec.streams["button"].values[0], truth["button"])
    np.testing.assert_array_equal(rec.streams["audio"].values[0], truth["audio"])
    np.testing.assert_array_equal(rec.streams["audio_clean"].values[0], truth["clean"])
    assert {name: stream.rate_hz for name, stream in rec.streams.items()} == {
        "button": 1000,
        "audio": 16000,
        "audio_clean": 16000,
    }
    assert abs(truth["audio"].size / 16000 - truth["samples"] / 1000) < 0.01  # neither was cut to the other
    assert rec.repairs == () and rec.attrs["audio_gain"] == 1 / 32768
    assert [name for name, _ in rec.sources][:2] == ["3_emg.npy", "3_audio.flac"]
    assert [name for name, _ in rec.sources][-1] == "5-4_3_audio.TextGrid"


def test_phones_and_words_follow_the_alignment(corpus):
    folder, made = corpus
    rec = one(folder, "0504voiced/run-0003")
    end = made["5-4/3"]["samples"]
    assert spans(rec) == [
        (0, 100, "sil"),
        (100, 50, "ih"),
        (100, 200, "word"),
        (150, 50, "t"),
        (200, 100, "s"),
        (300, 100, "sil"),
        (400, 50, "r"),
        (400, 200, "word"),
        (450, 50, "eh"),
        (500, 100, "d"),
        (600, end - 600, "sil"),
    ]
    assert rec.attrs["words"] == ["it's", "red"] and rec.attrs["transcript"] == "It's red."
    assert rec.events.repetition.tolist() == [1, 1, 1, 1, 1, 2, 1, 2, 1, 1, 3]
    silent = one(folder, "0504silent/run-0001")
    assert spans(silent) == [] and "words" not in silent.attrs and silent.attrs["mode"] == "silent"


def test_twins_are_joined_by_book_and_sentence(corpus):
    folder, _ = corpus
    found = {item.id: item.read() for item in items(folder)}
    by_sentence = {}
    for identity, rec in found.items():
        if "sentence_index" in rec.attrs:
            key = (rec.attrs["book"], rec.attrs["sentence_index"])
            by_sentence.setdefault((key, rec.attrs["mode"]), []).append(identity)
    for rec in found.values():
        if "twins" in rec.attrs:
            other = "voiced" if rec.attrs["mode"] == "silent" else "silent"
            key = (rec.attrs["book"], rec.attrs["sentence_index"])
            assert sorted(rec.attrs["twins"]) == sorted(by_sentence.get((key, other), []))
    # Sentence 5 is number 3 of the silent session, and was spoken on both days: that day's first.
    assert found["sub-1/ses-0504silent/run-0003"].attrs["twins"] == [
        "sub-1/ses-0504voiced/run-0001",
        "sub-1/ses-0510voiced/run-0002",
    ]
    assert found["sub-1/ses-042502nonparallel/run-0001"].attrs["twins"] == []


def test_subsets_are_the_published_lists_without_their_defects(corpus):
    folder, _ = corpus
    found = {item.id.removeprefix("sub-1/ses-"): item.read().attrs for item in items(folder)}
    subsets = {key: (told.get("subset"), told.get("subset_original")) for key, told in found.items()}
    assert subsets == {
        "0504silent/run-0000": (None, None),  # silence
        "0504silent/run-0001": ("test", "test"),  # 73
        "0504silent/run-0002": ("dev", "train"),  # 2
        "0504silent/run-0003": ("train", "train"),  # 5
        "0504silent/run-0004": ("train", "dev"),  # 284
        "0504silent/run-0005": ("test", "test"),  # 432, though the original dev has it
        "0504voiced/run-0000": (None, None),
        "0504voiced/run-0001": ("train", "train"),
        "0504voiced/run-0002": ("held_out", "train"),
        "0504voiced/run-0003": ("held_out", "held_out"),
        "0510voiced/run-0000": (None, None),
        "0510voiced/run-0001": ("train", "held_out"),
        "0510voiced/run-0002": ("train", "train"),
        "0510voiced/run-0003": ("held_out", "held_out"),
        "042502nonparallel/run-0000": (None, None),
        "042502nonparallel/run-0001": ("train", "train"),
        "0519closedvoiced/run-0598": (None, None),
    }
    assert found["0519closedvoiced/run-0598"]["part"] == "closed"
    assert found["0504silent/run-0000"]["silence"] and "transcript" not in found["0504silent/run-0000"]


def test_the_cards_lists():
    """Counts as in facts/silent_speech.md 1.2."""
    test, dev, small = (CARD.options[name] for name in ("test", "dev", "dev_original"))
    assert (len(set(test)), len(set(dev)), len(set(small))) == (len(test), len(dev), len(small)) == (99, 200, 28)
    assert not set(test) & (set(dev) | set(small)) and {432, 866, 806} <= set(test)
    assert len(CARD.labels) == 48
    for name, indices, says in (("dev", [432], "432 also in test"), ("test", [1, 1], "names a sentence twice")):
        with pytest.raises(InputError, match=rf"options\.{name}: {says}"):
            READERS["gaddy"](attrs.evolve(CARD, options=CARD.options | {name: indices}))


def test_a_missing_alignment_is_an_error_unless_allowed(copy):
    grid = copy / "text_alignments" / "5-4" / "5-4_2_audio.TextGrid"
    grid.unlink()
    says = r"utterance 2 of voiced_parallel_data/5-4 has no text_alignments/5-4/5-4_2_audio\.TextGrid; put text_align"
    with pytest.raises(InputError, match=says):
        items(copy)
    rec = one(copy, "0504voiced/run-0002", GIVEN)
    assert spans(rec) == [] and rec.repairs == ("it has no alignment: no phones or words",)
    assert len(spans(one(copy, "0504voiced/run-0001", GIVEN))) == 11


def test_two_archives_beside_each_other_give_the_same(corpus, tmp_path):
    folder, _ = corpus
    for part in ("emg_data", "text_alignments"):
        with tarfile.open(tmp_path / f"{part}.tar.gz", "w:gz") as tar:
            tar.add(folder / part, part)
    plain, packed = items(folder), items(tmp_path)
    assert [item.id for item in plain] == [item.id for item in packed]
    for a, b in zip(plain, packed, strict=True):
        a, b = a.read(), b.read()
        assert a.sources == b.sources and a.attrs == b.attrs and spans(a) == spans(b)


def test_what_reaches_beyond_the_emg_is_cut_and_counted(copy):
    grid = copy / "text_alignments" / "5-4" / "5-4_1_audio.TextGrid"
    tiers = spoken(1.0)
    tiers["words"][-1] = (0.6, 0.9, "late")
    tiers["words"].append((0.9, 1.0, "later"))
    grid.write_text(textgrid(tiers))
    rec = one(copy, "0504voiced/run-0001")
    end = rec.emg.shape[1]
    assert spans(rec)[-2:] == [(600, end - 600, "sil"), (600, end - 600, "word")]
    assert rec.attrs["words"] == ["it's", "red", "late"]
    assert rec.repairs == ("1 phones or words lie beyond the EMG's end and are left out",)


def test_emg_that_is_no_number_is_set_to_zero(copy):
    path = copy / "emg_data" / "voiced_parallel_data" / "5-4" / "1_emg.npy"
    emg = np.load(path)
    emg[3, 1], emg[4, 2], emg[5, 3] = np.nan, -np.inf, 1e300
    path.write_bytes(npy(emg))
    rec = one(copy, "0504voiced/run-0001")
    assert rec.emg[1, 3] == rec.emg[2, 4] == rec.emg[3, 5] == 0 and np.count_nonzero(rec.emg == 0) == 3
    assert rec.repairs == ("emg: 3 values are no numbers: set to 0",)


def test_no_clean_audio_and_audio_of_another_length(copy):
    place = copy / "emg_data" / "voiced_parallel_data" / "5-4"
    (place / "1_audio_clean.flac").unlink()
    (place / "1_audio.flac").write_bytes(flac(np.arange(16000).astype(np.int16)))
    rec = one(copy, "0504voiced/run-0001")
    assert set(rec.streams) == {"audio", "button"}
    assert rec.repairs == (f"audio is {1 - rec.emg.shape[1] / 1000:.2f} s longer than the EMG",)


def test_short_textgrids_and_points_are_read_too():
    rest = 'File type = "ooTextFile short"\n"TextGrid"\n\n0\n1\n<exists>\n2\n"TextTier"\n"p"\n0\n1\n1\n0.5\n"x"\n'
    rest += '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.5\n"say ""5"""\n0.5\n1\n""\n'
    for data in (rest.encode(), rest.encode("utf-16")):
        assert tiers_of(data, "x") == {"words": [(20, 0.0, 0.5, 'say "5"'), (23, 0.5, 1.0, "")]}
    assert tiers_of(textgrid(spoken(2.0)).encode(), "x")["words"][1][1:] == (0.1, 0.3, "it's")


def replace(old, new):
    def change(data):
        assert old in data
        return data.replace(old, new, 1)

    return change


def info(**values):
    return lambda data: json.dumps(json.loads(data) | values).encode()


def array(change):
    return lambda data: npy(change(np.load(io.BytesIO(data))))


DATA, GRID = "emg_data/voiced_parallel_data/5-4/1_{}", "text_alignments/5-4/5-4_1_audio.TextGrid"
BAD = {
    "empty emg": (DATA.format("emg.npy"), lambda d: b"", r"1_emg\.npy: the file is empty"),
    "cut emg": (DATA.format("emg.npy"), lambda d: d[:-9], r"1_emg\.npy: cannot be read as a numpy file: .*are there"),
    "shorter emg": (DATA.format("emg.npy"), array(lambda a: a[:-6]), r"1_emg\.npy: holds float64 of shape \(\d+, 8\)"),
    "seven channels": (DATA.format("emg.npy"), array(lambda a: a[:, :7]), r"1_emg\.npy: .*its info\.json and the card"),
    "counts": (DATA.format("emg.npy"), array(lambda a: a.astype(np.int32)), r"1_emg\.npy: holds int32"),
    "objects": (DATA.format("emg.npy"), array(lambda a: a[:1].astype(object)), r"1_emg\.npy: .*Python objects"),
    "no numbers": (
        DATA.format("emg.npy"),
        array(lambda a: np.where(np.arange(len(a))[:, None] % 5, a, np.nan)),
        r"1_emg\.npy: \d+ of \d+ values are no numbers",
    ),
    "still": (DATA.format("emg.npy"), array(lambda a: 0 * a + 3000), r"1_emg\.npy: no channel moves by more than 0 uV"),
    "in volts": (DATA.format("emg.npy"), array(lambda a: a * 1e-6), r"than 0\.00\d+ uV; were the .* is it in uV\?"),
    "no sound": (
        DATA.format("audio_clean.flac"),
        lambda d: flac(np.zeros(11000, np.int16)),
        r"1_audio_clean\.flac: is silence throughout, but utterance 1 of voiced_parallel_data/5-4 was spoken",
    ),
    "text": (DATA.format("emg.npy"), lambda d: b"1 2 3\n" * 99, r"1_emg\.npy: cannot be read as a numpy file"),
    "button": (DATA.format("button.npy"), array(lambda a: a[1:]), r"1_button\.npy: holds bool of shape"),
    "no flac": (DATA.format("audio.flac"), lambda d: b"RIFF" + d, r"1_audio\.flac: is no FLAC file; it starts with"),
    "empty flac": (DATA.format("audio.flac"), lambda d: b"", r"1_audio\.flac: is no FLAC file"),
    "cut flac": (DATA.format("audio.flac"), lambda d: d[: len(d) // 2], r"1_audio\.flac: "),
    "stereo": (
        DATA.format("audio.flac"),
        lambda d: flac(np.zeros((99, 2), np.int16)),
        r"1_audio\.flac: 2 tracks of PCM_16, expected one",
    ),
    "24 bits": (
        DATA.format("audio.flac"),
        lambda d: flac(np.zeros(99, np.int32), subtype="PCM_24"),
        r"1_audio\.flac: 1 tracks of PCM_24",
    ),
    "sound too short": (
        DATA.format("audio.flac"),
        lambda d: flac(np.zeros(1600, np.int16)),
        r"1_audio\.flac: lasts 0\.10 s, but the EMG of utterance 1 of voiced_parallel_data/5-4 0\.\d\d s; is it cut",
    ),
    "sound of another": (
        DATA.format("audio.flac"),
        lambda d: flac(np.zeros(48000, np.int16)),
        r"1_audio\.flac: lasts 3\.00 s, but the EMG of utterance 1 .* of another utterance\?",
    ),
    "no text": (DATA.format("info.json"), replace(b'"text"', b'"words"'), r"5-4/1_info\.json: has no 'text' \(str\)"),
    "unknown letter": (
        DATA.format("info.json"),
        info(text="It\ufffds red."),
        r"5-4/1_info\.json: its text has the character U\+FFFD \(the 3th\), which nobody can read",
    ),
    "control letter": (DATA.format("info.json"), info(text="\x07"), r"the character U\+0007 \(the 1th\)"),
    "no json": (DATA.format("info.json"), replace(b'"book"', b"book"), r"1_info\.json:1: is no JSON"),
    "latin": (DATA.format("info.json"), replace(b"red", b"\xe9"), r"1_info\.json: is no JSON"),
    "no book": (DATA.format("info.json"), replace(b'"book"', b'"b"'), r"1_info\.json: has no 'book' \(str\)"),
    "index": (DATA.format("info.json"), info(sentence_index="5"), r"1_info\.json: has no 'sentence_index' \(int\)"),
    "chunk": (DATA.format("info.json"), info(chunks=[[1, 2, 3], [1, 2]]), r"1_info\.json: chunk 2 is \[1, 2\], not"),
    "other chunks": (DATA.format("info.json"), info(chunks=[[9, 144, 9]]), r"1_emg\.npy: .* want 9 x 8"),
    "empty grid": (GRID, lambda d: b"", r"TextGrid: the file is empty"),
    "cut grid": (GRID, lambda d: d[: len(d) // 2], r"TextGrid:\d+: ends where .* is due; the file is cut off"),
    "no grid": (GRID, replace(b"TextGrid", b"Sound"), r"TextGrid:1: is no TextGrid"),
    "no tier": (GRID, replace(b'"phones"', b'"segments"'), r"TextGrid: has no tier phones; it has words, segments"),
    "no phone": (GRID, replace(b'"IH1"', b'"XX1"'), r"TextGrid:\d+: 'XX1' is not one of the phones"),
    "grid of another length": (
        GRID,
        lambda d: textgrid(spoken(5.0)).encode(),
        r"TextGrid: ends at 5\.00 s, but the sound of utterance 1 of voiced_parallel_data/5-4 lasts 0\.\d\d s; is",
    ),
    "grid of another text": (
        GRID,
        lambda d: d.replace(b"it's", b"no").replace(b"red", b"one"),
        r"TextGrid: its words \(no one\) are not the text of utterance 1 of voiced_parallel_data/5-4 \(its red\)",
    ),
    "an overlap": (GRID, replace(b"xmin = 0.15", b"xmin = 0.05"), r"TextGrid:\d+: tier phones: 0\.05 to 0\.2 s does"),
    "no number": (GRID, replace(b"xmin = 0.15", b"xmin = soon"), r"TextGrid:\d+: expected a number, found "),
    "not text": (GRID, replace(b"red", b"\xff\xfe"), r"TextGrid:\d+: is not plain text \(byte 0xff\)"),
    "many": (GRID, replace(b"size = 5", b"size = 5000000"), r"TextGrid:\d+: 5e\+06 is no number of entries"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_named_with_its_place(copy, case):
    name, change, says = BAD[case]
    path = copy / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=says):
        one(copy, "0504voiced/run-0001")


def test_wrong_folders(copy, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match=r"expected folders such as voiced_parallel_data/5-4 .* found no files"):
        items(empty)
    for kind in ("emg.npy", "audio.flac", "button.npy", "info.json"):
        path = copy / DATA.format(kind)
        path.rename(copy / "aside")
        with pytest.raises(InputError, match=rf"utterance 1 of voiced_parallel_data/5-4 lacks 1_{kind}"):
            items(copy)
        (copy / "aside").rename(path)
    utterance(copy, PARTS["s"], "5-4", 1, 5)  # would be the session 0504silent, too
    with pytest.raises(InputError, match=r"would both be sub-1/ses-0504silent/run-0001"):
        items(copy)


def test_bad_utterances_can_be_skipped_and_are_listed(copy, tmp_path):
    """A missing sound, no text, a cut sound, a lost alignment: four of 17, the rest is whole."""
    (copy / DATA.format("audio.flac")).unlink()
    day = copy / "emg_data" / "voiced_parallel_data" / "5-10"
    (day / "1_info.json").write_text(json.dumps(json.loads((day / "1_info.json").read_text()) | {"text": 5}))
    (day / "2_audio.flac").write_bytes(flac(np.zeros(99, np.int16)))
    (copy / "text_alignments" / "5-10" / "5-10_3_audio.TextGrid").unlink()
    with pytest.raises(InputError, match=r"voiced_parallel_data/5-(4|10)"):
        convert(CARD, copy, tmp_path / "s.zarr")
    done = convert(CARD, copy, tmp_path / "s.zarr", skip_bad=True)
    expected = {
        "sub-1/ses-0504voiced/run-0001": "utterance 1 of voiced_parallel_data/5-4 lacks 1_audio.flac",
        "sub-1/ses-0510voiced/run-0001": "emg_data/voiced_parallel_data/5-10/1_info.json: has no 'text' (str)",
        "sub-1/ses-0510voiced/run-0002": "emg_data/voiced_parallel_data/5-10/2_audio.flac: lasts 0.01 s, but",
        "sub-1/ses-0510voiced/run-0003": "utterance 3 of voiced_parallel_data/5-10 has no text_alignments/5-10/",
    }
    store = open_store(tmp_path / "s.zarr")
    assert (done.written, len(store), len(done.skipped)) == (13, 13, 4)
    for told in (dict(done.skipped), store.attrs["skipped"]):
        assert {name: why for name, why in told.items() if expected[name] in why} == told
        assert set(told) == set(expected) and not any(str(copy) in why for why in told.values())
    assert all(f"skipped {name}" in str(done) for name in expected)
    twins = {twin for row in store.rows for twin in store.raw(row.id).attrs.get("twins", ())}
    assert "sub-1/ses-0504voiced/run-0001" not in twins  # what lacks a file is nobody's twin


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_file(), reason="needs ../shared/data")
def test_real_info_files_are_read():
    with tarfile.open(REAL) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.name.endswith("_info.json")}
    assert len(files) == 4
    for name, data in files.items():
        told, raw = info_of(File(name, name, data=data)), json.loads(data)
        assert (told.book, told.index, told.text) == (raw["book"], raw["sentence_index"], raw["text"])
        assert told.sizes == tuple(np.array(raw["chunks"]).sum(axis=0).tolist())
        assert abs(told.sizes[1] / 16 - told.sizes[0]) < 20  # 16 samples of sound for one of EMG, within 20 ms
    spoken_ = {info_of(File(n, n, data=d)) for n, d in files.items() if b'"sentence_index": -1' not in d}
    assert {(told.book, told.index) for told in spoken_} == {(BOOK, 347), ("datedata.txt", 497)}
