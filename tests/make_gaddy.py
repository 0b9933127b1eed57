"""Makes a small corpus in the exact layout of Gaddy's silent speech set: npy, FLAC, info.json, TextGrid."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

BOOK = "books/War_of_the_Worlds.txt"
PARTS = {"s": "silent_parallel_data", "v": "voiced_parallel_data", "n": "nonparallel_data"}


def flac(samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> bytes:
    """A FLAC file; `samples` of one track `(time,)` or more `(time, track)`."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="FLAC", subtype=subtype)
    return out.getvalue()


def npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def textgrid(tiers: dict[str, list[tuple[float, float, str]]]) -> str:
    """The long form, as the Montreal Forced Aligner writes it."""
    end = max(rows[-1][1] for rows in tiers.values())
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0.0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for i, (name, rows) in enumerate(tiers.items(), start=1):
        lines += [f"\titem [{i}]:", '\t\tclass = "IntervalTier"', f'\t\tname = "{name}"', "\t\txmin = 0.0"]
        lines += [f"\t\txmax = {end}", f"\t\tintervals: size = {len(rows)}"]
        for k, (begin, stop, text) in enumerate(rows, start=1):
            quoted = text.replace('"', '""')
            lines += [f"\t\t\tintervals [{k}]:", f"\t\t\t\txmin = {begin}", f"\t\t\t\txmax = {stop}"]
            lines += [f'\t\t\t\ttext = "{quoted}"']
    return "\n".join(lines) + "\n"


def spoken(seconds: float) -> dict[str, list[tuple[float, float, str]]]:
    """Tiers of `it's red`, a pause before, between and after."""
    words = [(0.0, 0.1, ""), (0.1, 0.3, "it's"), (0.3, 0.4, ""), (0.4, 0.6, "red"), (0.6, seconds, "")]
    phones = [(0.0, 0.1, "sil"), (0.1, 0.15, "IH1"), (0.15, 0.2, "T"), (0.2, 0.3, "S"), (0.3, 0.4, "sp")]
    phones += [(0.4, 0.45, "R"), (0.45, 0.5, "EH1"), (0.5, 0.6, "D"), (0.6, seconds, "")]
    return {"words": words, "phones": phones}


def utterance(
    folder: Path, part: str, session: str, number: int, index: int, *, book: str = BOOK, text: str = "It's red."
) -> dict[str, Any]:
    """Write one utterance's files, and its alignment where it is spoken; gives its `emg`, `audio` and `button`."""
    rng = np.random.default_rng([number, index + 1, len(session)])
    reads = rng.integers(60, 80, 10)
    samples = int(reads.sum())
    heard = 16 * reads - 3  # the sound comes a little short, as in the set
    emg = rng.normal(3000, 50, (samples, 8))
    audio, clean = rng.integers(-3000, 3000, (2, int(heard.sum()))).astype(np.int16)
    button = rng.random(samples) < 0.5
    info = {
        "book": book if index >= 0 else "",
        "sentence_index": index,
        "text": text if index >= 0 else "",
        "chunks": [[int(n), int(m), int(n)] for n, m in zip(reads, heard, strict=True)],
    }
    place = folder / "emg_data" / part / session
    place.mkdir(parents=True, exist_ok=True)
    for name, data in {
        "emg.npy": npy(emg),
        "button.npy": npy(button),
        "audio.flac": flac(audio),
        "audio_clean.flac": flac(clean),
        "info.json": json.dumps(info).encode(),
    }.items():
        (place / f"{number}_{name}").write_bytes(data)
    if not part.startswith("silent") and index >= 0:
        grids = folder / "text_alignments" / session
        grids.mkdir(parents=True, exist_ok=True)
        (grids / f"{session}_{number}_audio.TextGrid").write_text(textgrid(spoken(samples / 1000)))
    return {"emg": emg, "audio": audio, "clean": clean, "button": button, "samples": samples}


def make_gaddy(folder: Path) -> dict[str, dict[str, Any]]:
    """Write parallel sessions of two days, one without a partner and one of closed vocabulary; gives them by name.

    Sentence 73 is a test sentence, 2 one of dev, 284 one of the original dev alone, 432 in test though the original
    dev has it, too, 5 none. Sentence 5 was spoken on both days.
    """
    made = {}
    plan = {
        ("s", "5-4_silent"): [-1, 73, 2, 5, 284, 432],
        ("v", "5-4"): [-1, 5, 2, 73],
        ("v", "5-10"): [-1, 284, 5, 432],
        ("n", "4-25_2"): [-1, 7],
    }
    for (part, session), indices in plan.items():
        for number, index in enumerate(indices):
            made[f"{session}/{number}"] = utterance(folder, PARTS[part], session, number, index)
    closed = {"book": "datedata.txt", "text": "03:09 AM"}
    made["closed"] = utterance(folder, "closed_vocab/voiced", "5-19", 598, 497, **closed)
    return made
