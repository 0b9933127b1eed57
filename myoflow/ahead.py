"""Ahead: items made by a thread while the last ones are in use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], count: int = 2) -> Iterator[T]:
    """The same items in the same order, up to `count` of them made in advance by a thread of their own.

    What making them raises is raised here, behind the items before it. Leaving the loop early stops the thread.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(count)
    stop = threading.Event()

    def put(found: tuple[T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(found, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((item,))
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # whoever takes the items must hear of it, whatever it is
            put(error)

    thread = threading.Thread(target=make, name="myoflow-ahead", daemon=True)
    thread.start()
    try:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        stop.set()
        thread.join()
