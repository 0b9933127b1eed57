"""RunSummary: everything a report shows, as plain values; whoever runs a recipe fills it in.

Everything but title and recipe may be missing: a section without content is left out of the page. Times are in
seconds, rates in Hz, sizes in bytes, signals `(channel, time)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt
from attrs import Factory, frozen


@frozen
class Protocol:
    """How the score came about. `units` maps train, valid and test to the names of `split_by`'s units.

    With `folds` every unit is tested once and `units` may stay empty. `leaks` says, one sentence each, what a
    published protocol lets its training see of the test; a strict one has none.
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
    """One training: a value per epoch. `best_epoch` counts as `epoch` does; its weights were kept."""

    name: str
    epoch: tuple[int, ...]
    train_loss: tuple[float, ...]
    valid_loss: tuple[float, ...] | None = None
    valid_accuracy: tuple[float, ...] | None = None
    best_epoch: int | None = None


@frozen(eq=False)
class Example:
    """One test window `(channel, time)` with its true label and what each model decided: (label, probability)."""

    signal: npt.NDArray[Any]
    rate_hz: float
    truth: str
    decisions: Mapping[str, tuple[str, float | None]]
    recording: str
    start_s: float
    channels: tuple[str, ...]
    units: str = "V"


@frozen(eq=False)
class Timeline:
    """Truth and decisions over one test recording.

    `start_s`, `truth` and each of `decisions` run over windows; `truth` is -1 where nobody marked a label.
    `spans` are the marked (start s, end s, label index); without them they are read off the windows.
    `signal` `(channel, time)` starts at the recording's start; the README's picture needs it, the page does not.
    """

    recording: str
    subject: str
    labels: tuple[str, ...]
    start_s: npt.NDArray[Any]
    window_s: float
    step_s: float
    truth: npt.NDArray[Any]
    decisions: Mapping[str, npt.NDArray[Any]]
    spans: tuple[tuple[float, float, int], ...] | None = None
    signal: npt.NDArray[Any] | None = None
    rate_hz: float | None = None
    channels: tuple[str, ...] = ()
    units: str = "V"


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
    """A run. `scores` is what `myoflow.scores.summarise` returns; `warnings` become banners at the top.

    `parity` says by model what its backends changed, as `myoflow.parity.Parity.plain` gives it.
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
    parity: Mapping[str, Mapping[str, Any]] = Factory(dict)
    curves: tuple[Curve, ...] = ()
    examples: tuple[Example, ...] = ()
    timeline: Timeline | None = None
    timing: tuple[Timing, ...] = ()
    environment: Mapping[str, str] = Factory(dict)
    files: tuple[RunFile, ...] = ()
