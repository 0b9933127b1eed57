"""Speech live: what a report says of a recipe that can stream: how far it looks ahead, and whether it keeps up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.files import read_json
from myoflow.pipeline import compile_flow, flows
from myoflow.section import Grid, Section
from myoflow.speech.answers import UNDECODED, Transcripts
from myoflow.speech.known import load
from myoflow.speech.speaking import Speaking
from myoflow.weights import load as load_weights

if TYPE_CHECKING:
    from myoflow.pipeline import Plan
    from myoflow.speech.known import Known
    from myoflow.task import View

ASKED = 4  # utterances that are streamed
CHUNK_S = 0.02


def section(view: View, answers: Transcripts) -> Section | None:
    """Some test utterances in chunks of 20 ms through the model of fold 1; None where it cannot stream."""
    plan = view.plans[view.main]
    folder = _folder(view)
    if not flows(plan) or folder is None:
        return None
    from myoflow.store import open_store

    known, parameters = load(folder), load_weights(folder / "weights.safetensors")[0]
    store = open_store(Path(read_json(view.folder / "data.json", {})["store"]))
    rows = np.unique(np.linspace(0, len(answers) - 1, min(ASKED, len(answers))).round().astype(int)).tolist()
    told = []
    for row in rows:
        recording = str(answers.recording[row])
        found = _streamed(plan, known, parameters, np.asarray(store.emg(recording).values, np.float32))
        text, offline = found["text"], str(answers.decoded[row])
        same = "\N{EM DASH}" if offline == UNDECODED else "yes" if text == offline else f"no: {offline}"
        busy, worst = f"{found['busy_s'] / found['seconds']:.3f}", f"{1e3 * found['worst_s']:.1f} ms"
        told.append((recording, f"{found['seconds']:.1f} s", text, same, busy, worst))
    steps = [(step.stage.name, step.after.delay_s - step.before.delay_s) for step in plan.steps]
    ahead = [(name, f"{1e3 * seconds:.1f} ms") for name, seconds in steps if seconds > 0]
    words, voice = 1e3 * plan.output.delay_s, 1e3 * (plan.output.delay_s + Speaking(plan, known).delay_s)
    return Section(
        "live",
        "Live",
        f"By design words come up to {words:.0f} ms behind the mouth and sound {voice:.0f} ms: what the stages below "
        "look ahead. What computing adds was measured while this report was made: some test utterances, in chunks of "
        "20 ms and one after the other. A real-time factor below 1 keeps up.",
        tables=(
            Grid(("stage", "looks ahead"), (*ahead, ("vocoder", f"{voice - words:.1f} ms"))),
            Grid(("recording", "length", "text live", "as offline", "real-time factor", "slowest chunk"), tuple(told)),
        ),
    )


def _folder(view: View) -> Path | None:
    """Where the first model of fold 1 lies, with what it must know to speak."""
    folders = sorted((view.folder / "fold-1" / view.main).glob("seed-*"))
    return next((folder for folder in folders if (folder / "speech.json").is_file()), None)


def _streamed(plan: Plan, known: Known, parameters: Any, emg: Any) -> dict[str, Any]:
    """An utterance `(channel, time)` in chunks: its `text`, the time that all chunks and the slowest took."""
    rate, size = plan.input.rate_hz, round(CHUNK_S * plan.input.rate_hz)
    chain, listener = compile_flow(plan, parameters), Speaking(plan, known)
    texts: list[str] = []
    busy = worst = 0.0
    frames = 0
    for at in range(0, emg.shape[1] + size, size):
        begun = time.perf_counter()
        found = chain.feed(emg[:, at : at + size]) if at < emg.shape[1] else chain.flush()
        frames += found.shape[1]
        said = listener.feed(found[0], frames / plan.output.rate_hz) if found.shape[1] else []
        if at >= emg.shape[1]:
            said += listener.flush()
        took = time.perf_counter() - begun
        busy, worst = busy + took, max(worst, took)
        texts += [one.text for one in said if one.kind == "text"]
    return {"text": " ".join(texts), "busy_s": busy, "worst_s": worst, "seconds": emg.shape[1] / rate}
