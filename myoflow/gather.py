"""Gather: what a finished run knows, put into the RunSummary that its report shows."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow.card import load_card
from myoflow.pipeline import Plan
from myoflow.report.summary import Curve, DataRow, DatasetCard, PlanRow, Protocol, RunFile, RunSummary, Timing
from myoflow.section import Grid, Picture, Section
from myoflow.stage import Stage
from myoflow.task import Measure, View

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


def gather(
    recipe: Recipe,
    view: View,
    counts: Sequence[Mapping[str, Any]],
    timing: Mapping[str, float],
    details: Sequence[Mapping[str, Any]] = (),
) -> RunSummary:
    """Everything the report of a run shows. `counts` are examples by split and fold, `timing` seconds by phase,
    `details` what backends say of themselves (`engine.Program`)."""
    created = json.loads((view.folder / "environment.json").read_text())
    return RunSummary(
        title=recipe.title or recipe.name,
        recipe=recipe.name,
        created=created.pop("started", None),
        warnings=_warnings(recipe, view.metrics),
        protocol=_protocol(recipe, view.metrics, view.plans[view.main]),
        dataset=_dataset(recipe),
        data=tuple(_data_row(row) for row in counts if row["fold"] == 1 or row["split"] == "test"),
        plan=_plan(view.plans, view.main),
        scores=view.metrics,
        measures=recipe.train.task.measured(view.metrics),
        parity=view.metrics.get("parity", {}),
        curves=_curves(view.folder, recipe, view.models),
        sections=(
            *recipe.train.task.sections(view),
            *_skipped(view.metrics),
            *(_backend_section(i, part) for i, part in enumerate(details, 1)),
        ),
        timing=tuple(Timing(phase, seconds) for phase, seconds in timing.items()),
        environment=created,
        files=_files(view.folder),
    )


def _skipped(metrics: Mapping[str, Any]) -> tuple[Section, ...]:
    """Recordings that conversion left out because their files are wrong, a line each."""
    found = metrics.get("skipped", {})
    if not found:
        return ()
    many = "One recording was" if len(found) == 1 else f"{len(found)} recordings were"
    text = f"{many} left out of the data, because the raw files are wrong (convert --skip-bad); no score counts them."
    lines = tuple((f"{name}: {why}",) for name, why in found.items())
    return (Section("skipped", "Skipped recordings", text, tables=(Grid(("recording, and what is wrong",), lines),)),)


def _backend_section(number: int, part: Mapping[str, Any]) -> Section:
    """What a compiled program says of itself, as a section of the page."""
    grids = [
        Grid(tuple(table["columns"]), tuple(map(tuple, table["rows"])), table["caption"]) for table in part["tables"]
    ]
    pictures = [Picture(figure["svg"], figure["title"], figure["caption"]) for figure in part["figures"]]
    name = "chip" if number == 1 else f"chip_{number}"
    return Section(name, part["title"], part["text"], tuple(pictures), tuple(grids))


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
    step = plan.steps[plan.cut]
    stages = [step.stage for step in plan.steps]
    split = metrics["split"]
    units = {part: tuple(split[0][part]) for part in ("train", "valid", "test")} if len(split) == 1 else {}
    return Protocol(
        kind=recipe.protocol,
        split_by=recipe.data.split.by,
        units=units,
        folds=len(split) if len(split) > 1 else None,
        band=", ".join(_text(s) for s in stages if s.name in ("bandpass", "highpass", "lowpass", "notch")) or "none",
        window_s=step.after.window_s,
        window_samples=None if step.after.window_s is None else step.after.size("time"),
        stride_s=step.after.step_s,
        rate_hz=step.before.rate_hz,
        normalisation=", ".join(_text(s) for s in stages if s.name in ("zscore", "minmax", "robust")) or "none",
        seeds=recipe.train.seeds,
        leaks=tuple(found["text"] for found in metrics["audit"] if found["leak"]),
        checks=tuple(found["text"] for found in metrics["audit"] if not found["leak"]),
        notes=_notes(recipe),
    )


def _notes(recipe: Recipe) -> tuple[str, ...]:
    """What else was done to the data, or to the network before it was trained."""
    data = recipe.data
    found = [f"even grid at {data.regularise:g} Hz by time stamps"] if data.regularise else []
    found += [f"only recordings of {name} {_words(list(values))}" for name, values in data.only.items()]
    if recipe.train.start is not None:
        found.append(f"the network goes on from {recipe.train.start}")
    return tuple(found)


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
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_words(item)}" for name, item in value.items())
    if isinstance(value, Stage):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _dataset(recipe: Recipe) -> DatasetCard:
    card = load_card(recipe.data.dataset)
    others = {also.dataset or name: load_card(also.dataset or name) for name, also in recipe.data.also.items()}
    licences = [card.licence, *(f"{name}: {other.licence}" for name, other in others.items())]
    return DatasetCard(
        title=card.title,
        citation=card.citation or None,
        licence="; ".join(licence for licence in licences if licence) or None,
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
        shared = plan.cut + 1
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


def _curves(folder: Path, recipe: Recipe, models: Mapping[str, Any]) -> tuple[Curve, ...]:
    found, task = [], recipe.train.task
    for path in sorted(folder.glob("fold-*/*/seed-*/history.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if not rows or path.parent.parent.name not in models:
            continue
        fold, model, seed = path.parts[-4:-1]
        has_valid = rows[0].get("valid_loss") is not None
        # As training/train.py keeps them: the best validation loss with patience, else the last epoch.
        chosen = min(rows, key=lambda row: row["valid_loss"]) if recipe.train.patience is not None else rows[-1]
        found.append(
            Curve(
                name=f"{model}, {fold}, {seed}",
                epoch=tuple(row["epoch"] for row in rows),
                train_loss=tuple(row["loss"] for row in rows),
                valid_loss=tuple(row["valid_loss"] for row in rows) if has_valid else None,
                valid_gauge=tuple(row["valid_gauge"] for row in rows) if has_valid and task.curve else None,
                best_epoch=chosen["epoch"],
                gauge=task.curve or "",
                measure=task.measures.get(task.curve or "", Measure("", digits=3)),
            )
        )
    return tuple(found)


def _files(folder: Path) -> tuple[RunFile, ...]:
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    listed = [p for p in paths if p.name not in ("checkpoint.pt", "report.html")]
    return tuple(RunFile(str(p.relative_to(folder)), p.stat().st_size, ABOUT.get(p.name, "")) for p in listed)
