"""variables: from the named arrays of a container (.mat, .npz, .h5) to signals: which is the EMG, and its rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from myoflow.errors import InputError
from myoflow.formats import clock
from myoflow.formats.base import Signals, plain, upright
from myoflow.readers.base import listed

_RATE = re.compile(
    r"^(?:fs|fsamp|sr|srate|rate|sample_?rate|sampling_?rate|sampling_?frequency|frequency|freq)(?:_?hz)?$", re.I
)
_MOST_CHANNELS = 4096


def is_rate(name: str) -> bool:
    """Whether a variable or attribute of this name states the samples per second."""
    return _RATE.match(name.replace(" ", "_").rsplit("/", 1)[-1]) is not None


def chosen(where: str, arrays: Mapping[str, Any], variable: str | None, rate: float | None = None) -> Signals:
    """The array `variable`, or the one that is called EMG, or the only or largest one; those as long go along.

    A scalar called `fs`, `rate`, `SamplingFrequency` or the like is the rate; so is an even column called `time`.

    Raises:
        InputError: there is no such variable, or none of numbers.
    """
    tables = {name: value for name, value in arrays.items() if _is_table(value)}
    for name, value in arrays.items():
        if rate is None and is_rate(name) and _is_scalar(value) and 0 < float(np.ravel(value)[0]) < 1e7:
            rate = float(np.ravel(value)[0])
    if not tables:
        raise InputError(f"{where}: has no table of numbers; it holds {listed(sorted(arrays)) or 'nothing'}")
    if variable is not None and variable not in tables:
        raise InputError(f"{where}: has no table '{variable}'; it has {listed(sorted(tables), 12)}")
    main = variable or max(tables, key=lambda name: ("emg" in name.rsplit("/", 1)[-1].lower(), tables[name].size))
    blocks = []
    shape = upright(tables[main]).shape
    for name, value in tables.items():
        table = upright(value)
        if table.shape[1] == shape[1] and rate is None and clock.time_factor(name) is not None and table.shape[0] == 1:
            rate = clock.even_rate(clock.seconds(table[0].astype(np.float64)))
    for name in [main, *(name for name in tables if name != main)]:
        table = upright(tables[name])
        if table.shape[0] > _MOST_CHANNELS:
            if name == main:
                raise InputError(f"{where}: {name} would have {table.shape[0]:,} channels; name another table")
            continue
        if table.shape[1] != shape[1]:
            continue  # nobody says how another length goes with this one in time
        label = name.rsplit("/", 1)[-1]
        channels = [label] if table.shape[0] == 1 else [f"{label}{i + 1}" for i in range(table.shape[0])]
        blocks.append((label, plain(channels, rate, "", table)))
    return attrs.evolve(blocks[0][1], streams=dict(blocks[1:]))


def _is_table(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "biuf"
        and value.ndim in (1, 2)
        and max(value.shape) > 1
        and value.size > 0
    )


def _is_scalar(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray | np.number | float | int)
        and np.size(value) == 1
        and np.asarray(value).dtype.kind in "iuf"
    )
