"""Moments live are those offline: the task's own detector, window by window, however the signal is cut."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import myoflow as mf
from myoflow.dsp.detection import crossings, debounce
from myoflow.live.address import parse
from myoflow.live.command import run_stream
from myoflow.live.sink import SINKS
from myoflow.run import Run, load_run

RECIPE = """
data: {dataset: tiny, labels: [fist, flexion], split: {by: subject, valid: [3], test: [4]}}
pipeline:
  - highpass: {cut: 20 Hz, order: 2}
  - zscore: {over: train, per: all}
  - window: {length: 1 s, stride: 200 ms}
  - strided_conv: {width: 16, length: 60 ms, stride: 20 ms, dropout: 0}
  - tinymyo: {layers: 1, width: 16, heads: 1, dropout: 0, drop_path: 0, lookahead: 20 ms}
  - detect
train:
  {task: events, pulse: [200 ms, 400 ms], tolerance: [0 s, 600 ms], threshold: 0.5, dead: 100 ms, epochs: 2, batch: 8}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.run(tmp_path_factory.mktemp("events"), "run", RECIPE)


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)
    return load_run(folder / "run")


Rows = list[tuple[float, str]]


def offline(run: Run, identity: str, threshold: float) -> tuple[np.ndarray, Rows]:
    """The signal, and the moments in it by the definition: windows joined, then crossings, then bounces."""
    emg = mf.open_store("data/tiny.zarr").emg(identity)
    logits = run.predict(emg).values.astype(np.float64)  # windows of 1 s every 0.2 s, frames every 20 ms
    row = np.concatenate([logits[0], *logits[1:, -10:]])
    probability = 1 / (1 + np.exp(-row.T))
    found = debounce(crossings(probability, (11 + 4 * np.arange(len(row))) / 200, threshold), (), 0.1)
    times = zip(found.time_s.tolist(), found.label.tolist(), strict=True)
    return emg.values, [(time_s, ("fist", "flexion")[label]) for time_s, label in times]


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=30), recording=st.integers(0, 3))
def test_moments_are_those_of_the_whole_recording(run: Run, sizes: list[int], recording: int) -> None:
    """Chunks of one sample to ten seconds."""
    identity = mf.open_store("data/tiny.zarr").rows[recording].id
    emg, wanted = offline(run, identity, 0.5)
    ends = itertools.accumulate(itertools.chain(sizes, itertools.repeat(max(sizes))))
    edges = [0, *itertools.takewhile(lambda end: end < emg.shape[1], ends), emg.shape[1]]
    pieces = [emg[:, a:b] for a, b in itertools.pairwise(edges)]
    live = list(mf.stream(run, pieces))
    assert [(o.said.start_s, o.label) for o in live if o.said] == wanted
    assert all(o.said is not None and o.said.start_s <= o.time_s + 1e-9 for o in live)


def test_there_are_moments_to_compare(run: Run) -> None:
    """Else the test above would hold for a detector that never says a thing."""
    rows = mf.open_store("data/tiny.zarr").rows
    assert sum(len(offline(run, row.id, 0.5)[1]) for row in rows) > 10


def test_every_sink_takes_moments(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    identity = mf.open_store("data/tiny.zarr").rows[0].id
    _, wanted = offline(run, identity, 0.5)
    source = f"replay:data/tiny.zarr/{identity}?speed=max"
    options = {"gaps": "hold", "lag": "500 ms", "patience": "1 s", "seconds": None, "record": Path("kept.zarr")}
    sinks = ("jsonl:out.jsonl", "file:out.csv", "terminal")
    summary = run_stream("run", source, sinks, **options)  # type: ignore[arg-type]
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    told = [(line["at"], line["label"]) for line in lines if line["type"] == "event"]
    assert told == [(pytest.approx(t), name) for t, name in wanted]
    table = [row.split(",") for row in Path("out.csv").read_text().splitlines()[1:]]
    assert [(row[2], row[5]) for row in table] == [("event", name) for _, name in wanted]
    shown = capsys.readouterr().out.splitlines()
    assert [row.split()[-1] for row in shown] == [name for _, name in wanted]
    assert sum(summary.decisions.values()) == len(wanted) and summary.rtf > 0
    kept = mf.open_store("kept.zarr")
    recorded = list(mf.stream(run, f"replay:kept.zarr/{kept.rows[0].id}?speed=max"))
    assert [(o.said.start_s, o.label) for o in recorded if o.said] == wanted, "and the signal is kept"
    said = kept.raw(kept.rows[0].id).attrs["live_said"]
    assert [(start, text) for start, _, text in said] == wanted


def test_until_gives_what_the_stages_give(run: Run) -> None:
    outputs = list(mf.stream(run, "replay?speed=max", until="detect"))
    assert outputs and all(o.said is None and o.values.shape == (48, 2) for o in outputs)


def test_a_sink_that_wants_sound_refuses_moments(run: Run) -> None:
    session = mf.stream(run, "replay?speed=max")
    with pytest.raises(mf.InputError, match="sink wav takes a signal"):
        parse("wav:x.wav", SINKS).open(session.decoder.plan.input, session.told)
    session.close()
