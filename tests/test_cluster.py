"""Cluster: a scheduler and workers as processes of their own; a killed one loses nothing."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny
from make_recordings import tree
from make_uci import make_uci

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError, MyoflowError
from myoflow.parallel import Workers, workers
from myoflow.progress import Progress
from myoflow.store import open_store, verify

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[1]


def needs_jobqueue():
    """Looked for and not imported: an import would change what Ctrl-C does here."""
    if importlib.util.find_spec("dask_jobqueue") is None:
        pytest.skip("needs dask-jobqueue")


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
            # Whatever it still says is read, or it would wait for room in the pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, match[1]
    raise AssertionError(f"{arguments[0]} ended with {process.wait()}")


@pytest.fixture
def cluster(monkeypatch):
    """The scheduler's address and two workers, each with a thread."""
    monkeypatch.setattr("myoflow.cluster._ANSWER_S", 120.0)  # on a busy machine it may take its time
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
            process.wait()


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
    address, processes = cluster
    card = load_card("uci_emg")
    make_uci(tmp_path / "raw", 12, span=40)
    convert(card, tmp_path / "raw", tmp_path / "alone.zarr")
    killer = Kill(processes[0])
    summary = convert(card, tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster=address), progress=killer)
    assert processes[0].poll() == -signal.SIGKILL
    assert summary.written == 24
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "alone.zarr")
    # an error of the files comes back as it is, and what was whole stays
    broken = next((tmp_path / "raw" / "09").glob("2_*"))
    broken.write_bytes(broken.read_bytes()[:3000] + b"x")
    with pytest.raises(InputError, match=str(broken)):
        convert(card, tmp_path / "raw", tmp_path / "t.zarr", workers=Workers(cluster=address))
    store = open_store(tmp_path / "t.zarr")
    assert verify(store) == []
    assert not (tmp_path / "t.zarr" / ".tmp").exists()


@pytest.mark.slow
def test_signals_of_a_run_are_filtered_by_the_workers(cluster, tmp_path, monkeypatch):
    """With one worker killed at the start: the same signals, to the last bit, as made here."""
    from myoflow.data.prepare import signals
    from myoflow.data.source import locate_store
    from myoflow.engine import Parameters
    from myoflow.models import main_name, plan_recipe
    from myoflow.recipe import load

    monkeypatch.chdir(tmp_path)
    recipe = load(tiny.write(tmp_path))
    store = locate_store(recipe.data, Progress())
    plan = plan_recipe(recipe)[main_name(recipe)]
    stop = plan.cut - 1  # the filter; the stage behind it learns
    address, processes = cluster
    made = []
    for workers_ in (Workers(cluster=address), Workers(jobs=2)):
        cache = tmp_path / f"cache{len(made)}"
        made.append(
            signals(store, recipe.data, plan, stop, Parameters(), cache=cache, progress=Progress(), workers=workers_)
        )
        processes[0].kill()
    for one, other in zip(*made, strict=True):
        assert one.id == other.id
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.slow
def test_a_cluster_without_workers_is_said_plainly(cluster, tmp_path, monkeypatch):
    from myoflow import cluster as module

    monkeypatch.setattr(module, "PATIENCE_S", 2.0)
    address, processes = cluster
    for worker in processes:
        worker.kill()
        worker.wait()
    make_uci(tmp_path / "raw", 1)
    with pytest.raises(MyoflowError, match="has had no worker for 2 s"):
        convert(load_card("uci_emg"), tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster=address))
    assert len(open_store(tmp_path / "s.zarr")) == 0


def test_no_scheduler_is_said_plainly(tmp_path, monkeypatch):
    from myoflow import cluster as module

    monkeypatch.setattr(module, "_ANSWER_S", 0.5)
    make_uci(tmp_path / "raw", 1)
    card = load_card("uci_emg")
    with pytest.raises(InputError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        convert(card, tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster="tcp://127.0.0.1:9"))
    with pytest.raises(InputError, match="give one of them"):
        workers(jobs=2, cluster="tcp://127.0.0.1:9")


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    make_uci(tmp_path / "raw", 1)
    with pytest.raises(InputError, match=r"pip install 'myoflow\[dask\]'"):
        convert(
            load_card("uci_emg"), tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster="tcp://127.0.0.1:9")
        )


FAKE_SBATCH = """#!/bin/bash
cp "${@: -1}" "$(dirname "$0")/job.sh"  # the script is removed once it has been submitted
echo "Submitted batch job 4711"
setsid bash "$(dirname "$0")/job.sh" > "$(dirname "$0")/log" 2>&1 < /dev/null &
"""


def on_path(folder, name, text):
    """A command of that name, found first from now on."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.slow
def test_slurm_jobs_do_the_work(tmp_path, monkeypatch):
    """With an sbatch that runs the submitted script here and at once."""
    from myoflow import cluster as module

    needs_jobqueue()
    monkeypatch.setattr(module, "QUEUE_S", 600.0)
    monkeypatch.setenv("PATH", on_path(tmp_path / "bin", "sbatch", FAKE_SBATCH))
    on_path(tmp_path / "bin", "scancel", "#!/bin/bash\nexit 0\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    card = load_card("uci_emg")
    make_uci(tmp_path / "raw", 2, span=40)
    convert(card, tmp_path / "raw", tmp_path / "alone.zarr")
    slurm = Workers(cluster="slurm:jobs=1,cores=1,memory=1GB,walltime=00:10:00")
    convert(card, tmp_path / "raw", tmp_path / "s.zarr", workers=slurm)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "alone.zarr")


def test_slurm_options_reach_the_submitted_script(monkeypatch):
    needs_jobqueue()
    from myoflow.cluster import slurm_cluster, slurm_options

    options = slurm_options("jobs=3, cores=2,memory=8GB,queue=short,walltime=02:00:00")
    assert options.pop("jobs") == 3
    for name in [name for name in sys.modules if name.split(".")[0] == "dask_jobqueue"]:
        monkeypatch.delitem(sys.modules, name)  # whose import takes Ctrl-C for itself
    pressed = signal.getsignal(signal.SIGINT)
    made = slurm_cluster(options)
    try:
        assert signal.getsignal(signal.SIGINT) is pressed
        script = made.job_script()
    finally:
        made.close()
    for line in ("-p short", "-t 02:00:00", "--mem=8G", "--cpus-per-task=2"):
        assert line in script


@pytest.mark.parametrize(
    ("text", "message"),
    [("gpus=1", "'gpus=1' is not one of jobs="), ("jobs=x", "jobs takes a whole number"), ("cores=0", "at least 1")],
)
def test_wrong_slurm_options_are_named(text, message):
    from myoflow.cluster import slurm_options

    with pytest.raises(InputError, match=message):
        slurm_options(text)


def test_slurm_without_sbatch_or_its_package_is_said(tmp_path, monkeypatch):
    make_uci(tmp_path / "raw", 1)
    card = load_card("uci_emg")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "dask_jobqueue.slurm", None)
        with pytest.raises(InputError, match=r"pip install 'myoflow\[slurm\]'"):
            convert(card, tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster="slurm"))
    needs_jobqueue()
    with pytest.raises(InputError, match="submits jobs with sbatch, which this machine does not have"):
        convert(card, tmp_path / "raw", tmp_path / "s.zarr", workers=Workers(cluster="slurm"))
