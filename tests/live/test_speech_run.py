"""Silent speech live from a real run: `myoflow stream` says what the run's own test split was answered with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myoflow.live.command import run_stream
from myoflow.recipe import load
from myoflow.run import run_recipe
from myoflow.speech.answers import Transcripts

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("librosa")
pytest.importorskip("jiwer")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_words_and_voice_are_those_of_the_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short training will do: what is wrong must be wrong in the same way."""
    monkeypatch.chdir(tmp_path)
    run = run_recipe(load("silent_speech_live", ["train.epochs=8", "train.listener_epochs=0"]), out=tmp_path / "run")
    answers = Transcripts.load(run.folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz")
    store = json.loads((run.folder / "data.json").read_text())["store"]
    options = {"gaps": "hold", "lag": "500 ms", "patience": "1 s", "seconds": None, "record": None}
    words = 0
    for row in range(3):
        recording = str(answers.recording[row])
        source = f"replay:{store}/{recording}?speed=max&chunk={7 + 300 * row} samples"
        sinks = (f"jsonl:{row}.jsonl", f"wav:{row}.wav")
        summary = run_stream(str(run.folder), source, sinks, **options)  # type: ignore[arg-type]
        lines = [json.loads(line) for line in Path(f"{row}.jsonl").read_text().splitlines()]
        said = " ".join(line["text"] for line in lines if line["type"] == "text")
        assert said == answers.decoded[row] == " ".join(summary.sentences)
        words += len(said.split())
        live, rate = soundfile.read(f"{row}.wav", dtype="float32")
        offline, _ = soundfile.read(run.folder / "audio" / (recording.replace("/", "_") + ".wav"), dtype="int16")
        assert rate == 22_050 and np.array_equal(np.round(live * 32767).astype(np.int16), offline)
        assert 0.3 < summary.algorithmic_s < 0.5 and summary.rtf > 0
    assert words, "something is said"
    page = (run.folder / "report.html").read_text()
    assert "real-time factor" in page and "as offline" in page
