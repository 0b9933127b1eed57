"""Measuring: calls are counted and timed, memory is what a call added."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from myoflow import measure


def test_calls_are_timed_one_by_one() -> None:
    calls = []
    times = measure.timed(lambda: calls.append(1), seconds=0)
    assert len(times) == measure.FEWEST and len(calls) == measure.FEWEST + 1 and min(times) >= 0


MEASURED = """
import numpy as np
from myoflow import measure
found, size = measure.peak_memory(lambda: float(np.ones(12_000_000).sum()))  # 96 MB, gone afterwards
assert found == 12_000_000
print(size, measure.peak_memory(lambda: None)[1])
"""


@pytest.mark.skipif(measure.peak_memory(lambda: None)[1] is None, reason="this system does not tell")
def test_memory_is_what_the_call_added_at_its_peak_even_if_it_gave_it_back() -> None:
    """In a process of its own: in this one, what other tests have left behind takes and gives memory as well."""
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    size, none = map(int, done.stdout.split())
    assert 90e6 < size < 130e6 and none < 30e6


def test_memory_that_cannot_be_measured_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PROCESS", tmp_path / "none")
    assert measure.peak_memory(lambda: 7) == (7, None)
    (tmp_path / "clear_refs").touch()
    (tmp_path / "status").write_text("VmRSS:\t  1000 kB\n")  # as in a sandbox that keeps no peak
    monkeypatch.setattr(measure, "PROCESS", tmp_path)
    assert measure.peak_memory(lambda: 7) == (7, None)
