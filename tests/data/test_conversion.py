"""Convert: from raw files to a store, whole or continued, in one process or several."""

import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
import pytest
from make_recordings import tree
from make_uci import make_uci, pack

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError, MyoflowError
from myoflow.parallel import Workers
from myoflow.progress import Progress
from myoflow.store import Tally, Writer, open_store, verify

module = importlib.import_module("myoflow.data.conversion")
_alive = module._staged

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "uci_emg_gestures"

# Dies by its own hand at a moment that is counted and not timed: once so many recordings are in their places (`done`)
# and so many files or folders of the stores have been opened, made, renamed or removed since.
DYING = """
import itertools, os, signal, sys
def die(stores, done, more):
    left, moved = itertools.count(), [0]
    def happens(event, arguments):
        if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            return
        path = str(arguments[0])
        if stores not in path:
            return
        if moved[0] == done and next(left) == more:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.rename" and os.path.basename(str(arguments[1])).startswith("run-"):
            moved[0] += 1
    sys.addaudithook(happens)
"""
CHILD = f"""{DYING}
import signal, time
from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.parallel import Workers
from myoflow.progress import Progress
from contextlib import nullcontext
class Told(Progress):
    # Says how many are done, and waits to be interrupted before it would be over.
    def phase(self, title, total=None):
        self.done = 0
        def advance(steps):
            self.done += steps
            print(self.done, flush=True)
            if self.done == total - 1:
                time.sleep(3600)
        return nullcontext(advance)
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests run in the background may have it ignored
    raw, store, jobs, *moment = sys.argv[1:]
    if moment:
        die(store, *map(int, moment))
    progress = None if moment else Told()
    convert(load_card("uci_emg"), raw, store, workers=Workers(jobs=int(jobs)), progress=progress)
"""


@pytest.fixture(scope="module")
def card():
    return load_card("uci_emg")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return folder, make_uci(folder, 3)


@pytest.fixture(scope="module")
def whole(card, raw, tmp_path_factory):
    """An undisturbed store of `raw`."""
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    convert(card, raw[0], path)
    return tree(path)


def start(tmp_path, *arguments):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    return subprocess.Popen(
        [sys.executable, script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_summary_counts_what_is_in_the_files(card, raw, tmp_path):
    summary = convert(card, raw[0], tmp_path / "s.zarr")
    label = np.concatenate([table[:, 9] for table in raw[1].values()])
    assert (summary.written, summary.there, summary.missing) == (6, 0, 33)
    assert summary.samples == len(label)
    for value, name in enumerate(card.labels):
        events = 12 if 1 <= value <= 6 else 0
        assert summary.labels[name] == Tally(events, int(np.count_nonzero(label == value)))
    assert [identity for identity, _ in summary.repairs] == ["sub-03/ses-02/run-1"]
    text = str(summary)
    assert "6 recordings written, 0 were there" in text
    assert "sub-03/ses-02/run-1: last row" in text
    assert "33 of the dataset's subjects are not in the raw files" in text


def test_archive_folder_order_and_jobs_make_no_difference(card, raw, whole, tmp_path):
    convert(card, pack(raw[0], tmp_path / "a.tar.xz"), tmp_path / "tar.zarr")
    convert(card, pack(raw[0], tmp_path / "a.zip"), tmp_path / "zip.zarr", workers=Workers(jobs=2))
    convert(card, raw[0], tmp_path / "parts.zarr", subjects="3")
    convert(card, raw[0], tmp_path / "parts.zarr", subjects=[1])
    convert(card, raw[0], tmp_path / "parts.zarr")
    for name in ("tar", "zip", "parts"):
        assert tree(tmp_path / f"{name}.zarr") == whole, name
    assert verify(open_store(tmp_path / "tar.zarr")) == []


def test_whole_recordings_are_not_read_again(card, raw, whole, tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    convert(card, raw[0], path, subjects="1..2")
    read = []
    real = module.Item.load
    monkeypatch.setattr(module.Item, "load", lambda self: read.append(self.id) or real(self))
    summary = convert(card, raw[0], path)
    assert read == ["sub-03/ses-01/run-1", "sub-03/ses-02/run-1"]
    assert (summary.written, summary.there) == (2, 4)
    again = convert(card, raw[0], path)
    assert (again.written, again.there, again.samples) == (0, 6, summary.samples)
    assert len(read) == 2
    assert tree(path) == whole


def test_a_complete_store_needs_no_lock(card, raw, whole, tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    convert(card, raw[0], path)
    digest = json.loads(whole["zarr.json"])["attributes"]["digest"]
    with Writer(path, module.root_attributes(card), digest), pytest.raises(InputError, match="another process"):
        convert(card, raw[0], path)
    monkeypatch.setattr(module, "Writer", None)
    assert convert(card, raw[0], path).there == 6


def test_a_recording_that_was_deleted_is_made_again(card, raw, whole, tmp_path):
    path = tmp_path / "s.zarr"
    convert(card, raw[0], path)
    shutil.rmtree(path / "sub-02" / "ses-01" / "run-1")
    assert convert(card, raw[0], path).written == 1
    assert tree(path) == whole


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_names_the_file_and_leaves_whole_recordings(card, raw, whole, tmp_path, jobs):
    folder = tmp_path / "raw"
    shutil.copytree(raw[0], folder)
    broken = next((folder / "02").glob("2_*"))
    good = broken.read_bytes()
    lines = good.split(b"\r\n")
    lines[40] = b"7\t0"
    broken.write_bytes(b"\r\n".join(lines))
    path = tmp_path / "s.zarr"
    with pytest.raises(InputError, match=rf"{broken}:41: 2 of 10 values"):
        convert(card, folder, path, workers=Workers(jobs=jobs))
    store = open_store(path)
    assert "sub-02/ses-02/run-1" not in {row.id for row in store.rows}
    assert verify(store) == []
    assert not (path / ".tmp").exists()
    broken.write_bytes(good)
    convert(card, folder, path, workers=Workers(jobs=jobs))
    assert tree(path) == whole


def test_wrong_raw_files_leave_no_store(card, tmp_path):
    (tmp_path / "raw").mkdir()
    for place, says in (
        (tmp_path / "raw", "expected folders"),
        (tmp_path / "gone", "there is nothing"),
        (None, "give"),
    ):
        with pytest.raises(InputError, match=says):
            convert(card, place, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize(
    ("subjects", "says"),
    [
        ("1..9", "there is no subject 4 in .*; it has 01, 02, 03"),
        ("3..1", "runs backwards"),
        ("", "expected a list such as 1..6"),
        ("1,,2", "expected a list"),
        ("1..x", "is not a range"),
        ("anna", "there is no subject anna"),
    ],
)
def test_subjects_that_are_not_there(card, raw, tmp_path, subjects, says):
    with pytest.raises(InputError, match=says):
        convert(card, raw[0], tmp_path / "s.zarr", subjects=subjects)
    assert not (tmp_path / "s.zarr").exists()


def test_other_options_do_not_mix(card, raw, tmp_path):
    convert(card, raw[0], tmp_path / "s.zarr", subjects="1")
    before = tree(tmp_path / "s.zarr")
    other = attrs.evolve(card, rate=967.0)
    with pytest.raises(InputError, match="other options"):
        convert(other, raw[0], tmp_path / "s.zarr")
    assert tree(tmp_path / "s.zarr") == before
    # what only describes may change, and is written anew
    convert(attrs.evolve(card, title="New title"), raw[0], tmp_path / "s.zarr", subjects="2")
    assert open_store(tmp_path / "s.zarr").attrs["title"] == "New title"


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_recordings_can_be_skipped_until_they_are_mended(card, raw, whole, tmp_path, jobs):
    copy = shutil.copytree(raw[0], tmp_path / "copy")
    victim = sorted((copy / "02").iterdir())[0]
    text = victim.read_bytes()
    victim.write_bytes(text.replace(b"\t", b";", 1))
    path = tmp_path / "s.zarr"
    workers = Workers(jobs=jobs)
    with pytest.raises(InputError, match=victim.name):
        convert(card, copy, path, workers=workers)
    done = convert(card, copy, path, workers=workers, skip_bad=True)
    ((name, why),) = done.skipped
    assert name == "sub-02/ses-01/run-1" and why.startswith(f"02/{victim.name}:1:")
    assert done.written + done.there == len(open_store(path)) == 5
    assert open_store(path).attrs["skipped"] == {name: why}
    again = convert(card, copy, path, subjects="1", workers=workers)  # what was skipped is not forgotten
    assert again.skipped == () and open_store(path).attrs["skipped"] == {name: why}
    victim.write_bytes(text)
    assert convert(card, copy, path, workers=workers, skip_bad=True).written == 1
    assert tree(path) == whole


def test_nothing_but_bad_recordings_is_an_error(card, raw, tmp_path):
    copy = shutil.copytree(raw[0], tmp_path / "copy")
    for file in copy.rglob("*.txt"):
        file.write_text("x")
    with pytest.raises(InputError, match=r"all 6 recordings are bad; the first one, sub-01/ses-01/run-1: 01/.*txt:1"):
        convert(card, copy, tmp_path / "s.zarr", skip_bad=True)


def test_a_full_disk_is_said_plainly(card, raw, tmp_path, monkeypatch):
    calls = []

    def full(*_):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(*_)

    from myoflow.store import layout

    real = layout.write_group
    monkeypatch.setattr(layout, "write_group", full)
    with pytest.raises(
        MyoflowError, match=r"writing .*s\.zarr failed: No space left on device\. What is in it is whole"
    ):
        convert(card, raw[0], tmp_path / "s.zarr")
    assert len(open_store(tmp_path / "s.zarr")) == 2


def test_a_dead_worker_is_said_plainly(card, raw, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_staged", _die)
    with pytest.raises(MyoflowError, match="a worker process died"):
        convert(card, raw[0], tmp_path / "s.zarr", workers=Workers(jobs=2))
    assert verify(open_store(tmp_path / "s.zarr")) == []


def _die(*arguments):
    if multiprocessing.parent_process() is not None:
        os._exit(9)
    return _alive(*arguments)


def test_progress_is_told_a_recording_at_a_time(card, raw, tmp_path):
    class Told(Progress):
        def phase(self, title, total=None):
            seen.append((title, total))
            return super().phase(title, total)

    seen = []
    convert(card, raw[0], tmp_path / "s.zarr", progress=Told())
    assert seen == [("Converting uci_emg", 6)]


def test_simulated_sets_need_no_raw_files(tmp_path):
    made = load_card("simulated_gestures")
    made = attrs.evolve(made, subjects=2, options={**made.options, "subjects": 2, "sessions": 1, "repetitions": 1})
    summary = convert(made, None, tmp_path / "s.zarr", workers=Workers(jobs=2))
    assert summary.written == 2
    assert summary.labels["fist"].events == 2
    assert summary.labels["unmarked"].samples > 0
    with pytest.raises(InputError, match="needs no raw files"):
        convert(made, tmp_path, tmp_path / "s.zarr")


@pytest.mark.parametrize(
    ("jobs", "moments"),
    # Recordings in place, and steps behind that: while a store is made, while a recording is written, as it has just
    # been put into its place. With two processes the parent's later steps depend on what the other one has done.
    [(1, [(0, 2), (0, 9), (0, 31), (1, 0), (1, 3), (2, 20)]), (2, [(0, 7), (1, 0), (2, 0)])],
)
def test_killed_at_any_moment_and_run_again_the_store_is_the_same(card, raw, whole, tmp_path, jobs, moments):
    path = tmp_path / "s.zarr"
    for moment in moments:
        child = start(tmp_path, raw[0], path, jobs, *moment)
        _, errors = child.communicate()
        assert child.returncode == -signal.SIGKILL, errors
        if path.exists() and (path / "index.json").exists():
            rows = open_store(path).rows
            assert all((path / row.id / "zarr.json").exists() for row in rows)
    convert(card, raw[0], path, workers=Workers(jobs=jobs))
    assert tree(path) == whole


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_whole_recordings_and_nothing_aside(card, tmp_path, jobs):
    make_uci(tmp_path / "raw", 20, span=40)
    path = tmp_path / "s.zarr"
    child = start(tmp_path, tmp_path / "raw", path, jobs)
    while (said := child.stdout.readline()) != "3\n":
        assert said, child.stderr.read()
    child.send_signal(signal.SIGINT)  # whatever it is doing now
    _, errors = child.communicate()
    assert child.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "pending" not in errors
    store = open_store(path)
    assert 0 < len(store) < 40
    assert verify(store) == []
    assert not (path / ".tmp").exists()


ALL = f"""{DYING}
from pathlib import Path
from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.parallel import Workers
import zarr, scipy.io
if __name__ == "__main__":
    data, stores, done, more, *names = sys.argv[1:]
    if int(done) >= 0:
        die(stores, int(done), int(more))
    for name in names:
        folder = dict(uci_emg="uci_emg_gestures").get(name, name)
        convert(load_card(name), Path(data) / folder, Path(stores) / (name + ".zarr"), workers=Workers(jobs=2))
"""


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_the_real_sets_survive_kills(tmp_path):
    """MYOFLOW_KILLS=50 for the whole acceptance test."""
    kills = int(os.environ.get("MYOFLOW_KILLS", "8"))
    names = [name for name in ("uci_emg", "ninapro_db1", "ninapro_db5") if name == "uci_emg" or _shipped(name)]
    script = tmp_path / "all.py"
    script.write_text(ALL)

    def run(stores, done=-1, more=0):
        command = [sys.executable, script, REAL.parent, tmp_path / stores, done, more, *names]
        return subprocess.run([*map(str, command)], capture_output=True, text=True)

    undisturbed = run("whole")
    assert undisturbed.returncode == 0, undisturbed.stderr
    count = sum(len(open_store(tmp_path / "whole" / f"{name}.zarr")) for name in names)
    rng = random.Random(7)
    for _ in range(kills):
        done = rng.randrange(1 + count // kills)  # no more than there are left
        killed = run("s", done, rng.randrange(2) * rng.randrange(40) if done else 5)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        for path in sorted((tmp_path / "s").glob("*.zarr")):
            if (path / "index.json").exists():
                assert verify_listed(open_store(path)) == []
    last = run("s")
    for name in names:
        assert tree(tmp_path / "s" / f"{name}.zarr") == tree(tmp_path / "whole" / f"{name}.zarr"), (name, last.stderr)


def _shipped(name):
    from myoflow import library

    return name in library.names("datasets") and (REAL.parent / name).is_dir()


def verify_listed(store):
    """What is wrong with recordings that the index lists (a killed writer leaves others, and they are whole, too)."""
    return [line for line in verify(store) if "not in the index" not in line]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_source_that_vanishes_leaves_whole_recordings(card, raw, whole, tmp_path, jobs):
    folder = tmp_path / "raw"
    shutil.copytree(raw[0], folder)

    class Vanish(Progress):
        @contextmanager
        def phase(self, title, total=None):
            yield lambda steps: shutil.rmtree(folder, ignore_errors=True)

    path = tmp_path / "s.zarr"
    with pytest.raises(InputError, match=rf"{folder}.*cannot be read: No such file"):
        convert(card, folder, path, workers=Workers(jobs=jobs), progress=Vanish())
    store = open_store(path)
    assert 1 <= len(store) < 6
    assert verify(store) == []
    convert(card, raw[0], path, workers=Workers(jobs=jobs))
    assert tree(path) == whole


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, and how to enlarge it."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", place], capture_output=True).returncode

    if os.geteuid() or mount("-o", "size=256k"):
        pytest.skip("needs the right to mount a tmpfs")
    yield place, lambda: mount("-o", "remount,size=64m")
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_disk_that_fills_up_leaves_whole_recordings(card, raw, whole, tmp_path, small_disk, jobs):
    place, enlarge = small_disk
    path = place / "s.zarr"
    with pytest.raises(MyoflowError, match=r"writing .*s\.zarr failed: No space left on device"):
        convert(card, raw[0], path, workers=Workers(jobs=jobs))
    store = open_store(path)
    assert len(store) < 6
    assert verify_listed(store) == []
    assert enlarge() == 0
    convert(card, raw[0], path, workers=Workers(jobs=jobs))
    assert tree(path) == whole
