"""Counting instead of timing: how much work something is, whatever else the machine does meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class TooMuch(AssertionError):
    """More calls than allowed."""


def calls(work: Callable[[], Any], most: int | None = None) -> int:
    """How many functions, Python's and C's, `work` calls in this thread; above `most` it is stopped with TooMuch."""
    count = 0

    def seen(frame: FrameType, event: str, what: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1
            if count == most:
                raise TooMuch(f"{count:,} calls, and no end in sight")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
