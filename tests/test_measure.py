"""Measuring: calls are counted and timed, memory is what a call added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myoflow import measure


def test_calls_are_timed_one_by_one() -> None:
    calls = []
    times = measure.timed(lambda: calls.append(1), seconds=0)
    assert len(times) == measure.FEWEST and len(calls) == measure.FEWEST + 1 and min(times) >= 0


@pytest.mark.skipif(not (measure.PROCESS / "clear_refs").exists(), reason="needs Linux")
def test_memory_is_what_the_call_added_at_its_peak_even_if_it_gave_it_back() -> None:
    def work() -> float:
        return float(np.ones(12_000_000).sum())  # 96 MB, gone afterwards

    found, size = measure.peak_memory(work)
    assert found == 12_000_000
    assert size is not None and 90e6 < size < 130e6
    assert measure.peak_memory(lambda: None)[1] < 30e6


def test_memory_that_cannot_be_measured_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PROCESS", tmp_path / "none")
    assert measure.peak_memory(lambda: 7) == (7, None)
