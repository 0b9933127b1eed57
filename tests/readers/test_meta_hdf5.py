"""meta_hdf5: the three layouts against plain h5py, their clocks and events, and every way a file can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import tarfile
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
from make_meta import POSE, TYPED, clock, frame_group, make_emg2pose, make_emg2qwerty, make_neuromotor, pose_file

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, meta_files, open_source
from myoflow.readers.pandas_frame import frame
from myoflow.recording import Blocks
from myoflow.store import layout

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats" / "emg2pose_hdf5.tar.xz"
ANGLES = load_card("emg2pose")
TYPING = load_card("emg2qwerty")
GESTURES = load_card("neuromotor_discrete")


def items(card, place, wanted=None):
    return list(READERS["meta_hdf5"](card).recordings(open_source(place), wanted))


def one(card, place, at=0):
    rec = pickle.loads(pickle.dumps(items(card, place)[at].load()))()
    layout.check(rec)
    return rec


def spans(rec):
    names = [rec.events.names[i] for i in rec.events.label]
    return list(zip(rec.events.onset.tolist(), rec.events.length.tolist(), names, strict=True))


def edit(path, table, change):
    """Rewrite a table's rows."""
    with h5py.File(path, "r+") as root:
        rows, head = root[table][()], dict(root[table].attrs)
        del root[table]
        root[table] = change(rows)
        root[table].attrs.update(head)


def test_pose_stands_beside_the_emg_row_by_row(tmp_path):
    made = make_emg2pose(tmp_path)
    found = items(ANGLES, tmp_path)
    session = "202212061670313600e3096cvemgposetrain2recording9"
    assert [item.id for item in found] == [f"sub-d387095792/ses-{session}/run-{side}" for side in ("left", "right")]
    for item, side in zip(found, ("left", "right"), strict=True):
        rec = item.read()
        np.testing.assert_array_equal(rec.emg.T, made[side]["emg"])
        angles = rec.streams["joint_angles"]
        np.testing.assert_array_equal(angles.values.T, made[side]["joint_angles"].astype(np.float32))
        assert angles.rate_hz == rec.rate_hz == 2000 and angles.units == "rad"
        assert rec.emg.dtype == np.float32 and np.all(rec.gain == 1) and rec.timestamp_ms is None
        assert rec.attrs["hand"] == side and rec.attrs["stage_name"] == "IndividualFingerPointingSnap_both"
        assert rec.attrs["session_name"] == POSE and rec.attrs["metadata"]["held_out_user"] == "False"
        assert rec.attrs["start_unix_s"] == made[side]["time"][0]
        assert rec.repairs == ()
    assert [item.read().attrs["subset"] for item in found] == ["train", "val"]
    # The joints' order: the authors' list, thumb_cmc_fe 0, index_mcp_aa 4, pinky_dip_fe 19.
    assert [angles.channels[i] for i in (0, 1, 4, 5, 19)] == [
        "thumb_cmc_fe",
        "thumb_cmc_aa",
        "index_mcp_aa",
        "index_mcp_fe",
        "pinky_dip_fe",
    ]


def test_rows_without_a_pose_are_untracked(tmp_path):
    make_emg2pose(tmp_path)
    rec = one(ANGLES, tmp_path)
    assert spans(rec) == [
        (0, 100, "untracked"),
        (100, 600, "tracked"),
        (700, 10, "untracked"),
        (710, 790, "tracked"),
    ]


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_file(), reason="needs ../shared/data")
def test_the_authors_own_test_file(tmp_path):
    with tarfile.open(REAL) as tar:
        (member,) = [member for member in tar if member.name.endswith(".hdf5")]
        data = tar.extractfile(member).read()
    (tmp_path / "test_data.hdf5").write_bytes(data)
    (tmp_path / "emg2pose_metadata.csv").write_text("user,side,split,filename\nd387095792,right,train,test_data\n")
    rec = one(ANGLES, tmp_path)
    with h5py.File(tmp_path / "test_data.hdf5") as root:
        rows = root["emg2pose/timeseries"][()]
    np.testing.assert_array_equal(rec.emg.T, rows["emg"])
    np.testing.assert_array_equal(rec.streams["joint_angles"].values.T, rows["joint_angles"].astype(np.float32))
    assert rec.emg.shape == (16, 100) and rec.emg[0, 0] == np.float32(0.9716964)
    np.testing.assert_array_equal(rec.timestamp_ms, 1000 * np.arange(100))  # its clock counts seconds
    assert "its clock is up to 99 s from an even 2000 Hz" in " ".join(rec.repairs)


def test_keys_and_prompts_are_events_on_the_files_clock(tmp_path):
    made = make_emg2qwerty(tmp_path)
    (item,) = items(TYPING, tmp_path)
    assert item.id == "sub-9456349/ses-1597363426/run-1"
    rec = one(TYPING, tmp_path)
    np.testing.assert_array_equal(rec.emg[:16].T, made["rows"]["emg_left"])
    np.testing.assert_array_equal(rec.emg[16:].T, made["rows"]["emg_right"])
    assert rec.channels[15:17] == ("left16", "right01")
    assert spans(rec) == [
        (100, 900, "prompt"),
        (200, 300, "Key.shift"),
        (300, 120, "T"),
        (700, 60, "other_key"),
        (800, 1, "h"),
        (3990, 10, "Key.enter"),
    ]
    assert rec.attrs["prompts"] == ["The “café”⏎"] and rec.attrs["other_names"] == ["Key.f5"]
    assert rec.attrs["metadata"]["condition"] == "on_keyboard"
    assert rec.repairs == (
        "1 prompts without a text are left out",
        "2 events lie outside the recording and are left out",
    )


def test_a_gap_in_the_clock_moves_events_and_is_kept(tmp_path):
    made = make_emg2qwerty(tmp_path)
    late = clock(4000)
    late[250:] += 0.5
    edit(tmp_path / f"{TYPED}.hdf5", "emg2qwerty/timeseries", lambda rows: (rows.__setitem__("time", late), rows)[1])
    rec = one(TYPING, tmp_path)
    assert spans(rec)[1] == (200, 50, "Key.shift")  # let go during the gap
    assert made["keys"][2]["start"] < late[250] and (250, 1, "T") in spans(rec)  # all of it in the gap
    assert rec.timestamp_ms[248] == 124 and rec.timestamp_ms[250] == 625
    assert "up to 0.5 s" in " ".join(rec.repairs)


def test_gestures_are_moments_with_stages_around_them(tmp_path):
    rows = make_neuromotor(tmp_path)
    (item,) = items(GESTURES, tmp_path)
    assert item.id == "sub-007/ses-001/run-1"
    rec = one(GESTURES, tmp_path)
    np.testing.assert_array_equal(rec.emg.T, rows["emg"])
    assert spans(rec) == [
        (300, 1100, "stage"),
        (400, 1, "index_press"),
        (401, 1, "thumb_up"),
        (1500, 1400, "stage"),
        (2000, 1, "other"),
    ]
    assert rec.attrs["stages"] == ["static_arm_in_lap", "static_arm_in_front"]
    assert rec.attrs["other_names"] == ["index_hold"] and rec.attrs["subset"] == "val"
    assert rec.attrs["metadata"] == {"dataset": "discrete_gestures_user_007_dataset_001", "split": "val"}
    assert rec.repairs == ("1 events lie outside the recording and are left out",)
    os.remove(tmp_path / "discrete_gestures_corpus.csv")
    assert "subset" not in one(GESTURES, tmp_path).attrs


def test_the_other_two_tasks_need_only_a_card(tmp_path):
    card = attrs.evolve(GESTURES, options=GESTURES.options | {"task": "wrist"})
    rows = make_neuromotor(tmp_path, "wrist")
    rec = one(card, tmp_path)
    np.testing.assert_array_equal(rec.streams["wrist_angles"].values.T, rows["wrist_angles"])
    make_neuromotor(tmp_path, "handwriting")
    card = attrs.evolve(GESTURES, options=GESTURES.options | {"task": "handwriting"})
    (tmp_path / "wrist_user_007_dataset_001.hdf5").unlink()
    rec = one(card, tmp_path)
    assert spans(rec)[0] == (10, 790, "prompt") and rec.attrs["prompts"] == ["hello world", "emg"]


def test_a_long_recording_comes_in_blocks(tmp_path, monkeypatch):
    made = make_emg2pose(tmp_path)
    short = one(ANGLES, tmp_path)
    monkeypatch.setattr(meta_files, "_IN_MEMORY", 0)
    monkeypatch.setattr(meta_files, "_ROWS", 400)
    long = one(ANGLES, tmp_path)
    assert isinstance(long.emg, Blocks) and isinstance(long.streams["joint_angles"].values, Blocks)
    assert [block.shape for block in long.emg.blocks()] == [(16, 400)] * 3 + [(16, 300)]
    np.testing.assert_array_equal(np.asarray(long.emg).T, made["left"]["emg"])
    assert spans(long) == spans(short) and long.sources == short.sources
    layout.write_group(tmp_path / "group", long, layout.Origin("emg2pose", "meta_hdf5", "1"))
    back = layout.read_group(tmp_path / "group")
    np.testing.assert_array_equal(back.emg, short.emg)
    np.testing.assert_array_equal(back.streams["joint_angles"].values, short.streams["joint_angles"].values)


def test_an_archive_gives_the_same(tmp_path):
    made = make_emg2pose(tmp_path)
    with tarfile.open(tmp_path / "emg2pose.tar", "w") as tar:
        for path in [*sorted(tmp_path.glob(f"{POSE}*")), tmp_path / "metadata.csv"]:
            tar.add(path, f"emg2pose_dataset/{path.name}")
    rec = one(ANGLES, tmp_path / "emg2pose.tar", 1)
    np.testing.assert_array_equal(rec.emg.T, made["right"]["emg"])
    assert rec.sources == one(ANGLES, tmp_path / "emg2pose.tar", 1).sources
    assert len(items(ANGLES, tmp_path / "emg2pose.tar", lambda subject: subject == "other")) == 0


def test_emg_that_is_no_number_is_set_to_zero_and_angles_stay(tmp_path):
    make_emg2pose(tmp_path)

    def holes(rows):
        rows["emg"][5, 2], rows["emg"][6, 3], rows["joint_angles"][8, 4] = np.nan, np.inf, np.nan
        return rows

    edit(tmp_path / f"{POSE}_left.hdf5", "emg2pose/timeseries", holes)
    rec = one(ANGLES, tmp_path)
    assert rec.emg[2, 5] == rec.emg[3, 6] == 0 and np.isnan(rec.streams["joint_angles"].values[4, 8])
    assert "emg: 2 values are no numbers: set to 0" in rec.repairs


def test_a_table_by_pandas_itself(tmp_path):
    """Needs PyTables, which pandas writes with; it is not among our requirements."""
    pytest.importorskip("tables")
    import pandas as pd

    path = tmp_path / "x.h5"
    columns = {"start": [1.5, 2.5], "end": [2.0, 3.0], "name": ["a", "é"], "prompt": ["x", "y z"]}
    for key, kind in (("old", object), ("new", "str")):
        pd.DataFrame(columns).astype({"name": kind, "prompt": kind}).to_hdf(path, key=key)
    with h5py.File(path, "r+") as root:
        frame_group(root, "ours", columns)
        assert frame(root["old"]) == frame(root["new"]) == frame(root["ours"]) == columns
    assert pd.read_hdf(path, "old").to_dict("list") == columns


def test_pickled_texts_cannot_run_code(tmp_path):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(ran),)

    make_neuromotor(tmp_path)
    with h5py.File(tmp_path / "discrete_gestures_user_007_dataset_001.hdf5", "r+") as root:
        root["prompts/block1_values"][0] = np.frombuffer(pickle.dumps(Evil()), np.uint8)
    with pytest.raises(InputError, match=r"dataset_001\.hdf5: .*its pickled texts want \w+\.mkdir; this is refused"):
        one(GESTURES, tmp_path)
    assert not ran.exists()


def rows_with(**values):
    def change(rows):
        for name, (at, value) in values.items():
            rows[name][at] = value
        return rows

    return change


BAD_ROWS = {
    "backwards": (rows_with(time=(7, 0.0)), r"emg2pose/timeseries row 8: time runs backwards"),
    "no time": (rows_with(time=(7, np.nan)), r"emg2pose/timeseries row 8: time is no number"),
    "no rows": (lambda rows: rows[:0], r"is no table of rows with named columns, or is empty"),
    "a plain array": (lambda rows: rows["emg"], r"is no table of rows with named columns"),
    "no angles": (lambda rows: rows[["time", "emg"]].copy(), r"has no column joint_angles; it has time, emg"),
    "eight channels": (
        lambda rows: np.zeros(5, [("time", "f8"), ("joint_angles", "f8", (20,)), ("emg", "f4", (8,))]),
        r"column emg is .*, expected 16 numbers",
    ),
    "whole numbers": (
        lambda rows: np.zeros(5, [("time", "f8"), ("joint_angles", "f8", (20,)), ("emg", "i2", (16,))]),
        r"column emg is .*, expected 16 numbers",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_wrong_rows_are_named(tmp_path, case):
    make_emg2pose(tmp_path)
    change, says = BAD_ROWS[case]
    edit(tmp_path / f"{POSE}_left.hdf5", "emg2pose/timeseries", change)
    with pytest.raises(InputError, match=rf"recording-9_left\.hdf5: .*{says}|recording-9_left\.hdf5: {says}"):
        one(ANGLES, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"sample_rate": 1000.0}, r"is sampled at 1000 Hz, emg2pose at 2000"),
        ({"user": "d1"}, r"its user is 'd1', metadata\.csv says 'd387095792'"),
        ({"side": "right"}, r"its side is 'right', metadata\.csv says 'left'"),
        ({"stage": "Rest"}, r"its stage is 'Rest', metadata\.csv says 'Individual"),
    ],
)
def test_a_file_that_says_it_is_another_is_refused(tmp_path, attributes, says):
    made = make_emg2pose(tmp_path)
    pose_file(tmp_path / f"{POSE}_left.hdf5", made["left"], **attributes)
    with pytest.raises(InputError, match=says):
        one(ANGLES, tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda data: b"", r"left\.hdf5: "),
        (lambda data: data[: len(data) // 2], r"left\.hdf5: cannot be read as one of Meta's EMG files .*truncated"),
        (lambda data: b"time,emg\n" * 99, r"left\.hdf5: cannot be read as one of Meta's EMG files"),
        (lambda data: data[:2000] + bytes(600) + data[2600:], r"left\.hdf5: "),
    ],
)
def test_damaged_files_are_named(tmp_path, data, says):
    make_emg2pose(tmp_path)
    path = tmp_path / f"{POSE}_left.hdf5"
    path.write_bytes(data(path.read_bytes()))
    with pytest.raises(InputError, match=says):
        one(ANGLES, tmp_path)


def test_flipped_bits_never_end_in_a_traceback(tmp_path):
    make_neuromotor(tmp_path)
    path = tmp_path / "discrete_gestures_user_007_dataset_001.hdf5"
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    heads = [i for i in range(len(whole)) if i < 4096 or i > len(whole) - 8000]  # not the samples
    refused = 0
    for _ in range(40):
        data = bytearray(whole)
        for at in rng.choice(heads, 4):
            data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            one(GESTURES, tmp_path)
        except InputError as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 4


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("keystrokes", "[{]", r"attribute keystrokes is no JSON: "),
        ("keystrokes", "{}", r"attribute keystrokes is no list"),
        (
            "keystrokes",
            json.dumps([{"key": 5, "start": 1.0}]),
            r"keystrokes 1: expected a start, a later end and a key",
        ),
        ("keystrokes", json.dumps([{"key": "a", "start": 2, "end": 1}]), r"keystrokes 1: expected a start, a later"),
        ("keystrokes", '[{"key": "a", "start": NaN}]', r"keystrokes 1: expected a start"),
        ("prompts", json.dumps([{"payload": {"x": 1}, "start": 1}]), r"prompts 1: expected a start, .* and a text"),
        ("prompts", None, r"has no attribute prompts; it has "),
    ],
)
def test_wrong_keys_are_named(tmp_path, name, value, says):
    make_emg2qwerty(tmp_path)
    with h5py.File(tmp_path / f"{TYPED}.hdf5", "r+") as root:
        del root["emg2qwerty"].attrs[name]
        if value is not None:
            root["emg2qwerty"].attrs[name] = value
    with pytest.raises(InputError, match=rf"keystrokes-09456349\.hdf5: {says}"):
        one(TYPING, tmp_path)


def test_wrong_folders_lists_and_cards(tmp_path):
    with pytest.raises(InputError, match=r"expected \.hdf5 files and metadata\.csv; found no files"):
        items(ANGLES, tmp_path)
    make_emg2pose(tmp_path)
    with pytest.raises(InputError, match=r"has no table data; it has emg2pose|expected a name such as discrete_gest"):
        items(GESTURES, tmp_path)
    text = (tmp_path / "metadata.csv").read_text()
    (tmp_path / "metadata.csv").write_text(text.replace("_right", "_wrong"))
    with pytest.raises(InputError, match=r"recording-9_right\.hdf5 is not in metadata\.csv, so whose it is is not"):
        items(ANGLES, tmp_path)
    (tmp_path / "metadata.csv").write_text(text.replace("filename", "file"))
    with pytest.raises(InputError, match=r"metadata\.csv:2: expected 10 columns, one of them filename"):
        items(ANGLES, tmp_path)
    (tmp_path / "metadata.csv").write_bytes(b"user,filename\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"metadata\.csv: cannot be read as a table \(csv\)"):
        items(ANGLES, tmp_path)
    (tmp_path / "metadata.csv").write_text(text)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{POSE}_left.hdf5").write_bytes(b"")
    with pytest.raises(InputError, match=r"_left\.hdf5 and .*_left\.hdf5 would both be"):
        items(ANGLES, tmp_path)
    with pytest.raises(InputError, match=r"layout emg2pose needs the label 'untracked'"):
        READERS["meta_hdf5"](attrs.evolve(ANGLES, labels=("tracked",), unmarked=None))
    with pytest.raises(InputError, match=r"options\.task: layout neuromotor needs the task's name"):
        READERS["meta_hdf5"](attrs.evolve(GESTURES, options={"layout": "neuromotor"}))
    with pytest.raises(InputError, match=r"options\.layout"):
        READERS["meta_hdf5"](attrs.evolve(GESTURES, options={"layout": "emg2"}))


def test_another_task_is_refused(tmp_path):
    make_neuromotor(tmp_path, "wrist")
    (tmp_path / "wrist_user_007_dataset_001.hdf5").rename(tmp_path / "discrete_gestures_user_007_dataset_001.hdf5")
    with pytest.raises(InputError, match=r"its task is 'wrist', the card's discrete_gestures"):
        one(GESTURES, tmp_path)


def test_the_cards_hold_out_whole_people():
    strict = TYPING.splits["strict"]
    assert len(strict.test) == len(strict.valid) == 8 and not set(strict.test) & set(strict.valid)
    assert [len(TYPING.splits[f"personal_user{i}"].train) for i in range(8)] == [10, 9, 9, 8, 8, 8, 8, 8]
    assert len(TYPING.labels) == 100 and len(set(TYPING.labels)) == 100
