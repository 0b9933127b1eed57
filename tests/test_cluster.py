"""Cluster: a scheduler and workers as processes of their own; a killed one loses nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from make_recordings import tree
from make_uci import make_uci

from myoflow.card import load_card
from myoflow.conversion import convert
from myoflow.errors import InputError, MyoflowError
from myoflow.progress import Progress
from myoflow.store import open_store, verify

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[1]


def launch(*arguments, until):
    """A dask process, and what `until` found in its log."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    for line in process.stderr:
        if match := re.search(until, line):
            return process, match[1]
    raise AssertionError(f"{arguments[0]} ended with {process.wait()}")


@pytest.fixture
def cluster():
    """The scheduler's address and two workers, each with a thread."""
    scheduler, address = launch(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", until=r"Scheduler at: +(tcp://\S+)"
    )
    made = [scheduler]
    try:
        for _ in range(2):
            worker, _ = launch(
                "dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", until=r"(Registered to)"
            )
            made.append(worker)
        yield address, made[1:]
    finally:
        for process in made:
            process.kill()
            process.communicate()


class Kill(Progress):
    """Kills the first worker when two recordings are done."""

    def __init__(self, worker):
        self.worker = worker
        self.done = 0

    def phase(self, title, total=None):
        from contextlib import contextmanager

        @contextmanager
        def phase():
            yield self.count

        return phase()

    def count(self, steps):
        self.done += steps
        if self.done == 2:
            self.worker.send_signal(signal.SIGKILL)
            self.worker.wait()


@pytest.mark.slow
def test_workers_make_the_same_store_and_a_killed_one_loses_nothing(cluster, tmp_path):
    address, workers = cluster
    card = load_card("uci_emg")
    make_uci(tmp_path / "raw", 12, span=40)
    convert(card, tmp_path / "raw", tmp_path / "alone.zarr")
    killer = Kill(workers[0])
    summary = convert(card, tmp_path / "raw", tmp_path / "s.zarr", cluster=address, progress=killer)
    assert workers[0].poll() == -signal.SIGKILL
    assert summary.written == 24
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "alone.zarr")
    # an error of the files comes back as it is, and what was whole stays
    broken = next((tmp_path / "raw" / "09").glob("2_*"))
    broken.write_bytes(broken.read_bytes()[:3000] + b"x")
    with pytest.raises(InputError, match=str(broken)):
        convert(card, tmp_path / "raw", tmp_path / "t.zarr", cluster=address)
    store = open_store(tmp_path / "t.zarr")
    assert verify(store) == []
    assert not (tmp_path / "t.zarr" / ".tmp").exists()


@pytest.mark.slow
def test_a_cluster_without_workers_is_said_plainly(cluster, tmp_path, monkeypatch):
    from myoflow import cluster as module

    monkeypatch.setattr(module, "PATIENCE_S", 2.0)
    address, workers = cluster
    for worker in workers:
        worker.kill()
        worker.wait()
    time.sleep(0.5)
    make_uci(tmp_path / "raw", 1)
    with pytest.raises(MyoflowError, match="has had no worker for 2 s"):
        convert(load_card("uci_emg"), tmp_path / "raw", tmp_path / "s.zarr", cluster=address)
    assert len(open_store(tmp_path / "s.zarr")) == 0


def test_no_scheduler_is_said_plainly(tmp_path, monkeypatch):
    from myoflow import cluster as module

    monkeypatch.setattr(module, "_ANSWER_S", 0.5)
    make_uci(tmp_path / "raw", 1)
    card = load_card("uci_emg")
    with pytest.raises(InputError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        convert(card, tmp_path / "raw", tmp_path / "s.zarr", cluster="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="give one of them"):
        convert(card, tmp_path / "raw", tmp_path / "s.zarr", cluster="tcp://127.0.0.1:9", jobs=2)


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    make_uci(tmp_path / "raw", 1)
    with pytest.raises(InputError, match=r"pip install 'myoflow\[dask\]'"):
        convert(load_card("uci_emg"), tmp_path / "raw", tmp_path / "s.zarr", cluster="tcp://127.0.0.1:9")
