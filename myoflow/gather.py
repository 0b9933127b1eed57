"""Gather: what a finished run knows, put into the RunSummary that its report shows."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import Factory, frozen

from myoflow.card import load_card
from myoflow.pipeline import Plan
from myoflow.predictions import Predictions
from myoflow.prepare import Signal, find_window
from myoflow.report.summary import (
    Curve,
    DataRow,
    DatasetCard,
    Example,
    PlanRow,
    Protocol,
    RunFile,
    RunSummary,
    Timeline,
    Timing,
)

if TYPE_CHECKING:
    from myoflow.recipe import Recipe

PACKAGES = ("myoflow", "torch", "numpy", "scipy", "numba", "xarray", "zarr", "scikit-learn", "accelerate")

ABOUT = {
    "data.json": "which store the run began with",
    "recipe.yaml": "the recipe with every default written out",
    "metrics.json": "scores; the same for the same recipe and data",
    "timing.json": "seconds per phase",
    "environment.json": "versions and machine",
    "log.txt": "what was printed",
    "picture.png": "a few seconds of a test recording with truth and decisions",
    "weights.safetensors": "learned numbers, with channels, rate and labels in the header",
    "predictions.npz": "scores of every test window",
    "calibration.npy": "training windows that int8 backends measure ranges on",
    "parity.json": "what the backend changed, against torch in float32",
    "history.jsonl": "one line per epoch",
}


@frozen(eq=False)
class Outcome:
    """What a run hands to its report: per model one Predictions a seed (folds put together), and a test recording
    of fold 1 as the window stage saw it, with the `live` scores `(window, label)` of every model over it."""

    plans: Mapping[str, Plan]
    models: Mapping[str, Sequence[Predictions]]
    counts: Sequence[Mapping[str, Any]]
    timing: Mapping[str, float]
    shown: Signal | None = None
    live: Mapping[str, Any] = Factory(dict)


def gather(folder: Path, recipe: Recipe, metrics: Mapping[str, Any], outcome: Outcome) -> RunSummary:
    """Everything the report of a run shows."""
    main = metrics["main"]
    created = json.loads((folder / "environment.json").read_text())
    return RunSummary(
        title=recipe.title or recipe.name,
        recipe=recipe.name,
        created=created.pop("started", None),
        warnings=_warnings(recipe, metrics),
        protocol=_protocol(recipe, metrics, outcome.plans[main]),
        dataset=_dataset(recipe),
        data=tuple(_data_row(row) for row in outcome.counts if row["fold"] == 1 or row["split"] == "test"),
        plan=_plan(outcome.plans, main),
        scores=metrics,
        parity=metrics.get("parity", {}),
        curves=_curves(folder, recipe, outcome.models),
        examples=_examples(outcome, main),
        timeline=_timeline(outcome, main),
        timing=tuple(Timing(phase, seconds) for phase, seconds in outcome.timing.items()),
        environment=created,
        files=_files(folder),
    )


def environment() -> dict[str, str]:
    """Versions and machine of this process, and the time."""
    found = {"started": datetime.now().astimezone().isoformat(timespec="seconds")}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["python"] = platform.python_version()
    found["machine"] = f"{platform.system()} {platform.machine()}, {_processor()}"
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _warnings(recipe: Recipe, metrics: Mapping[str, Any]) -> tuple[str, ...]:
    found = [
        f"{name} on {', '.join(parity['backends'])}: {problem}"
        for name, parity in metrics.get("parity", {}).items()
        for problem in parity["problems"]
    ]
    if recipe.data.splice:
        found.append("Unlabelled samples were cut out before filtering, so that filters ring at every seam.")
    return tuple(found)


def _protocol(recipe: Recipe, metrics: Mapping[str, Any], plan: Plan) -> Protocol:
    step = plan.steps[find_window(plan)]
    stages = [step.stage for step in plan.steps]
    split = metrics["split"]
    units = {part: tuple(split[0][part]) for part in ("train", "valid", "test")} if len(split) == 1 else {}
    assert step.after.window_s is not None, "a window stage says how long its windows are"
    return Protocol(
        kind=recipe.protocol,
        split_by=recipe.data.split.by,
        units=units,
        folds=len(split) if len(split) > 1 else None,
        band=", ".join(_text(s) for s in stages if s.name in ("bandpass", "highpass", "lowpass", "notch")) or "none",
        window_s=step.after.window_s,
        window_samples=step.after.size("time"),
        stride_s=step.after.step_s,
        rate_hz=step.before.rate_hz,
        normalisation=", ".join(_text(s) for s in stages if s.name in ("zscore", "minmax", "robust")) or "none",
        seeds=recipe.train.seeds,
        leaks=_leaks(recipe, stages),
        notes=(f"even grid at {recipe.data.regularise:g} Hz by time stamps",) if recipe.data.regularise else (),
    )


def _text(stage: Any) -> str:
    """`bandpass (low 20 Hz, high 90 Hz)`."""
    fields = _fields(stage)
    return f"{stage.name} ({fields})" if fields else str(stage.name)


def _fields(stage: Any) -> str:
    """The fields of a stage that are not at their default, in words."""
    import attrs

    from myoflow.typed import hints_of, plain

    hints = hints_of(type(stage))
    parts = [
        f"{field.name} {_words(plain(getattr(stage, field.name), hints[field.name]))}"
        for field in attrs.fields(type(stage))
        if getattr(stage, field.name) != field.default
    ]
    return ", ".join(parts)


def _words(value: Any) -> str:
    """As YAML would say it, lists without brackets."""
    if isinstance(value, list):
        return " ".join(_words(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _leaks(recipe: Recipe, stages: Sequence[Any]) -> tuple[str, ...]:
    found = []
    if any(getattr(stage, "over", None) == "recording" for stage in stages):
        found.append("Normalisation uses statistics of whole test recordings, which a live decoder does not have.")
    if any(getattr(stage, "zero_phase", False) for stage in stages):
        found.append("Zero-phase filters look into the future of each window.")
    if recipe.data.splice:
        found.append("Labels of the test recordings decided which samples were filtered together.")
    return tuple(found)


def _dataset(recipe: Recipe) -> DatasetCard:
    card = load_card(recipe.data.dataset)
    return DatasetCard(
        title=card.title,
        citation=card.citation or None,
        licence=card.licence or None,
        restrictions=card.restrictions or None,
        home=card.home or None,
        placement=card.placement or None,
        rate_note=card.rate_note or None,
        simulated=card.simulated,
    )


def _data_row(row: Mapping[str, Any]) -> DataRow:
    name = row["split"] if row["folds"] == 1 else f"{row['split']}, fold {row['fold']}"
    return DataRow(name, tuple(row["subjects"]), row["recordings"], row["windows"], row["labels"])


def _plan(plans: Mapping[str, Plan], main: str) -> tuple[PlanRow, ...]:
    rows = []
    for name, plan in plans.items():
        shared = find_window(plan) + 1
        for step in plan.steps if name == main else plan.steps[shared:]:
            rows.append(
                PlanRow(
                    stage=step.stage.name,
                    fields=_fields(step.stage),
                    backend=step.backend,
                    gives=step.after.brief(),
                    rate=step.rate,
                    parameters=step.cost.parameters,
                    macs=step.cost.macs,
                    memory_bytes=step.cost.memory_bytes,
                    delay_s=step.after.delay_s,
                    branch=None if step.index < shared else name,
                )
            )
    return tuple(rows)


def _curves(folder: Path, recipe: Recipe, models: Mapping[str, Sequence[Predictions]]) -> tuple[Curve, ...]:
    found = []
    for path in sorted(folder.glob("fold-*/*/seed-*/history.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if not rows or path.parent.parent.name not in models:
            continue
        fold, model, seed = path.parts[-4:-1]
        has_valid = rows[0].get("valid_loss") is not None
        # As train.py keeps them: the best validation loss with patience, else the last epoch.
        chosen = min(rows, key=lambda row: row["valid_loss"]) if recipe.train.patience is not None else rows[-1]
        found.append(
            Curve(
                name=f"{model}, {fold}, {seed}",
                epoch=tuple(row["epoch"] for row in rows),
                train_loss=tuple(row["loss"] for row in rows),
                valid_loss=tuple(row["valid_loss"] for row in rows) if has_valid else None,
                valid_accuracy=tuple(row["valid_accuracy"] for row in rows) if has_valid else None,
                best_epoch=chosen["epoch"],
            )
        )
    return tuple(found)


def _softmax(scores: Any) -> Any:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _examples(outcome: Outcome, main: str) -> tuple[Example, ...]:
    """Up to six windows of the recording shown: three that the main model gets wrong, three right ones."""
    if outcome.shown is None:
        return ()
    plan, first = outcome.plans[main], {name: seeds[0] for name, seeds in outcome.models.items()}
    own = first[main]
    rows = np.flatnonzero(own.recording == outcome.shown.id)  # test windows only, whatever the split
    hit = own.decision[rows] == own.label[rows]
    chosen = sorted([*_spaced(rows[~hit].tolist(), 3), *_spaced(rows[hit].tolist(), 3)])
    step = plan.steps[find_window(plan)]
    rate, length = step.before.rate_hz, step.after.size("time")
    found = []
    for row in chosen:
        start = round(float(own.start_s[row]) * rate)
        decisions = {}
        for name, predictions in first.items():
            label = int(predictions.decision[row])
            share = float(_softmax(predictions.scores[row])[label])
            decisions[name] = (own.labels[label], share)
        found.append(
            Example(
                signal=np.asarray(outcome.shown.values[:, start : start + length]),
                rate_hz=rate,
                truth=own.labels[int(own.label[row])],
                decisions=decisions,
                recording=outcome.shown.id,
                start_s=float(own.start_s[row]),
                channels=step.before.channels,
                units=step.before.units,
            )
        )
    return tuple(found)


def _spaced(rows: Sequence[int], count: int) -> list[int]:
    if len(rows) <= count:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]


def _timeline(outcome: Outcome, main: str) -> Timeline | None:
    """Truth and decisions over the recording shown, on the grid that a live stream has."""
    live = outcome.live
    if outcome.shown is None or not live:
        return None
    shown, plan = outcome.shown, outcome.plans[main]
    step = plan.steps[find_window(plan)]
    rate, after = step.before.rate_hz, step.after
    assert after.step_s is not None and after.window_s is not None, "windows have a step and a length"
    count = min(len(scores) for scores in live.values())
    start = np.arange(count) * after.step_s
    middle = ((start + after.window_s / 2) * rate).astype(np.int64)
    truth = np.full(count, -1)
    spans = []
    for onset, length, label in zip(shown.onset, shown.length, shown.label, strict=True):
        truth[(middle >= onset) & (middle < onset + length)] = label
        spans.append((float(onset / rate), float((onset + length) / rate), int(label)))
    return Timeline(
        recording=shown.id,
        subject=shown.subject,
        labels=plan.output.labels,
        start_s=start,
        window_s=after.window_s,
        step_s=after.step_s,
        truth=truth,
        decisions={name: np.asarray(scores[:count]).argmax(1) for name, scores in live.items()},
        spans=tuple(spans),
        signal=np.asarray(shown.values),
        rate_hz=rate,
        channels=step.before.channels,
        units=step.before.units,
    )


def _files(folder: Path) -> tuple[RunFile, ...]:
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    listed = [p for p in paths if p.name not in ("checkpoint.pt", "report.html")]
    return tuple(RunFile(str(p.relative_to(folder)), p.stat().st_size, ABOUT.get(p.name, "")) for p in listed)
