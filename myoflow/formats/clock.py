"""clock: the rate that a file's own times give, where they are even."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

_TIME = re.compile(
    r"^(?:time|times|timestamp|timestamps|time ?stamp|t|x)(?:[ _]*[\[(]?(s|sec|seconds|ms|us|µs)[\])]?)?$", re.I
)
_FACTORS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_EVEN = 0.3  # share of the usual step that a step may be off, which rounded times are


def time_factor(name: str) -> float | None:
    """Seconds per unit of a column that by its name holds times, else None."""
    found = _TIME.match(name.strip())
    return _FACTORS.get((found[1] or "s").lower(), 1.0) if found else None


def seconds(times: npt.NDArray[np.float64], factor: float = 1.0) -> npt.NDArray[np.float64]:
    """Times in seconds from the first; numbers that are dates in milliseconds (since 1970) are taken as such."""
    if factor == 1.0 and len(times) and np.nanmin(times) > 1e11:
        factor = 1e-3
    return np.asarray((times - times[0]) * factor if len(times) else times, np.float64)


def even_rate(times: npt.NDArray[np.float64]) -> float | None:
    """Samples per second when the steps between `times` (s) are even but for rounding, else None."""
    if len(times) < 3 or not np.isfinite(times).all():
        return None
    steps = np.diff(times)
    usual = (times[-1] - times[0]) / (len(times) - 1)
    if usual <= 0 or np.abs(steps - usual).max() > _EVEN * usual:
        return None
    return float(f"{1 / usual:.7g}")
