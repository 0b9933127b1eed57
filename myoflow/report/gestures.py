"""Gestures: what a report shows of a classifier, confusion, decisions over time and example windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from myoflow.report.figures import (
    GRID,
    HALF,
    INK,
    MUTED,
    PAPER,
    SERIES,
    WIDE,
    WRONG,
    canvas,
    styled,
    svg,
    traces,
)
from myoflow.report.words import count, percent
from myoflow.section import Picture, Section

if TYPE_CHECKING:
    from myoflow.task import View

Run = tuple[float, float, int, bool | None]  # start s, end s, label, right?
RIGHT, WRONGLY = "\N{CHECK MARK}", "\N{BALLOT X}"
NARROW = 9  # up to this many labels two confusion matrices stand side by side
ONE_BY_ONE = 20  # up to this many labels a confusion matrix has room for its counts


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


def sections(scores: Mapping[str, Any], line: Timeline | None = None, windows: Sequence[Example] = ()) -> list[Section]:
    """A classifier's parts of the report, from what `answers.scores.summarise` gives; empty ones are left out."""
    main = scores["main"]
    models = {main: scores["models"][main], **scores["models"]}
    several = ", once per seed" if max(model["seeds"] for model in models.values()) > 1 else ""
    found = [
        Section(
            "confusion",
            "Confusion",
            figures=tuple(
                Picture(confusion_figure(model["confusion"], scores["labels"], name), name, series=i)
                for i, (name, model) in enumerate(models.items())
            ),
            layout="wide" if len(scores["labels"]) > NARROW else "pair",
            note=f"Numbers count windows{several}; a cell's tone is its share of the true label's row.",
        )
    ]
    if line is not None:
        caption = (
            f"{line.recording}, subject {line.subject}. Boxes: what was marked. Bars: what was decided, each over the "
            "last step of its window, so that it ends when it can be known; red where it contradicts the mark, grey "
            "where nothing was marked."
        )
        found.append(
            Section("decisions", "Decisions over time", figures=(Picture(timeline_figure(line), caption=caption),))
        )
    if windows:
        found.append(
            Section("examples", "Example windows", figures=tuple(_example(e) for e in windows), layout="cells")
        )
    return found


def _example(example: Example) -> Picture:
    said = []
    for i, (model, (label, probability)) in enumerate(example.decisions.items()):
        right = label == example.truth
        sure = "" if probability is None else f" {percent(probability, 0)} %"
        said.append((i, f"{model}: {RIGHT if right else WRONGLY} {label}{sure}", right))
    where = f"{example.recording}, {example.start_s:.1f} s"
    return Picture(example_figure(example), example.truth, where, said=tuple(said))


def confusion_figure(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> str:
    """Counts `(truth, decision)`; a cell's tone is its share of its row."""
    counts = np.asarray(matrix, dtype=float)
    k = len(labels)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    spelled = k <= ONE_BY_ONE
    width = WIDE if k > NARROW else HALF
    with styled(**{"axes.grid": False}):
        figure = canvas(width, min(0.9 + k * (0.42 if k <= NARROW else 0.36), 8.5) if spelled else 8.0)
        ax = figure.add_subplot()
        cells = [Rectangle((j, i), 1, 1) for i in range(k) for j in range(k)]
        tones = [to_rgba(SERIES[0], 0.06 + 0.94 * value if value else 0.0) for value in share.ravel().tolist()]
        ax.add_collection(PatchCollection(cells, facecolors=tones, edgecolors=PAPER, linewidths=1.0))
        if spelled:
            for i, j in np.argwhere(counts > 0).tolist():
                color = PAPER if share[i, j] > 0.5 else INK
                ax.text(j + 0.5, i + 0.5, count(counts[i, j]), ha="center", va="center", fontsize=8, color=color)
        ax.set(xlim=(0, k), ylim=(k, 0), xlabel="decided", ylabel="true")
        size = 8 if spelled else 5
        turned: dict[str, Any] = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
        straight = sum(map(len, labels)) <= 6 * width and spelled
        ax.set_xticks(np.arange(k) + 0.5, labels, fontsize=size, **({} if straight else turned))
        ax.set_yticks(np.arange(k) + 0.5, labels, fontsize=size)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("bottom")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        return svg(figure, f"Confusion matrix of {title}")


def example_figure(example: Example) -> str:
    """The window's traces, one above the other on one scale; the bar at the right says how large that is."""
    signal = np.asarray(example.signal, dtype=float)
    with styled(**{"axes.grid": False}):
        figure = canvas(HALF * 0.66, 0.55 + 0.17 * min(len(signal), 16))
        ax = figure.add_subplot()
        traces(ax, signal, example.rate_hz, example.channels, example.units)
        ax.set_xlabel("ms" if signal.shape[1] / example.rate_hz < 2 else "s", fontsize=8)
        return svg(figure, f"Window of {example.recording} at {example.start_s:g} s, true label {example.truth}")


def timeline_figure(timeline: Timeline) -> str:
    """Labels as rows, time to the right: what was marked as boxes, what each model decided as bars in them."""
    decided = [np.asarray(values) for values in timeline.decisions.values()]
    present = np.unique(np.concatenate([np.asarray(timeline.truth), *decided]))
    rows = {int(label): row for row, label in enumerate(present[present >= 0])}
    names = [timeline.labels[label] for label in rows]
    with styled(**{"axes.grid": False}):
        figure = canvas(WIDE, len(decided) * (0.45 + 0.2 * len(rows)) + 0.35)
        panels = figure.subplots(len(decided), 1, sharex=True, squeeze=False)[:, 0]
        for i, (ax, (model, values)) in enumerate(zip(panels, timeline.decisions.items(), strict=True)):
            for start, end, label in truth_spans(timeline):
                if label in rows:
                    ax.broken_barh([(start, end - start)], (rows[label] - 0.5, 1), facecolor=GRID)
            for start, end, label, right in decision_runs(timeline, values):
                color = WRONG if right is False else SERIES[i % len(SERIES)] if right else MUTED
                ax.broken_barh([(start, end - start)], (rows[label] - 0.22, 0.44), facecolor=color)
            ax.set_yticks(range(len(rows)), names, fontsize=8)
            ax.set(ylim=(len(rows) - 0.4, -0.6))
            ax.set_title(model, color=INK, fontweight="bold")
            ax.tick_params(axis="y", length=0)
            ax.spines["left"].set_visible(False)
        panels[-1].set_xlabel("s")
        panels[-1].margins(x=0.01)
        return svg(figure, f"Decisions over {timeline.recording}")


def truth_spans(timeline: Timeline) -> list[tuple[float, float, int]]:
    """Marked (start s, end s, label): as given, or read off the windows' last steps."""
    if timeline.spans is not None:
        return list(timeline.spans)
    return [(start, end, label) for start, end, label, _ in decision_runs(timeline, timeline.truth)]


def decision_runs(timeline: Timeline, values: Any) -> list[Run]:
    """Equal neighbouring decisions as (start s, end s, label, right?); right is None where nothing was marked.

    Each decision stands over the last step of its window, so its end is the moment at which it can be known.
    """
    runs: list[Run] = []
    for start, label, truth in zip(timeline.start_s, values, timeline.truth, strict=True):
        end = float(start) + timeline.window_s
        begin = end - timeline.step_s
        key = (int(label), None if truth < 0 else bool(label == truth))
        if int(label) < 0:
            continue
        if runs and runs[-1][2:] == key and abs(runs[-1][1] - begin) < 1e-6 + 0.01 * timeline.step_s:
            runs[-1] = (runs[-1][0], end, *key)
        else:
            runs.append((begin, end, *key))
    return runs


def _softmax(scores: Any) -> Any:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def examples(view: View) -> tuple[Example, ...]:
    """Up to six windows of the recording shown: three that the main model gets wrong, three right ones."""
    if view.shown is None:
        return ()
    plan, first = view.plans[view.main], {name: seeds[0] for name, seeds in view.models.items()}
    own = first[view.main]
    rows = np.flatnonzero(own.recording == view.shown.id)  # test windows only, whatever the split
    hit = own.decision[rows] == own.label[rows]
    chosen = sorted([*_spaced(rows[~hit].tolist(), 3), *_spaced(rows[hit].tolist(), 3)])
    step = plan.steps[plan.cut]
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
                signal=np.asarray(view.shown.values[:, start : start + length]),
                rate_hz=rate,
                truth=own.labels[int(own.label[row])],
                decisions=decisions,
                recording=view.shown.id,
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


def timeline(view: View) -> Timeline | None:
    """Truth and decisions over the recording shown, on the grid that a live stream has."""
    live = view.live
    if view.shown is None or not live:
        return None
    shown, plan = view.shown, view.plans[view.main]
    step = plan.steps[plan.cut]
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
