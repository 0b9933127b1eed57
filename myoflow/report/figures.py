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
from matplotlib.figure import Figure

from myoflow.report.summary import Curve
from myoflow.report.words import amplitude, natural, nice
from myoflow.task import Measure

TOKENS = ("ink", "muted", "grid", "paper", "wrong", "c0", "c1", "c2", "c3", "c4")
INK, MUTED, GRID, PAPER, WRONG, *SERIES = (f"#0f0e{16 + i:02x}" for i in range(len(TOKENS)))
TRACE = "#6f8fae"  # rasterised, so no variable: a blue grey with contrast on white and on near-black
WIDE, HALF = 9.6, 4.7  # inches; at 96 dpi the page's column and half of it
DENSE = 6000  # more points than this become pixels

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


def canvas(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, to be made under `styled`."""
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure, label: str) -> str:
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


def subjects_figure(models: Mapping[str, Any], metric: str, measure: Measure) -> str:
    """One row per subject, best first: every model's score with its interval, overall scores as lines."""
    main = next(iter(models))
    own = models[main]["per_subject"]
    way = -1 if measure.better == "higher" else 1
    names = sorted(natural(own), key=lambda name: way * (own[name][metric]["value"] or 0.0))
    with styled():
        figure = canvas(WIDE, 0.75 + (0.2 + 0.05 * len(models)) * len(names))
        ax = figure.add_subplot()
        for i, (model, content) in enumerate(models.items()):
            color = SERIES[i % len(SERIES)]
            shift = (i - (len(models) - 1) / 2) * min(0.24, 0.66 / len(models))
            at = np.arange(len(names)) + shift
            rows = [content["per_subject"][name][metric] for name in names]
            value, low, high = (
                np.array([row[key] for row in rows], float) * measure.scale for key in ("value", "low", "high")
            )
            ax.hlines(at, low, high, color=color, linewidth=1.2, alpha=0.55)
            marker = "osD^v"[i % 5]
            ax.plot(value, at, marker, color=color, markersize=5, label=model, markeredgewidth=0)
            overall = content["metrics"][metric]["value"]
            if overall is not None:
                ax.axvline(measure.scale * overall, color=color, linewidth=1, linestyle=(0, (3, 3)), zorder=0.6)
        ax.set_yticks(np.arange(len(names)), names)
        ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=with_unit(metric, measure))
        if measure.unit == "%":
            ax.set_xlim(max(0.0, ax.get_xlim()[0]), 101)
        ax.grid(axis="y", visible=False)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=len(models), fontsize=9)
        return svg(figure, f"{metric} of each subject")


def with_unit(name: str, measure: Measure) -> str:
    """`macro f1 in %`."""
    return f"{name.replace('_', ' ')}{f' in {measure.unit}' if measure.unit else ''}"


def curves_figure(curves: Sequence[Curve]) -> str:
    """Loss and, where there is one, the task's validation number by epoch; a dot marks the epoch that was kept."""
    gauged = next((curve for curve in curves if curve.valid_gauge), None)
    faint = 0.85 if len(curves) <= 3 else 0.5
    with styled():
        figure = canvas(WIDE, 2.7)
        panels = figure.subplots(1, 2 if gauged else 1, squeeze=False)[0]
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
            if curve.valid_gauge:
                values = [curve.measure.scale * value for value in curve.valid_gauge]
                panels[1].plot(curve.epoch, values, color=SERIES[0], **common)
                _best(panels[1], curve, values)
        panels[0].set(title="loss", xlabel="epoch")
        panels[0].legend(loc="best", fontsize=8, labelcolor=MUTED)  # said, or a slow machine warns of it
        if gauged:
            panels[1].set(title=f"validation {with_unit(gauged.gauge, gauged.measure)}", xlabel="epoch")
        for ax in panels:
            ax.xaxis.get_major_locator().set_params(integer=True)
        return svg(figure, "Learning curves")


def _best(ax: Axes, curve: Curve, values: Sequence[float]) -> None:
    if curve.best_epoch is not None and curve.best_epoch in curve.epoch:
        at = curve.epoch.index(curve.best_epoch)
        ax.plot(curve.best_epoch, values[at], "o", color=SERIES[0], markersize=5, markeredgecolor=PAPER)


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
