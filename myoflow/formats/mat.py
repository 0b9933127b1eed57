"""mat: MATLAB files of any version whose variables are plain tables, and the export of OT Bioelettronica's programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Signals, plain, upright
from myoflow.formats.variables import chosen
from myoflow.readers import matlab
from myoflow.readers.source import File


@FORMATS.add("mat")
class Mat(Format):
    """`(time, channel)` or `(channel, time)` in a variable; name it where there are several.

    An export of OTBioLab (variables Data, Time, Description, SamplingFrequency) is known by these; its channels bear
    their descriptions, and what stands there in square brackets is the unit.
    """

    suffixes = (".mat",)
    what = "a MATLAB file"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        mat = matlab.load(file, file.read())
        names = mat.variables
        if variable is None and {"Data", "Description", "SamplingFrequency"} <= set(names):
            return _otb(file.where, names)
        return chosen(
            file.where, {name: value for name, value in names.items() if isinstance(value, np.ndarray)}, variable
        )


def _otb(where: str, names: dict[str, Any]) -> Signals:
    """The export of OTBioLab: cells with one table, one clock and a description per channel."""
    rate = float(np.ravel(names["SamplingFrequency"])[0])
    table = _only(names["Data"])
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "biuf":
        raise InputError(f"{where}: variable Data is not a table of numbers")
    table = upright(table)
    words = [str(_only(cell)) for cell in np.ravel(names["Description"])]
    if len(words) != len(table):
        raise InputError(f"{where}: {len(table)} channels, but {len(words)} descriptions")
    channels, units = [], []
    for word in words:
        name, bracket, unit = word.partition("[")
        channels.append(name)
        units.append(unit.partition("]")[0].strip() if bracket else "")
    return plain(channels, rate, units, table)


def _only(value: Any) -> Any:
    """What is inside a cell, however deep."""
    while isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind == "O":
        value = value.ravel()[0]
    return value.ravel()[0] if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size else value
