"""Units: what numbers of a signal may be in, and how people write that."""

from __future__ import annotations

from myoflow.errors import did_you_mean

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "nV": 1e-9}
PLAIN = {
    "counts": "of the digitiser",
    "a.u.": "a scale that nobody told",
    "%MVC": "of the strongest contraction",
    "n/a": "not known",
}
_WORDS = {"volt": "V", "millivolt": "mV", "microvolt": "uV", "nanovolt": "nV", "count": "counts"}
_SPELT = _WORDS | {f"{word}s": unit for word, unit in _WORDS.items()}
_SPELT |= {"μV": "uV", "µV": "uV"}  # a Greek letter, and the sign


def spelt(text: str) -> str:
    """One unit in one spelling: `microvolts` and `µV` are `uV`; others stay as they are."""
    return _SPELT.get(text, text)


def known(text: str) -> str:
    """A unit that is known, as `spelt` writes it.

    Raises:
        ValueError: it is not; the message names those that are.
    """
    unit = spelt(text.strip())
    if unit in VOLTS or unit in PLAIN:
        return unit
    same = [name for name in VOLTS if name.lower() == unit.lower()]
    close = f"; did you mean '{same[0]}'?" if same else did_you_mean(unit, (*VOLTS, *PLAIN)) or "."
    plain = ", ".join(f"{name} ({what})" for name, what in PLAIN.items())
    raise ValueError(f"there is no unit '{text}'{close} Known: {', '.join(VOLTS)}; with no size in volts: {plain}")
