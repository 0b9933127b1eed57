"""Hardware: what this machine's processor can do that a choice of precision hangs on."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls them: AMD and Intel, Intel's tiles, Arm


@cache
def has_bf16() -> bool | None:
    """Whether this CPU multiplies bfloat16 natively; None where that is not known (not Linux)."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return any(BF16.intersection(line) for line in lines) if lines else None


def processor() -> str:
    """The processor's name, for a report."""
    try:
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
