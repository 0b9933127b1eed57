"""Cluster: recordings worked on by the workers of a dask scheduler, on one machine or many.

What they write goes aside, into a folder that all must see; the process that called renames and keeps the index, as
with `--jobs`. A worker that dies takes nothing along: dask gives its recordings to others.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from myoflow.errors import InputError, MyoflowError

PATIENCE_S = 60.0  # without a single worker, before giving up
QUEUE_S = 3600.0  # the same for a batch system, where jobs wait their turn
_ANSWER_S = 10.0
_LOOK_S = 1.0
_SLURM = "slurm"

T = TypeVar("T")


def each_on(address: str, tasks: Iterable[tuple[str, Callable[[], Callable[[], T]]]], whole: str) -> Iterator[T]:
    """Results of `tasks` as they are done by the workers of the scheduler at `address`; see `parallel.Workers`.

    Raises:
        InputError: dask is not installed, no scheduler answers, or what a job raises.
        MyoflowError: the cluster went away, or a recording killed every worker that tried it.
    """
    with _scheduler(address) as (place, patience):
        client = _client(place)
        running: dict[Any, tuple[str, Callable[[], T]]] = {}  # a job keeps the files alive that it reads
        queue = iter(tasks)
        try:
            seen = time.monotonic()
            while True:
                threads = sum(client.nthreads().values())
                # two per thread: enough to keep them busy, few enough to hold in memory
                while len(running) < 2 * max(1, threads) and (task := next(queue, None)) is not None:
                    job = task[1]()
                    running[client.submit(job, pure=False, retries=0)] = (task[0], job)
                if not running:
                    return
                for future in _finished(client, list(running)):
                    yield _result(future, running.pop(future)[0], whole)
                now = time.monotonic()
                seen = now if threads else seen
                if now - seen > patience:
                    raise MyoflowError(
                        f"the cluster at {place} has had no worker for {patience:g} s; start one with "
                        f"`dask worker {place}`. {whole}"
                    )
        except (OSError, TimeoutError) as error:
            if client.status == "running":
                raise
            raise MyoflowError(f"the cluster at {place} went away; {whole}") from error
        finally:
            _settle(client, list(running))


@contextmanager
def _scheduler(address: str) -> Iterator[tuple[str, float]]:
    """Address of the scheduler, and how long to wait for a worker; one for SLURM is started here and ended."""
    name, _, text = address.partition(":")
    if name != _SLURM:
        yield address, PATIENCE_S
        return
    options = slurm_options(text)
    jobs = options.pop("jobs")
    made = slurm_cluster(options)
    if shutil.which("sbatch") is None:
        made.close()
        raise InputError("--cluster slurm submits jobs with sbatch, which this machine does not have; log in to one")
    try:
        made.scale(jobs=jobs)
        yield made.scheduler_address, QUEUE_S
    finally:
        made.close()


def slurm_options(text: str) -> dict[str, Any]:
    """`jobs=4,cores=2,memory=8GB,queue=short,walltime=02:00:00` as what dask-jobqueue's SLURMCluster takes.

    `jobs` is how many are submitted; defaults are one job of one core, 4 GB and an hour.

    Raises:
        InputError: not KEY=VALUE, or a key that is not one of these.
    """
    known = {"jobs": int, "cores": int, "memory": str, "queue": str, "account": str, "walltime": str}
    options: dict[str, Any] = {"jobs": 1, "cores": 1, "memory": "4GB", "walltime": "01:00:00"}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise InputError(f"--cluster slurm: '{part}' is not one of {', '.join(f'{key}=' for key in known)}")
        try:
            options[key] = known[key](value)
        except ValueError:
            raise InputError(f"--cluster slurm: {key} takes a whole number, got '{value}'") from None
        if key in ("jobs", "cores") and options[key] < 1:
            raise InputError(f"--cluster slurm: {key} must be at least 1, got {value}")
    return options


def slurm_cluster(options: dict[str, Any]) -> Any:
    """A scheduler on this machine that submits its workers as SLURM jobs; `job_script()` shows what it submits."""
    pressed = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise InputError("--cluster slurm needs dask-jobqueue: pip install 'myoflow[slurm]'") from error
    if signal.getsignal(signal.SIGINT) is not pressed:
        # Its import makes Ctrl-C an exit with code 0, and nothing said (dask_jobqueue/runner.py).
        signal.signal(signal.SIGINT, pressed)
    return SLURMCluster(processes=options["cores"], **options)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("--cluster needs dask: pip install 'myoflow[dask]'") from error
    try:
        return Client(address, timeout=_ANSWER_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"no dask scheduler answers at {address}; start one with `dask scheduler`, give the address it prints"
        ) from error


def _finished(client: Any, futures: list[Any]) -> list[Any]:
    """Those that are done, after at most a moment."""
    from distributed import wait

    try:
        with client.as_current():
            done = wait(futures, timeout=_LOOK_S, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
            return list(done.done)
    except TimeoutError:
        return []


def _result(future: Any, identity: str, whole: str) -> Any:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise MyoflowError(f"{identity}: every worker that read it died (out of memory?). {whole}") from error
    except CancelledError as error:
        raise MyoflowError(f"{identity}: the cluster dropped it; is its scheduler still there? {whole}") from error


def _settle(client: Any, running: list[Any]) -> None:
    """Wait for what workers still write before the writer tidies up behind them."""
    from distributed import wait

    try:
        if running and client.status == "running":
            with client.as_current():
                wait(running, timeout=PATIENCE_S)  # type: ignore[no-untyped-call]
    except Exception:  # another error is on its way already
        pass
    finally:
        client.close(timeout=_ANSWER_S)
