"""The page: a RunSummary rendered to one HTML file that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from myoflow.files import write_text
from myoflow.report import figures, words
from myoflow.report.summary import PlanRow, RunSummary
from myoflow.task import Measure

FILTERS: dict[str, Callable[..., Any]] = {
    "percent": words.percent,
    "shown": words.shown,
    "gap": words.gap,
    "p_value": words.p_value,
    "count": words.count,
    "short": words.short,
    "size": words.size,
    "seconds": words.seconds,
    "spread": words.spread,
}


def render(summary: RunSummary) -> str:
    """The report as one HTML document: style inline, figures inline, no scripts, nothing fetched.

    The same summary gives the same text. Everything that comes from outside is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("myoflow.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["between"] = words.between
    template = environment.get_template("template.html.j2")
    return template.render(
        run=summary,
        banners=words.banners(summary),
        protocol=words.protocol_words(summary.protocol) if summary.protocol else [],
        splits=_splits(summary),
        plan=_branches(summary.plan),
        **_results(summary.scores),
        measures=_measures(summary),
        **_figures(summary),
    )


def write(summary: RunSummary, path: str | Path) -> Path:
    """Render to a file, which is complete or absent. Returns its path."""
    path = Path(path)
    write_text(path, render(summary))
    return path


def _results(scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """The score table, main model first, and what the brackets mean."""
    if not scores:
        return {"scores": None, "models": {}, "brackets": ""}
    models = {scores["main"]: scores["models"][scores["main"]], **scores["models"]}
    return {"scores": scores, "models": models, "brackets": words.interval_words(dict(scores))}


def _measures(summary: RunSummary) -> dict[str, Measure]:
    """How each metric of the scores is read."""
    return {name: summary.measures.get(name, Measure()) for name in (summary.scores or {}).get("metrics", ())}


def _figures(summary: RunSummary) -> dict[str, Any]:
    """The page's figures, as markup that is safe because `figures` escapes what it writes."""
    models = _results(summary.scores)["models"]
    scores = summary.scores or {}
    metric = next(iter(scores.get("metrics", ())), None)
    several = len(scores.get("subjects", ())) > 1
    return {
        "subjects": Markup(figures.subjects_figure(models, metric, _measures(summary)[metric]))
        if metric and several
        else None,
        "sections": [(section, [Markup(picture.svg) for picture in section.figures]) for section in summary.sections],
        "curves": Markup(figures.curves_figure(summary.curves)) if summary.curves else None,
    }


def _splits(summary: RunSummary) -> dict[str, Any]:
    """Column heads and rows of the data table; labels in the order of the scores, then of appearance."""
    known = list((summary.scores or {}).get("labels", ()))
    labels = list(dict.fromkeys([*known, *(label for row in summary.data for label in row.labels)]))
    used = [label for label in labels if any(label in row.labels for row in summary.data)]
    return {"labels": used, "rows": summary.data}


def _branches(plan: tuple[PlanRow, ...]) -> list[dict[str, Any]]:
    """Plan rows grouped by branch, with the sums a reader looks for; `delay` is that of the whole path."""
    shared = [row for row in plan if row.branch is None]
    groups = []
    for branch in dict.fromkeys(row.branch for row in plan):
        rows = [row for row in plan if row.branch == branch]
        path = rows if branch is None else [*shared, *rows]
        groups.append(
            {
                "branch": branch,
                "rows": rows,
                "parameters": sum(row.parameters for row in rows),
                "macs": sum(row.macs for row in rows),
                "delay_s": max((row.delay_s for row in path), default=0.0),
            }
        )
    return groups
