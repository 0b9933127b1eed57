"""The picture of a run: a few seconds of EMG, what was marked and what the decoder said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from myoflow.errors import InputError
from myoflow.report.figures import styled, traces
from myoflow.report.gestures import Run, Timeline, decision_runs, truth_spans

# Paul Tol's "light" scheme: made for fields with dark text in them, distinct for colour-blind readers.
FIELDS = ("#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#44bb99", "#bbcc33", "#99ddff", "#aaaa00")
IDLE, RESTING = "#e3e6e9", {"rest", "none", "idle", "no movement", "no gesture"}
DARK, SOFT, WRONG = "#1c2126", "#5d6873", "#c2185b"
CHANNELS = 8


def draw_picture(
    timeline: Timeline, path: str | Path, main: str = "", *, start_s: float | None = None, length_s: float = 12.0
) -> Path:
    """Draw up to 8 channels over `length_s` seconds with the decoder's decisions and the truth below.

    The format follows the path's suffix (.png or .svg); 9.6 x 4.4 inches, readable at 900 px. `start_s` is the
    stretch with the most changes of label unless given. Decisions are those of the model `main`, or of the first one.

    Raises:
        InputError: the timeline has no signal.
    """
    if timeline.signal is None or not timeline.rate_hz:
        raise InputError("the picture needs a timeline that has a signal and its rate")
    path = Path(path)
    model = main if main in timeline.decisions else next(iter(timeline.decisions))
    start = _busiest(timeline, length_s) if start_s is None else start_s
    light = {"svg.fonttype": "path", "xtick.labelcolor": SOFT, "ytick.labelcolor": SOFT, "xtick.color": SOFT}
    with styled(**{"axes.grid": False, "text.color": DARK, "axes.edgecolor": "#c9d0d6", **light}):
        figure = Figure(figsize=(9.6, 4.4), layout="constrained", facecolor="#ffffff")
        top, said, marked = figure.subplots(3, 1, height_ratios=(8, 1, 1), sharex=False)
        _signal(top, timeline, start, length_s)
        truth: list[Run] = [(*span, True) for span in truth_spans(timeline)]
        _strip(said, model, decision_runs(timeline, timeline.decisions[model]), timeline, start, length_s)
        _strip(marked, "truth", truth, timeline, start, length_s)
        said.tick_params(axis="x", labelbottom=False, length=0)
        marked.set_xlabel("seconds", color=SOFT, fontsize=9)
        options = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"metadata": {"Software": None}}
        figure.savefig(path, dpi=200, **options)  # type: ignore[arg-type]
    return path


def _busiest(timeline: Timeline, length_s: float) -> float:
    """Start of the stretch in which the most marked spans begin, a little before the first of them."""
    begins = np.array(sorted(start for start, _, _ in truth_spans(timeline)) or [0.0])
    within = [int(((begins >= begin) & (begins < begin + length_s - 0.5)).sum()) for begin in begins]
    assert timeline.signal is not None and timeline.rate_hz is not None
    latest: float = timeline.signal.shape[1] / timeline.rate_hz - length_s
    return max(0.0, min(float(begins[int(np.argmax(within))]) - 0.5, latest))


def _signal(ax: Axes, timeline: Timeline, start_s: float, length_s: float) -> None:
    assert timeline.signal is not None and timeline.rate_hz is not None
    first = round(start_s * timeline.rate_hz)
    piece = np.asarray(timeline.signal[:CHANNELS, first : first + round(length_s * timeline.rate_hz)], dtype=float)
    names = timeline.channels[:CHANNELS]
    traces(ax, piece, timeline.rate_hz, names, timeline.units, start_s=start_s, color="#33475b", size=9)
    ax.set_xlim(start_s, start_s + length_s)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="x", labelbottom=False, length=0)


def _strip(
    ax: Axes,
    name: str,
    spans: list[Run],
    timeline: Timeline,
    start_s: float,
    length_s: float,
) -> None:
    """One row of labelled fields; a wrong decision has a line under it."""
    end_s = start_s + length_s
    for begin, end, label, right in spans:
        begin, end = max(begin, start_s), min(end, end_s)
        if end <= begin:
            continue
        color = IDLE if timeline.labels[label].lower() in RESTING else FIELDS[label % len(FIELDS)]
        ax.broken_barh([(begin, end - begin)], (0.12, 0.88), facecolor=color, alpha=0.45 if right is None else 1.0)
        if right is False:
            ax.broken_barh([(begin, end - begin)], (-0.06, 0.12), facecolor=WRONG)
        text = timeline.labels[label]
        if (end - begin) / length_s > 0.0115 * len(text) + 0.005:
            ax.text((begin + end) / 2, 0.55, text, ha="center", va="center", fontsize=9, color=DARK)
    ax.set(xlim=(start_s, end_s), ylim=(-0.08, 1.02))
    ax.set_yticks([0.55], [name], fontsize=10, fontweight="bold", color=DARK)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
