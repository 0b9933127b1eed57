"""RunSummary: everything a report shows, as plain values; whoever runs a recipe fills it in.

Everything but title and recipe may be missing: a section without content is left out of the page. Times are in
seconds, rates in Hz, sizes in bytes, signals `(channel, time)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import Factory, frozen

from myoflow.section import Section
from myoflow.task import Measure


@frozen
class Protocol:
    """How the score came about. `units` maps train, valid and test to the names of `split_by`'s units.

    With `folds` every unit is tested once and `units` may stay empty. `leaks` says, one sentence each, what a
    published protocol lets its training see of the test; a strict one has none. `checks` says what was looked at and
    does not leak.
    """

    kind: Literal["strict", "published"] = "strict"
    split_by: str | None = None
    units: Mapping[str, tuple[str, ...]] = Factory(dict)
    folds: int | None = None
    band: str | None = None
    window_s: float | None = None
    window_samples: int | None = None
    stride_s: float | None = None
    rate_hz: float | None = None
    normalisation: str | None = None
    seeds: tuple[int, ...] = ()
    leaks: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class DatasetCard:
    """What the recordings are and under which terms they may be used."""

    title: str
    citation: str | None = None
    licence: str | None = None
    restrictions: str | None = None
    home: str | None = None
    placement: str | None = None
    rate_note: str | None = None
    simulated: bool = False


@frozen
class DataRow:
    """One split: its subjects (names, or how many), its recordings, its windows in all and per label."""

    split: str
    subjects: tuple[str, ...] | int
    recordings: int
    windows: int
    labels: Mapping[str, int]


@frozen
class PlanRow:
    """One stage as planned; `fields` are those not at their default, `gives` the axes of one item of its output.

    `branch` names the model it belongs to, None where all models share it.
    """

    stage: str
    backend: str
    gives: str
    rate: str = ""
    parameters: int = 0
    macs: int = 0
    memory_bytes: int = 0
    delay_s: float = 0.0
    branch: str | None = None
    fields: str = ""


@frozen
class Curve:
    """One training: a value per epoch. `best_epoch` counts as `epoch` does; its weights were kept.

    `gauge` names the number that the task shows beside the loss, `measure` says how it is read.
    """

    name: str
    epoch: tuple[int, ...]
    train_loss: tuple[float, ...]
    valid_loss: tuple[float, ...] | None = None
    valid_gauge: tuple[float, ...] | None = None
    best_epoch: int | None = None
    gauge: str = "accuracy"
    measure: Measure = Factory(Measure)


@frozen
class Timing:
    """How long a phase took. `note` says per what, or on what."""

    phase: str
    seconds: float
    note: str = ""


@frozen
class RunFile:
    """A file of the run folder, by its path in it."""

    path: str
    bytes: int
    about: str = ""


@frozen(eq=False)
class RunSummary:
    """A run. `scores` is what `myoflow.answers.scores.summarise` returns; `warnings` become banners at the top.

    `measures` say how its metrics are read, `sections` are the task's own. `parity` says by model what its backends
    changed, as `myoflow.evaluation.parity.Parity.plain` gives it.
    """

    title: str
    recipe: str
    created: str | None = None
    warnings: tuple[str, ...] = ()
    protocol: Protocol | None = None
    dataset: DatasetCard | None = None
    data: tuple[DataRow, ...] = ()
    plan: tuple[PlanRow, ...] = ()
    scores: Mapping[str, Any] | None = None
    measures: Mapping[str, Measure] = Factory(dict)
    parity: Mapping[str, Mapping[str, Any]] = Factory(dict)
    curves: tuple[Curve, ...] = ()
    sections: tuple[Section, ...] = ()
    timing: tuple[Timing, ...] = ()
    environment: Mapping[str, str] = Factory(dict)
    files: tuple[RunFile, ...] = ()
