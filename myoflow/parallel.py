"""Parallel: the same work on many recordings, on cores of this machine or by the workers of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

from attrs import field, frozen
from attrs.validators import ge

from myoflow.errors import InputError, MyoflowError

T = TypeVar("T")
Job = Callable[[], T]
"""A piece of work that can be pickled."""

Task = tuple[str, Callable[[], Job[T]]]
"""Name of a recording, and what makes its job when there is room for it (it may read an archive into memory)."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@frozen
class Workers:
    """Who does the work: `jobs` cores of this machine, or the workers of a dask scheduler.

    `cluster` is a scheduler's address (`tcp://HOST:8786`), or `slurm:` with options of dask-jobqueue.
    """

    jobs: int = field(factory=cores, validator=ge(1))
    cluster: str | None = None

    def each(self, tasks: Iterable[Task[T]], whole: str, *, compiled: bool = False) -> Iterator[T]:
        """Results of all tasks, in the order in which they are done.

        Work whose time goes into `compiled` code that releases the GIL is done in threads, other work in processes, of
        which this one is the first. `whole` ends the message of what went wrong: it says what is safe.

        Raises:
            InputError: no such cluster, or what a job raises.
            MyoflowError: a worker died, or the cluster went away.
        """
        if self.cluster is not None:
            from myoflow.cluster import each_on

            yield from each_on(self.cluster, tasks, whole)
        elif self.jobs == 1:
            for _, load in tasks:
                yield load()()
        elif compiled:
            yield from _in_threads(tasks, self.jobs)
        else:
            yield from _in_processes(tasks, self.jobs, whole)


def _in_threads(tasks: Iterable[Task[T]], jobs: int) -> Iterator[T]:
    running: deque[Future[T]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for _, load in tasks:
                running.append(pool.submit(load()))
                if len(running) == 2 * jobs:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_processes(tasks: Iterable[Task[T]], jobs: int, whole: str) -> Iterator[T]:
    """One core is this process's own: it works while the others start, and hands out what it reads."""
    queue = iter(tasks)
    first = [task for task in (next(queue, None), next(queue, None)) if task is not None]
    if len(first) < 2:  # nothing to share
        yield from (load()() for _, load in first)
        return
    waiting: deque[Task[T]] = deque(first)
    running: dict[Future[T], Job[T]] = {}  # a job keeps the files alive that it reads
    pool = ProcessPoolExecutor(jobs - 1, multiprocessing.get_context("spawn"), _start_worker)

    def following() -> Task[T] | None:
        return waiting.popleft() if waiting else next(queue, None)

    try:
        while True:
            # two per worker: enough to keep them busy, few enough to hold in memory
            while len(running) < 2 * (jobs - 1) and (task := following()) is not None:
                job = task[1]()
                running[pool.submit(job)] = job
            mine = following()
            if mine is not None:
                yield mine[1]()()
            elif not running:
                return
            done, _ = wait(running, timeout=0 if mine is not None else None, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                yield future.result()
    except BrokenProcessPool as error:
        raise MyoflowError(f"a worker process died (out of memory?); use fewer --jobs. {whole}") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Ctrl-C is the parent's to answer; a worker whose parent is gone goes too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=_follow, args=(sentinel,), daemon=True).start()


def _follow(sentinel: Any) -> None:
    connection.wait([sentinel])
    os._exit(1)


def workers(jobs: int | None, cluster: str | None) -> Workers:
    """Workers as the command line says them. Raises InputError when both are given."""
    if jobs is not None and cluster is not None:
        raise InputError("--jobs is for this machine, --cluster for others; give one of them")
    return Workers(jobs=jobs or cores(), cluster=cluster)
