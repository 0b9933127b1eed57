"""Detections: what a report shows of a detector of moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoflow.report.figures import HALF, MUTED, PAPER, SERIES, canvas, styled, svg
from myoflow.section import Grid, Picture, Section

SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # thresholds with a row of their own


def sections(metrics: Mapping[str, Any]) -> list[Section]:
    """The moments of each label and what was detected for them, and what other thresholds would have given."""
    labels, models = metrics["labels"], metrics["models"]
    tables = tuple(moments_table(model["table"], labels, name) for name, model in models.items())
    text = (
        f"{metrics['moments']} moments in {metrics['hours']:.2f} hours. Right and wrong are those that something was "
        "detected for; a false alarm is a detection with no moment near it."
    )
    used = "; ".join(f"{name} {' and '.join(f'{t:g}' for t in model['threshold'])}" for name, model in models.items())
    note = (
        f"The test split at every threshold; the scores above are at these: {used} (the dots; a number of the recipe, "
        "or with `auto` what the validation split chose). A right detection is near a moment and names it rightly: "
        "precision is their share of all detections, recall their share of all moments."
    )
    return [
        Section("moments", "Moments", text, tables=tables),
        Section(
            "thresholds",
            "Thresholds",
            figures=(Picture(precision_figure(models)),),
            tables=tuple(thresholds_table(model["sweep"], name) for name, model in models.items()),
            note=note,
        ),
    ]


def moments_table(table: list[list[int]], labels: list[str], model: str) -> Grid:
    """Rows by label: how many there were, detected rightly, as what else, missed, and false alarms of that label."""
    rows = []
    for i, label in enumerate(labels):
        others = sorted(((n, labels[j]) for j, n in enumerate(table[i][:-1]) if j != i and n), reverse=True)
        wrong = ", ".join(f"{n} {name}" for n, name in others[:3]) or "0"
        rows.append((label, str(sum(table[i])), str(table[i][i]), wrong, str(table[i][-1]), str(table[-1][i])))
    return Grid(("label", "moments", "right", "wrong", "missed", "false alarms"), tuple(rows), model)


def thresholds_table(sweep: Mapping[str, list[float | None]], model: str) -> Grid:
    """Rows by threshold: precision, recall, wrong labels, misses, false alarms."""
    names = ("precision", "recall", "cler", "miss_rate", "false_per_hour")
    rows = []
    for i, threshold in enumerate(sweep["threshold"]):
        if threshold in SHOWN:
            values = [sweep[name][i] for name in names]
            shares = ["—" if value is None else f"{100 * value:.1f} %" for value in values[:-1]]
            rows.append((f"{threshold:g}", *shares, "—" if values[-1] is None else f"{values[-1]:.0f}"))
    return Grid(("threshold", "precision", "recall", "CLER", "missed", "false, per hour"), tuple(rows), model)


def precision_figure(models: Mapping[str, Any]) -> str:
    """Precision over recall, a line a model, with a dot where it stood."""
    with styled():
        figure = canvas(HALF, 3.4)
        ax = figure.add_subplot()
        for color, (name, model) in zip(SERIES, models.items(), strict=False):
            sweep = model["sweep"]
            points = [
                (100 * recall, 100 * precision)
                for recall, precision in zip(sweep["recall"], sweep["precision"], strict=True)
                if recall is not None and precision is not None
            ]
            if points:
                ax.plot(*zip(*points, strict=True), color=color, marker=".", markersize=3)
            spot = [100 * value for value in _spot(model["table"])]
            ax.plot(*spot, "o", color=color, label=name, markersize=7, markeredgecolor=PAPER)
        ax.set(xlabel="recall, %", ylabel="precision, %", xlim=(None, 101), ylim=(None, 101))
        ax.legend(loc="best", fontsize=8, labelcolor=MUTED)  # said, or a slow machine warns that it looks for it
        return svg(figure, "Precision over recall at every threshold")


def _spot(table: list[list[int]]) -> tuple[float, float]:
    """Recall and precision of a table; 0 where there is nothing."""
    right = sum(table[i][i] for i in range(len(table) - 1))
    moments, found = sum(map(sum, table[:-1])), sum(sum(row[:-1]) for row in table)
    return right / max(1, moments), right / max(1, found)
