"""Detections: what a report shows of a detector of moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoflow.report.summary import Grid, Section


def sections(metrics: Mapping[str, Any]) -> list[Section]:
    """A table for each model: the moments of each label, and what was detected for them."""
    labels = metrics["labels"]
    tables = tuple(moments_table(model["table"], labels, name) for name, model in metrics["models"].items())
    text = (
        f"{metrics['moments']} moments in {metrics['hours']:.2f} hours. Right and wrong are those that something was "
        "detected for; a false alarm is a detection with no moment near it."
    )
    return [Section("moments", "Moments", text, tables=tables)]


def moments_table(table: list[list[int]], labels: list[str], model: str) -> Grid:
    """Rows by label: how many there were, detected rightly, as what else, missed, and false alarms of that label."""
    rows = []
    for i, label in enumerate(labels):
        others = sorted(((n, labels[j]) for j, n in enumerate(table[i][:-1]) if j != i and n), reverse=True)
        wrong = ", ".join(f"{n} {name}" for n, name in others[:3]) or "0"
        rows.append((label, str(sum(table[i])), str(table[i][i]), wrong, str(table[i][-1]), str(table[-1][i])))
    return Grid(("label", "moments", "right", "wrong", "missed", "false alarms"), tuple(rows), model)
