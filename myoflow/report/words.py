"""Words: numbers and protocols as a reader wants them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

from myoflow.report.summary import Protocol, RunSummary
from myoflow.task import Measure
from myoflow.text.measures import aligned

DASH = "–"
NONE = "—"
MINUS = "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.9134 -> `91.3`."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def shown(value: float | None, measure: Measure, more: int = 0) -> str:
    """A metric without its unit: `91.3`, with a real minus; `more` decimals than usual."""
    return NONE if value is None else _signs(measure.number(value, more=more))


def between(low: float | None, high: float | None, measure: Measure) -> str:
    """Interval of a metric: `88.1–93.9`, and with a minus in it `−0.2 to 0.4`."""
    if low is None or high is None:
        return NONE
    return f"{shown(low, measure)}{DASH if low >= 0 else ' to '}{shown(high, measure)}"


def gap(value: float | None, measure: Measure) -> str:
    """A difference of metrics, signed: `+4.2`."""
    if value is None:
        return NONE
    text = measure.number(value, signed=True)
    return text.lstrip("+-") if float(text) == 0 else _signs(text)


def _signs(text: str) -> str:
    return text.replace("-", MINUS)


def p_value(value: float | None) -> str:
    """`p = 0.031`, `p < 0.001`."""
    if value is None:
        return NONE
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def count(value: float) -> str:
    """1234567 -> `1 234 567`, with thin spaces."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def short(value: float) -> str:
    """A large count in three digits: 1909000000 -> `1.91 G`."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def size(value: float) -> str:
    """Bytes: 52428800 -> `50 MiB`."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.0f} B"


def seconds(value: float | None) -> str:
    """0.00042 -> `0.42 ms`, 95 -> `1 min 35 s`."""
    if value is None:
        return NONE
    if value == 0:
        return "0 s"
    if value < 1e-3:
        return f"{value * 1e6:.3g} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    whole = round(value)
    if whole < 60:
        return f"{value:.3g} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def spread(names: Iterable[str]) -> str:
    """Names with runs of numbers drawn together: 01 02 03 07 -> `01–03, 07`."""
    parts: list[list[str]] = []
    for name in sorted(names, key=_natural):
        last = parts[-1][-1] if parts else ""
        if last.isdigit() and name.isdigit() and int(name) == int(last) + 1:
            parts[-1].append(name)
        else:
            parts.append([name])
    return ", ".join(_run(part) for part in parts)


def _run(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 3 else f"{names[0]}{DASH}{names[-1]}"


def natural(names: Iterable[str]) -> list[str]:
    """Names in the order a person counts: s2 before s10."""
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts)


KIND = {
    "strict": "Strict: nothing of the test units was seen before the test. Whatever was learnt or chosen came from the "
    "training and validation units alone.",
    "published": "Published: follows the protocol of a published result so that the two numbers can stand side by "
    "side. It is not what a new user would get.",
}


def protocol_words(protocol: Protocol) -> list[tuple[str, str]]:
    """The protocol as (term, sentence), for people who did not read the recipe."""
    rows = [("Protocol", KIND[protocol.kind])]
    split = f"by {protocol.split_by}" if protocol.split_by else ""
    if protocol.folds:
        split += f"{', ' if split else ''}{protocol.folds} folds: every {protocol.split_by or 'unit'} is tested once"
    if split:
        rows.append(("Split", split))
    rows += [(f"{part.capitalize()} units", _units(names)) for part, names in protocol.units.items() if names]
    if protocol.band:
        rows.append(("Band", protocol.band))
    if protocol.window_s is not None:
        rows.append(("Windows", _windows(protocol)))
    elif protocol.rate_hz is not None:
        rows.append(("Rate", f"{protocol.rate_hz:g} Hz"))
    if protocol.normalisation:
        rows.append(("Normalisation", protocol.normalisation))
    if protocol.seeds:
        several = f"; scores are means over {len(protocol.seeds)} seeds" if len(protocol.seeds) > 1 else ""
        rows.append(("Seeds" if several else "Seed", ", ".join(map(str, protocol.seeds)) + several))
    rows += [("Audit", " ".join((*protocol.leaks, *protocol.checks)))] if protocol.leaks or protocol.checks else []
    return rows + [("Note", note) for note in protocol.notes]


def _units(names: Sequence[str]) -> str:
    return f"{spread(names)} ({len(names)})" if len(names) > 1 else names[0]


def _windows(protocol: Protocol) -> str:
    text = seconds(protocol.window_s)
    samples = f"{protocol.window_samples} samples" if protocol.window_samples else ""
    rate = f"at {protocol.rate_hz:g} Hz" if protocol.rate_hz else ""
    detail = " ".join(part for part in (samples, rate) if part)
    text += f" ({detail})" if detail else ""
    return text + (f", one every {seconds(protocol.stride_s)}" if protocol.stride_s else "")


def banners(summary: RunSummary) -> list[str]:
    """Everything that a reader must know before looking at a number."""
    lines = list(summary.warnings)
    if summary.dataset and summary.dataset.simulated:
        lines.append("Simulated data: these scores say that the path works, not how well it decodes a person.")
    if summary.protocol and summary.protocol.kind == "published":
        lines += [f"Published protocol: {leak}" for leak in summary.protocol.leaks]
        if not summary.protocol.leaks:
            lines.append("Published protocol: not comparable with strict results.")
    elif summary.protocol:
        lines += [f"Leak: {leak}" for leak in summary.protocol.leaks]
    return list(dict.fromkeys(lines))


def interval_words(scores: dict[str, object]) -> str:
    """What the brackets behind a score mean."""
    basis = scores.get("interval")
    if not isinstance(basis, dict):
        return ""
    text = f"Brackets are {100 * float(basis['level']):.0f} % bootstrap intervals: {count(basis['resamples'])} draws"
    text += f" of {basis['units']} test {basis['unit']}{'s' if basis['units'] != 1 else ''}"
    return text + (f"; {basis['note']}." if basis.get("note") else ".")


def nice(value: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `value`; 1.0 for anything not positive."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value * (1 + 1e-9))


def amplitude(value: float, units: str) -> str:
    """A signal's size with its unit: 0.0002 V -> `200 µV`; units other than volts are written as they are."""
    if units != "V":
        return f"{value:g} {units}".strip()
    for factor, name in ((1.0, "V"), (1e3, "mV")):
        if value * factor >= 1:
            return f"{value * factor:g} {name}"
    return f"{value * 1e6:g} µV"


def marked(wanted: str, said: str) -> str:
    """Words as HTML, errors marked: wrong ones with the right one behind, left out ones struck, put in ones bold."""
    parts = []
    for kind, right, word in aligned(wanted, said):
        if kind == "equal":
            parts.append(html.escape(word))
        elif kind == "delete":
            parts.append(f'<s class="no">{html.escape(right)}</s>')
        elif kind == "insert":
            parts.append(f'<b class="no">+{html.escape(word)}</b>')
        else:
            parts.append(f'<b class="no">{html.escape(word)}</b><small> ({html.escape(right)})</small>')
    return " ".join(parts)
