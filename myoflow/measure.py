"""Measure: how long a call takes here, and how much memory it adds to this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

PROCESS = Path("/proc/self")
SECONDS = 1.0  # of calls
FEWEST, MOST = 20, 2000  # calls


def timed(call: Callable[[], object], seconds: float | None = None) -> list[float]:
    """Wall time in s of each of several calls, after one that is not counted; `seconds` is SECONDS unless given."""
    call()
    times: list[float] = []
    end = time.perf_counter() + (SECONDS if seconds is None else seconds)
    while len(times) < FEWEST or (time.perf_counter() < end and len(times) < MOST):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def percentile(times: list[float], share: float) -> float:
    """The time that `share` percent of the times do not exceed: one of them, the nearest rank."""
    ranked = sorted(times)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)]


def peak_memory(call: Callable[[], Result]) -> tuple[Result, int | None]:
    """What a call gives, and the bytes by which it raised this process's memory at its peak.

    Linux only, None elsewhere.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)  # memory that was freed and kept would hide what is taken now
    try:
        (PROCESS / "clear_refs").write_text("5")  # forgets the peak of before
        before = _status("VmRSS")
        _status("VmHWM")  # which some sandboxes do not tell
    except (OSError, ValueError):
        return call(), None
    result = call()
    return result, max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"no {name} in {PROCESS}/status")
