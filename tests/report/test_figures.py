from __future__ import annotations

import attrs
import numpy as np
import pytest

from myoflow.report.gestures import Timeline, confusion_figure, decision_runs, truth_spans
from myoflow.report.summary import RunSummary


def timeline(truth: list[int], decided: list[int], start: list[float] | None = None) -> Timeline:
    return Timeline(
        recording="r",
        subject="01",
        labels=("rest", "fist"),
        start_s=np.array(start or [0.5 * i for i in range(len(truth))]),
        window_s=1.0,
        step_s=0.5,
        truth=np.array(truth),
        decisions={"lda": np.array(decided)},
    )


def test_equal_neighbours_are_one_run_ending_when_the_last_can_be_known() -> None:
    line = timeline([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    runs = decision_runs(line, line.decisions["lda"])
    assert runs == [(0.5, 1.5, 0, True), (1.5, 2.0, 1, False), (2.0, 3.0, 1, True)]


def test_gaps_and_unmarked_windows_part_runs() -> None:
    line = timeline([0, 0, -1], [0, 0, 0], start=[0.0, 4.0, 4.5])
    assert decision_runs(line, line.decisions["lda"]) == [(0.5, 1.0, 0, True), (4.5, 5.0, 0, True), (5.0, 5.5, 0, None)]


def test_truth_is_read_off_windows_unless_spans_are_given() -> None:
    line = timeline([0, 1, 1, -1], [0, 1, 0, 0])
    assert truth_spans(line) == [(0.5, 1.0, 0), (1.0, 2.0, 1)]
    assert truth_spans(attrs.evolve(line, spans=((0.0, 3.0, 1),))) == [(0.0, 3.0, 1)]


@pytest.mark.parametrize("k", [1, 2, 12, 30])
def test_confusions_of_any_size_draw_one_cell_per_pair(k: int, summary: RunSummary) -> None:
    matrix = (np.eye(k, dtype=int) * 1234).tolist()
    svg = confusion_figure(matrix, [f"label {i}" for i in range(k)], "lda")
    assert svg.count("1\N{NARROW NO-BREAK SPACE}234") == (k if k <= 20 else 0)
    assert svg.startswith("<svg ") and svg.endswith("</svg>")
    assert all(f"label {i}<" in svg for i in range(k))


def test_a_label_without_windows_leaves_an_empty_row() -> None:
    assert "nan" not in confusion_figure([[3, 1], [0, 0]], ["rest", "fist"], "lda").lower()
