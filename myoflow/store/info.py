"""Info: what is in a store, from its index alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from myoflow.store.index import Row, Tally
from myoflow.store.read import Store

if TYPE_CHECKING:
    from rich.console import RenderableType


@frozen
class Info:
    """Totals over a store. `channels` and `rates_hz` are the different values that occur, with how many recordings.

    `labels` runs in the card's order; samples outside every event stand under the card's `unmarked` label, or
    `unmarked` where it names none. `skipped` are recordings whose files were wrong, and why.
    """

    path: str
    dataset: str
    title: str
    licence: str
    subjects: int
    sessions: int
    recordings: int
    samples: int
    hours: float
    channels: dict[int, int] = attrs.field(hash=False)
    rates_hz: dict[float, int] = attrs.field(hash=False)
    units: tuple[str, ...] = ()
    labels: dict[str, Tally] = attrs.field(factory=dict, hash=False)
    skipped: dict[str, str] = attrs.field(factory=dict, hash=False)


def tally(rows: Iterable[Row], names: Iterable[str], unmarked: str | None) -> dict[str, Tally]:
    """Events and samples per label, in the order of `names`; samples outside every event count as `unmarked`."""
    labels = {name: Tally() for name in names}
    rest = 0
    for row in rows:
        rest += row.samples
        for name, count in row.labels.items():
            labels[name] = labels.get(name, Tally()) + count
            rest -= count.samples
    if rest > 0:
        name = unmarked or "unmarked"
        labels[name] = labels.get(name, Tally()) + Tally(0, rest)
    return labels


def info(store: Store) -> Info:
    """Totals over a store."""
    channels: dict[int, int] = {}
    rates: dict[float, int] = {}
    for row in store.rows:
        channels[len(row.channels)] = channels.get(len(row.channels), 0) + 1
        rates[row.rate_hz] = rates.get(row.rate_hz, 0) + 1
    return Info(
        path=str(store.path),
        dataset=store.dataset,
        title=str(store.attrs.get("title", "")),
        licence=str(store.attrs.get("licence", "")),
        subjects=len({row.subject for row in store.rows}),
        sessions=len({(row.subject, row.session) for row in store.rows}),
        recordings=len(store.rows),
        samples=sum(row.samples for row in store.rows),
        hours=sum(row.seconds for row in store.rows) / 3600,
        channels=dict(sorted(channels.items())),
        rates_hz=dict(sorted(rates.items())),
        units=tuple(sorted({row.units for row in store.rows})),
        labels=tally(store.rows, store.labels, store.attrs.get("unmarked")),
        skipped=dict(store.attrs.get("skipped", {})),
    )


def info_table(store: Store) -> RenderableType:
    """What `myoflow info` prints: totals and labels as rich tables."""
    from rich.console import Group
    from rich.table import Table

    found = info(store)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in (
        ("store", found.path),
        ("dataset", f"{found.dataset}: {found.title}" if found.title else found.dataset),
        ("licence", found.licence or "not stated"),
        ("subjects", f"{found.subjects:,}"),
        ("sessions", f"{found.sessions:,}"),
        ("recordings", f"{found.recordings:,}"),
        ("hours", f"{found.hours:.2f}"),
        ("samples", f"{found.samples:,}"),
        ("channels", _counted({str(count): times for count, times in found.channels.items()})),
        ("rate", _counted({f"{rate:g} Hz": times for rate, times in found.rates_hz.items()})),
        ("units", ", ".join(found.units)),
        *((f"skipped {name}", why) for name, why in found.skipped.items()),
    ):
        facts.add_row(name, value)
    labels = Table(title="labels", title_justify="left", title_style="bold")
    labels.add_column("label")
    for column in ("events", "samples", "share"):
        labels.add_column(column, justify="right")
    for name, tally in found.labels.items():
        share = f"{tally.samples / found.samples:.1%}" if found.samples else ""
        labels.add_row(name, f"{tally.events:,}", f"{tally.samples:,}", share)
    return Group(facts, labels) if found.labels else facts


def _counted(values: dict[str, int]) -> str:
    """`8`, or `8 (70 recordings), 16 (2 recordings)` when they differ."""
    if len(values) < 2:
        return "".join(values)
    return ", ".join(f"{value} ({times} recordings)" for value, times in values.items())
