"""The verb: exit codes, a summary, a clean end by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from typer.testing import CliRunner

from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.run import Run

ROOT = Path(__file__).parents[2]


def test_a_run_is_replayed_by_default(run: Run) -> None:
    done = CliRunner().invoke(app, ["stream", "plain", "--source", "replay?speed=max", "--sink", "jsonl:out.jsonl"])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert lines[-1]["type"] == "end" and lines[-1]["outputs"] == len(lines) - 2
    assert "latency: 200.0 ms by design" in done.output and "decided: " in done.output


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "replaying sub-04/ses-01/run-1 of data/tiny.zarr, which no model has seen"),
        (":data/tiny.zarr", "replaying sub-01/ses-01/run-1 of data/tiny.zarr, on which models were trained"),
        (
            ":data/tiny.zarr/sub-03/ses-01/run-1",
            "replaying sub-03/ses-01/run-1 of data/tiny.zarr, by which models were chosen",
        ),
    ],
)
def test_what_is_replayed_is_told_and_whether_it_was_learned_from(run: Run, where: str, said: str) -> None:
    words = ["stream", "plain", "--source", f"replay{where}?speed=max", "--seconds", "1", "--sink", "file:one.csv"]
    assert said in CliRunner().invoke(app, words).output


def test_so_many_seconds_and_no_more(run: Run) -> None:
    words = ["stream", "plain", "--source", "replay?speed=max", "--seconds", "2", "--sink", "file:two.csv"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert 19 <= len(Path("two.csv").read_text().splitlines()) <= 21


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary_and_exit_code_0(run: Run, place: Path, number: int) -> None:
    """A recipe whose stages learn nothing, live; what it recorded is whole."""
    recipe = tiny.RECIPE.replace("bandpass: {low: 20 Hz, high: 90 Hz}", "rectify")
    (place / "rectified.yaml").write_text(recipe)
    out, store = place / f"{number}.jsonl", place / f"{number}.zarr"
    command = [sys.executable, "-m", "myoflow", "stream", "rectified.yaml", "--until", "rectify"]
    command += ["--source", "replay:data/tiny.zarr?speed=0.02", "--sink", f"jsonl:{out}", "--record", str(store)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, cwd=place, env=env, stderr=subprocess.PIPE, text=True)
    while not out.exists() or len(out.read_text().splitlines()) <= 3:
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        time.sleep(0.1)
    child.send_signal(number)
    _, err = child.communicate()
    assert child.returncode == 0, err
    assert "of signal in" in err and "stopped by" in err and f"kept in {store}" in err and "Traceback" not in err
    assert json.loads(out.read_text().splitlines()[-1])["type"] == "end"


@pytest.mark.parametrize(
    "words, message",
    [
        (["nowhere"], "there is no recipe 'nowhere'"),
        (["plain", "--gaps", "holt"], "gaps: there is no 'holt'; did you mean 'hold'?"),
        (["plain", "--lag", "5"], "--lag: '5' has no unit"),
        (["plain", "--sink", "wav:x.wav", "--source", "replay?speed=max"], "sink wav takes a signal"),
        (["plain", "--model", "svm"], "has no model 'svm'; it has"),
        (["data"], "data is not a run's folder"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(run: Run, words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["stream", *words])
    assert isinstance(done.exception, InputError) and done.exception.exit_code == 2
    assert message in str(done.exception)
