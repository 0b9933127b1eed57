"""single: a card for one file that nobody has described, from what the file says and what is given."""

from __future__ import annotations

import re
from pathlib import Path

from myoflow.card import FASTEST_HZ, Card
from myoflow.errors import InputError
from myoflow.formats.base import Signals, open_file
from myoflow.readers.base import listed
from myoflow.readers.files import pick
from myoflow.typed import Hz, Mismatch, coerce
from myoflow.units import VOLTS, known, spelt

UNMARKED = "unmarked"


def card_of_file(
    file: Path,
    like: str | None = None,
    rate: str | None = None,
    units: str | None = None,
    channels: tuple[str, ...] = (),
    variable: str | None = None,
    hold: bool = False,
) -> Card:
    """A card of the reader `files` for this file alone.

    Raises:
        InputError: the file cannot be opened, or does not say its rate, or its channels are in different units, or
            in others than those given, or these are not known.
    """
    given_units = _units(units)
    signals = open_file(file, like, variable, in_blocks=True)
    names = channels or _emg(signals)
    block, rows = pick(str(file), signals, names)
    given = _hertz(rate)
    if given is None and block.rate_hz is None:
        raise InputError(f"{file}: does not say its rate{_clock(block)}; give it with --rate")
    true = given if given is not None else block.rate_hz
    assert true is not None, "one of both is"
    said = sorted({spelt(block.units[row]) for row in rows})
    if len({unit in VOLTS for unit in said if unit}) > 1 or len([unit for unit in said if unit not in VOLTS]) > 1:
        raise InputError(f"{file}: {listed(names)} are in {', '.join(said)}; choose some with --channels")
    if given_units is not None and "" not in said and said != [given_units]:
        raise InputError(f"{file}: says that it is in {', '.join(said)}; --units {units} is for files that do not say")
    unit = next((unit for unit in said if unit), None) or given_units or "counts"
    silent = given_units or unit  # what channels are in that do not say
    marks = sorted({mark.name for mark in signals.events})
    other = given is not None and block.rate_hz is not None and block.rate_hz != given
    options = {
        "pattern": f"^{re.escape(file.name)}",
        "variable": variable,
        "format": like,
        "rate": "card",
        "units": silent if "" in said else None,
        "missing": "hold" if hold else "refuse",
        "labels_from": "events" if marks else "none",
    }
    return Card(
        name=re.sub(r"\W+", "_", file.stem).strip("_") or "file",
        title=f"One file: {file.name}",
        reader="files",
        channels=names,
        rate=true,
        rate_note=f"as given; the file says {block.rate_hz:g} Hz" if other else "",
        labels=tuple(dict.fromkeys((UNMARKED, *marks))),
        unmarked=UNMARKED,
        units="V" if unit in VOLTS else unit,
        options={key: value for key, value in options.items() if value is not None},
    )


def _emg(signals: Signals) -> tuple[str, ...]:
    """The channels that are called EMG, else all of the first unit."""
    named = tuple(name for name in signals.channels if "emg" in name.lower())
    if named:
        return named
    unit = signals.units[0]
    return tuple(name for name, own in zip(signals.channels, signals.units, strict=True) if own == unit)


def _units(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return known(text)
    except ValueError as error:
        raise InputError(f"--units: {error}") from None


def _hertz(rate: str | None) -> float | None:
    if rate is None:
        return None
    try:
        text = f"{rate} Hz" if re.fullmatch(r"\s*[\d.eE+]+\s*", rate) else rate
        value = float(coerce(text, Hz, text=True))
    except Mismatch as error:
        raise InputError(f"--rate: {error}") from error
    if not value > 0:
        raise InputError(f"--rate: must be above zero, got {rate}")
    if value > FASTEST_HZ:
        raise InputError(f"--rate: {value:g} Hz is no rate of EMG, which is at most {FASTEST_HZ:g} Hz here")
    return value


def _clock(block: Signals) -> str:
    if block.time_s is None or block.time_s[-1] <= block.time_s[0]:
        return ""
    mean = (block.samples - 1) / (block.time_s[-1] - block.time_s[0])
    return f" (its uneven clock gives {mean:.5g} samples a second on average)"
