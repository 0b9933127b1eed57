"""Kinematics: what a report shows of a regressor, trajectories against the truth and a table of target channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.report.figures import GRID, INK, MUTED, SERIES, WIDE, canvas, styled, svg
from myoflow.report.words import between, shown
from myoflow.section import Grid, Picture, Section
from myoflow.task import Measure

if TYPE_CHECKING:
    from myoflow.answers.trajectories import Trajectories
    from myoflow.task import View

SHOWN = 6  # target channels drawn at most
LENGTH_S = 30.0  # of a recording drawn
Floats = npt.NDArray[np.float64]


def sections(view: View, measures: Mapping[str, Measure]) -> list[Section]:
    """A regressor's parts of the report."""
    first = {name: seeds[0] for name, seeds in view.models.items()}
    main = first[view.main]
    names = _chosen(view.metrics["models"][view.main]["targets"], main.targets)
    recordings = _typical(main)
    pictures = []
    for recording in recordings:
        said = {name: _line(answers, recording) for name, answers in first.items()}
        subject = main.subject[main.recording == recording][0]
        caption = (
            f"{recording}, subject {subject}, in {main.units}. Grey: the truth; colours: {', '.join(first)}, from test "
            "windows alone, each step as it is first known where windows overlap. Dotted: time left out between them."
        )
        pictures.append(Picture(trajectories_figure(said, main.targets, names, recording), caption=caption))
    drawn = f" {len(names)} of {len(main.targets)} targets are drawn, spread evenly from the best to the worst by R2."
    which = "" if len(names) == len(main.targets) else drawn
    text = f"Recordings of median error, no lucky or unlucky ones.{which}"
    table = targets_table(view.metrics, measures)
    return [
        Section("trajectories", "Trajectories", text, figures=tuple(pictures)),
        Section("targets", "Target channels", tables=(table,), note="Brackets: 95 % bootstrap, as in the result."),
    ]


def targets_table(metrics: Mapping[str, Any], measures: Mapping[str, Measure]) -> Grid:
    """One row per target and model, one column per metric of the recipe, with intervals."""
    heads = [
        f"{name.replace('_', ' ')}{f' in {m.unit}' if (m := measures[name]).unit else ''}"
        for name in metrics["metrics"]
    ]
    rows = []
    for target in metrics["targets"]:
        for model, content in metrics["models"].items():
            cells = []
            for name in metrics["metrics"]:
                found = content["targets"][target][name]
                inside = between(found["low"], found["high"], measures[name])
                cells.append(f"{shown(found['value'], measures[name])} [{inside}]")
            rows.append((f"{target}, {model}", *cells))
    return Grid(("target, model", *heads), tuple(rows))


def trajectories_figure(
    said: Mapping[str, tuple[Floats, Floats, Floats]], targets: Sequence[str], names: Sequence[str], recording: str
) -> str:
    """Targets one above the other; `said` gives each model's times, answers and truth `(target, time)`, NaN in gaps.

    What is known is drawn end to end, with a line where time between was left out.
    """
    shown_, at, cuts = _closed_up(next(iter(said.values())))
    with styled():
        figure = canvas(WIDE, 0.5 + 0.95 * len(names))
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for ax, name in zip(panels, names, strict=True):
            row = list(targets).index(name)
            for i, (model, (_, answers, truth)) in enumerate(said.items()):
                pieces = np.split(np.arange(len(at)), np.searchsorted(at, cuts))
                for number, piece in enumerate(pieces):
                    x, here = at[piece], shown_[piece]
                    if i == 0:
                        ax.plot(x, truth[row, here], color=GRID, linewidth=4.5, solid_capstyle="round")
                        ax.plot(x, truth[row, here], color=MUTED, linewidth=1.0)
                    label = model if name == names[0] and number == 0 else None
                    width = 1.2 if i == 0 else 0.9
                    ax.plot(x, answers[row, here], color=SERIES[i % len(SERIES)], linewidth=width, label=label)
            for cut in cuts:
                ax.axvline(cut, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
            ax.set_title(name, color=INK, fontsize=8)
            ax.tick_params(labelsize=7)
        panels[-1].set(xlabel="s of test windows", xlim=(at[0], at[-1]))
        figure.legend(loc="outside upper right", ncols=len(said), fontsize=8)
        return svg(figure, f"Trajectories of {recording}")


def _closed_up(line: tuple[Floats, Floats, Floats]) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Known steps of LENGTH_S in the middle of a recording: their numbers, their seconds end to end, and the cuts."""
    time, _, truth = line
    known = np.flatnonzero(np.isfinite(truth).all(axis=0))
    step = float(time[1] - time[0]) if len(time) > 1 else 1.0
    wanted = round(LENGTH_S / step)
    first = max(0, (len(known) - wanted) // 2)
    kept = known[first : first + wanted]
    at = np.arange(len(kept), dtype=np.float64) * step
    return kept.astype(np.int64), at, np.asarray(at[1:][np.diff(kept) > 1] - step / 2)


def _line(answers: Trajectories, recording: str) -> tuple[Floats, Floats, Floats]:
    """Times in s, answers and truth `(target, time)` of one recording on an even grid, NaN where no window tells."""
    rows = np.flatnonzero(answers.recording == recording)
    rows = rows[np.argsort(answers.start_s[rows], kind="stable")]
    steps, rate = answers.values.shape[1], answers.rate_hz
    first = np.rint(answers.start_s[rows] * rate).astype(np.int64)
    begin, count = int(first[0]), int(first[-1] - first[0]) + steps
    lines = np.full((2, len(answers.targets), count), np.nan)
    for row, at in zip(rows[::-1], first[::-1] - begin, strict=True):  # the earliest window to tell a step has the word
        lines[0, :, at : at + steps] = answers.values[row].T
        lines[1, :, at : at + steps] = answers.truth[row].T
    return (begin + np.arange(count)) / rate, lines[0], lines[1]


def _typical(answers: Trajectories) -> list[str]:
    """One recording of each of up to three subjects: the median one by error."""
    goodness, found = answers.goodness(), []
    subjects = sorted(set(answers.subject.tolist()))
    chosen = subjects if len(subjects) <= 3 else [subjects[i] for i in (0, len(subjects) // 2, len(subjects) - 1)]
    for subject in chosen:
        ids = sorted(set(answers.recording[answers.subject == subject].tolist()))
        ids.sort(key=lambda one: float(goodness[answers.recording == one].mean()))
        found.append(ids[len(ids) // 2])
    return found


def _chosen(scores: Mapping[str, Mapping[str, Any]], targets: Sequence[str]) -> list[str]:
    """Up to SHOWN targets, spread evenly over the order of R2, in their own order."""
    if len(targets) <= SHOWN:
        return list(targets)
    order = sorted(targets, key=lambda name: scores[name]["r2"]["value"] or 0.0)
    picked = {order[i] for i in np.linspace(0, len(order) - 1, SHOWN).round().astype(int)}
    return [name for name in targets if name in picked]
