"""Figures: inline SVG whose colours are the page's CSS variables, so one figure reads in light, dark and print.

matplotlib draws with stand-in colours that `_svg` then replaces by `var(--name)`. Text stays text, in the page's own
font. Dense traces are rasterised inside the SVG, in a tone that reads on both grounds. The same input gives the same
bytes: fixed hash salt, no dates, the user's matplotlibrc ignored.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from myoflow.report.summary import Curve, Example, Timeline
from myoflow.report.words import amplitude, count, natural, nice

TOKENS = ("ink", "muted", "grid", "paper", "wrong", "c0", "c1", "c2", "c3", "c4")
INK, MUTED, GRID, PAPER, WRONG, *SERIES = (f"#0f0e{16 + i:02x}" for i in range(len(TOKENS)))
TRACE = "#6f8fae"  # rasterised, so no variable: a blue grey with contrast on white and on near-black
WIDE, HALF = 9.6, 4.7  # inches; at 96 dpi the page's column and half of it
Run = tuple[float, float, int, bool | None]  # start s, end s, label, right?
DENSE = 6000  # more points than this become pixels
NARROW = 9  # up to this many labels two confusion matrices stand side by side
ONE_BY_ONE = 20  # up to this many labels a confusion matrix has room for its counts

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "myoflow",
    "text.parse_math": False,
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "figure.dpi": 72.0,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "path.simplify": True,
}

# Settings of the process, not of a figure.
NOT_STYLE = {"backend", "backend_fallback", "date.epoch", "docstring.hardcopy", "interactive", "timezone", "toolbar"}


@contextmanager
def styled(**changes: Any) -> Iterator[None]:
    """matplotlib's own defaults, ours on top, and the caller's settings back afterwards."""
    settings: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in NOT_STYLE}
    settings.update(STYLE, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)
        with mpl.rc_context(settings):
            yield


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure, label: str) -> str:
    """The figure as an inline `<svg>` without ids that could meet another figure's, without outside names."""
    file = io.StringIO()
    figure.savefig(file, format="svg", dpi=144, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"; font-family: [^;\"]*", "", text)  # the page's own font instead
    text = re.sub(r"\bfont: ((?:[a-z0-9]+ )*?)([\d.]+)px [^;\"]*", _font, text)  # as matplotlib before 3.10 has it
    for i, name in enumerate(TOKENS):
        text = text.replace(f"#0f0e{16 + i:02x}", f"var(--{name})")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert box is not None, "matplotlib wrote an SVG without a viewBox"
    head = f'<svg viewBox="{box[0][9:-1]}" role="img" aria-label="{html.escape(label)}" style="max-width:{box[1]}pt">'
    text = head + text[text.index(">") + 1 :]
    return re.sub(r"\s*\n\s*", "\n", text)


def _font(found: re.Match[str]) -> str:
    weight = re.search(r"bold|[5-9]00", found[1])
    return f"font-size: {found[2]}px" + ("; font-weight: 600" if weight else "")


def confusion_figure(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> str:
    """Counts `(truth, decision)`; a cell's tone is its share of its row."""
    counts = np.asarray(matrix, dtype=float)
    k = len(labels)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    spelled = k <= ONE_BY_ONE
    width = WIDE if k > NARROW else HALF
    with styled(**{"axes.grid": False}):
        figure = _figure(width, min(0.9 + k * (0.42 if k <= NARROW else 0.36), 8.5) if spelled else 8.0)
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
        return _svg(figure, f"Confusion matrix of {title}")


def subjects_figure(models: Mapping[str, Any], metric: str) -> str:
    """One row per subject, best first: every model's score with its interval, overall scores as lines."""
    main = next(iter(models))
    own = models[main]["per_subject"]
    names = sorted(natural(own), key=lambda name: -(own[name][metric]["value"] or 0.0))
    with styled():
        figure = _figure(WIDE, 0.75 + (0.2 + 0.05 * len(models)) * len(names))
        ax = figure.add_subplot()
        for i, (model, content) in enumerate(models.items()):
            color = SERIES[i % len(SERIES)]
            shift = (i - (len(models) - 1) / 2) * min(0.24, 0.66 / len(models))
            at = np.arange(len(names)) + shift
            rows = [content["per_subject"][name][metric] for name in names]
            value, low, high = (np.array([row[key] for row in rows], float) * 100 for key in ("value", "low", "high"))
            ax.hlines(at, low, high, color=color, linewidth=1.2, alpha=0.55)
            marker = "osD^v"[i % 5]
            ax.plot(value, at, marker, color=color, markersize=5, label=model, markeredgewidth=0)
            overall = content["metrics"][metric]["value"]
            if overall is not None:
                ax.axvline(100 * overall, color=color, linewidth=1, linestyle=(0, (3, 3)), zorder=0.6)
        ax.set_yticks(np.arange(len(names)), names)
        ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"{metric.replace('_', ' ')} in %")
        low_edge = ax.get_xlim()[0]
        ax.set_xlim(max(0.0, low_edge), 101)
        ax.grid(axis="y", visible=False)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=len(models), fontsize=9)
        return _svg(figure, f"{metric} of each subject")


def curves_figure(curves: Sequence[Curve]) -> str:
    """Loss and, where there is one, validation accuracy by epoch; a dot marks the epoch whose weights were kept."""
    accuracy = any(curve.valid_accuracy for curve in curves)
    faint = 0.85 if len(curves) <= 3 else 0.5
    with styled():
        figure = _figure(WIDE, 2.7)
        panels = figure.subplots(1, 2 if accuracy else 1, squeeze=False)[0]
        for i, curve in enumerate(curves):
            first = i == 0
            common: dict[str, Any] = {"alpha": faint, "linewidth": 1.5 if len(curves) <= 3 else 1.0}
            train = {"color": MUTED, "linestyle": (0, (3, 2)), "label": "training" if first else None}
            panels[0].plot(curve.epoch, curve.train_loss, **common, **train)
            if curve.valid_loss:
                panels[0].plot(
                    curve.epoch, curve.valid_loss, color=SERIES[0], label="validation" if first else None, **common
                )
                _best(panels[0], curve, curve.valid_loss)
            if curve.valid_accuracy:
                shares = [100 * value for value in curve.valid_accuracy]
                panels[1].plot(curve.epoch, shares, color=SERIES[0], **common)
                _best(panels[1], curve, shares)
        panels[0].set(title="loss", xlabel="epoch")
        panels[0].legend(fontsize=8, labelcolor=MUTED)
        if accuracy:
            panels[1].set(title="validation accuracy in %", xlabel="epoch")
        for ax in panels:
            ax.xaxis.get_major_locator().set_params(integer=True)
        return _svg(figure, "Learning curves")


def _best(ax: Axes, curve: Curve, values: Sequence[float]) -> None:
    if curve.best_epoch is not None and curve.best_epoch in curve.epoch:
        at = curve.epoch.index(curve.best_epoch)
        ax.plot(curve.best_epoch, values[at], "o", color=SERIES[0], markersize=5, markeredgecolor=PAPER)


def example_figure(example: Example) -> str:
    """The window's traces, one above the other on one scale; the bar at the right says how large that is."""
    signal = np.asarray(example.signal, dtype=float)
    with styled(**{"axes.grid": False}):
        figure = _figure(HALF * 0.66, 0.55 + 0.17 * min(len(signal), 16))
        ax = figure.add_subplot()
        traces(ax, signal, example.rate_hz, example.channels, example.units)
        ax.set_xlabel("ms" if signal.shape[1] / example.rate_hz < 2 else "s", fontsize=8)
        return _svg(figure, f"Window of {example.recording} at {example.start_s:g} s, true label {example.truth}")


def traces(
    ax: Axes,
    signal: Any,
    rate_hz: float,
    channels: Sequence[str],
    units: str,
    *,
    start_s: float = 0.0,
    color: str = TRACE,
    size: float = 7,
) -> None:
    """Draw `(channel, time)` into an axis, first channel on top, with a bar for the amplitude."""
    whole = np.isfinite(signal)
    signal = signal - np.array(
        [[np.median(row[good]) if good.any() else 0.0] for row, good in zip(signal, whole, strict=True)]
    )
    step = 2.2 * float(np.percentile(np.abs(signal[whole]), 99.5)) if whole.any() else 0.0
    step = step or 1.0
    duration = signal.shape[1] / rate_hz
    unit = 1e3 if duration < 2 and start_s == 0 else 1.0
    time = (start_s + np.arange(signal.shape[1]) / rate_hz) * unit
    dense = signal.size > DENSE
    for i, trace in enumerate(signal):
        clipped = np.clip(trace / step, -1.0, 1.0)
        ax.plot(time, clipped - i, color=color, linewidth=0.8, rasterized=dense, solid_joinstyle="round")
    ax.set(xlim=(start_s * unit, (start_s + duration) * unit), ylim=(0.6 - len(signal), 0.75))
    ax.set_yticks(-np.arange(len(signal)), channels or [str(i + 1) for i in range(len(signal))], fontsize=size)
    ax.tick_params(axis="x", labelsize=size)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    bar = nice(step)
    right = (start_s + duration * 1.025) * unit
    ax.plot([right, right], [-bar / step, 0], color=MUTED, linewidth=2, clip_on=False, solid_capstyle="butt")
    turned: dict[str, Any] = {"rotation": 90, "va": "top", "ha": "left", "fontsize": size, "color": MUTED}
    ax.text(right + 0.015 * duration * unit, 0, amplitude(bar, units), **turned)


def timeline_figure(timeline: Timeline) -> str:
    """Labels as rows, time to the right: what was marked as boxes, what each model decided as bars in them."""
    decided = [np.asarray(values) for values in timeline.decisions.values()]
    present = np.unique(np.concatenate([np.asarray(timeline.truth), *decided]))
    rows = {int(label): row for row, label in enumerate(present[present >= 0])}
    names = [timeline.labels[label] for label in rows]
    with styled(**{"axes.grid": False}):
        figure = _figure(WIDE, len(decided) * (0.45 + 0.2 * len(rows)) + 0.35)
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
        return _svg(figure, f"Decisions over {timeline.recording}")


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
