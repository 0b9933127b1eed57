"""Columns: how the fields of answers are kept, as converters of attrs; a file gives back what was saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.answers.base import Floats, Ints, Strings


def floats(values: Any) -> Floats:
    """Double precision, for sums and times."""
    return np.asarray(values, np.float64)


def singles(values: Any) -> npt.NDArray[np.float32]:
    """Single precision, for what a network gave."""
    return np.asarray(values, np.float32)


def halves(values: Any) -> npt.NDArray[np.float16]:
    """Half precision, for what is only drawn."""
    return np.asarray(values, np.float16)


def ints(values: Any) -> Ints:
    """Whole numbers."""
    return np.asarray(values, np.int64)


def flags(values: Any) -> npt.NDArray[np.bool_]:
    """True and False."""
    return np.asarray(values, np.bool_)


def strings(values: Any) -> Strings:
    """Texts, one a row."""
    return np.asarray(values, np.str_)


def names(values: Any) -> tuple[str, ...]:
    """Texts that all rows share."""
    return tuple(str(value) for value in np.asarray(values))
