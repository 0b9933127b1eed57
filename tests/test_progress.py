"""Progress where stderr is a file: a line per phase, and how far a long one is."""

import pytest

from myoflow.progress import Bars


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("myoflow.progress.monotonic", lambda: now[0])
    return now


def test_a_long_phase_says_how_far_it_is(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().phase("Training", 48) as advance:
        for _ in range(48):
            clock[0] += 20.0
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Training"
    assert lines[1] == "Training: 2/48, 40 s, about 15 min left"
    assert lines[-1] == "Training: 46/48, 15 min, about 40 s left", "its end is no news: the next phase says so"
    assert len(lines) == 1 + 23, "every other step: none within half a minute of the one before"


def test_what_an_earlier_run_did_says_nothing_of_the_pace(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Bars().phase("Training", 100) as advance:
        advance(90)
        clock[0] = 60.0
        advance(2)
    assert capsys.readouterr().err.splitlines()[1] == "Training: 92/100, 1 min, about 4 min left"


def test_a_short_phase_is_one_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().phase("Filtering", 5) as advance:
        for _ in range(5):
            clock[0] += 5.0
            advance(1)
    assert capsys.readouterr().err == "Filtering\n"


def test_without_a_total_it_counts(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().phase("Reading") as advance:
        clock[0] = 4000.0
        advance(7)
    assert capsys.readouterr().err.splitlines()[1] == "Reading: 7, 1 h 07 min"
