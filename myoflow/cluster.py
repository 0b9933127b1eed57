"""Cluster: conversion by the workers of a dask scheduler, on one machine or many.

Workers write recordings aside in the store's own folder, which all must see; the process that called renames and keeps
the index, as with `--jobs`. A worker that dies takes nothing along: dask gives its recordings to others, and what it
had half written aside is removed at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow.errors import InputError, MyoflowError
from myoflow.store.write import ASIDE, Staged, stage

if TYPE_CHECKING:
    from myoflow.progress import Advance
    from myoflow.readers.base import Item
    from myoflow.recording import Recording
    from myoflow.store.layout import Origin
    from myoflow.store.write import Writer

PATIENCE_S = 60.0  # without a single worker, before giving up
_ANSWER_S = 10.0
_LOOK_S = 1.0


def convert_on(address: str, writer: Writer, todo: list[Item], origin: Origin, advance: Advance) -> None:
    """Convert `todo` by the workers of the scheduler at `address` and commit what they give.

    Raises:
        InputError: dask is not installed, no scheduler answers, a worker does not see the store, or wrong raw files.
        MyoflowError: the cluster went away, or a recording killed every worker that tried it.
    """
    client = _client(address)
    running: dict[Any, str] = {}
    queue = iter(todo)
    try:
        seen = time.monotonic()
        while True:
            threads = sum(client.nthreads().values())
            # two per thread: enough to keep them busy, few enough to hold in memory
            while len(running) < 2 * max(1, threads) and (item := next(queue, None)) is not None:
                future = client.submit(_work, writer.path, item.load(), origin, pure=False, retries=0)
                running[future] = item.id
            if not running:
                return
            for future in _finished(client, list(running)):
                writer.commit(_result(future, running.pop(future)))
                advance(1)
            now = time.monotonic()
            seen = now if threads else seen
            if now - seen > PATIENCE_S:
                raise MyoflowError(
                    f"the cluster at {address} has had no worker for {PATIENCE_S:g} s; start one with "
                    f"`dask worker {address}`. {writer.path} is whole, the same command continues"
                )
    except (OSError, TimeoutError) as error:
        if client.status == "running":
            raise
        raise _gone(address, writer.path) from error
    finally:
        _settle(client, list(running))


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


def _result(future: Any, identity: str) -> Staged:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        staged: Staged = future.result()
        return staged
    except KilledWorker as error:
        raise MyoflowError(
            f"{identity}: every worker that read it died (out of memory?). What is in the store is whole, "
            "the same command continues"
        ) from error
    except CancelledError as error:
        raise MyoflowError(
            f"{identity}: the cluster dropped it; is its scheduler still there? What is in the store is whole, "
            "the same command continues"
        ) from error


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


def _gone(address: str, store: Path) -> MyoflowError:
    return MyoflowError(f"the cluster at {address} went away; {store} is whole, the same command continues")


def _work(store: Path, job: Callable[[], Recording], origin: Origin) -> Staged:
    """What a worker does."""
    if not (store / ASIDE).is_dir():
        import socket

        raise InputError(
            f"the worker on {socket.gethostname()} does not see {store}; a cluster needs a folder that all "
            "its machines share, under one path"
        )
    return stage(store, job(), origin)
