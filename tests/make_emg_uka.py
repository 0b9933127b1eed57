"""Makes a small corpus in the exact layout of EMG-UKA: adc, wav, offsets, alignments, transcripts and subset lists."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np

MODES = {"01": "audible", "02": "whispered", "03": "silent"}


def wav(samples: np.ndarray, rate: int = 16000, width: int = 2) -> bytes:
    """A wav file of `(time, track)`."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(samples.shape[1])
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def _lines(words: list[str], each: int) -> str:
    rows = [f"{i * each} {(i + 1) * each - 1} {word}" for i, word in enumerate(words)]
    return "".join(f"{row}\n" for row in rows)


def utterance(folder: Path, session: str, number: str, text: str, *, audio: bool, seed: int = 0) -> dict[str, Any]:
    """Write one utterance's files; gives its `emg` `(time, 7)`, `audio` `(time, 2)`, `cut` and `words`."""
    rng = np.random.default_rng([seed, int(number)])
    speaker, part = session.split("-")
    key, place = f"{speaker}_{part}_{number}", f"{speaker}/{part}"
    words = ["$", *text.split(), "$"]
    each = 6  # frames a word
    frames = each * len(words)
    moved = (40, 40 + 6 * frames + 5)
    heard = (300, 300 + round((moved[1] - moved[0]) / 600 * 16000) + 30)
    emg = rng.integers(-30000, 30000, (moved[1] + 1, 7)).astype("<i2")
    sound = rng.integers(-30000, 30000, (heard[1] + 900, 2)).astype("<i2")
    files: dict[str, bytes] = {
        f"emg/{place}/e07_{key}.adc": emg.tobytes(),
        f"offset/{place}/offset_{key}.txt": f"{heard[0]} {heard[1]}\n{moved[0]} {moved[1]}\n".encode(),
        f"Transcripts/{place}/transcript_{key}.txt": f"{text}\n".encode(),
        f"Alignments/{place}/words_{key}.txt": _lines(words, each).encode(),
        f"Alignments/{place}/phones_{key}.txt": f"{_lines(['SIL', 'DH', 'IH', 'S'], 4)}16 {frames - 1} SIL\n".encode(),
    }
    if audio:
        files[f"audio/{place}/a_{key}.wav"] = wav(sound)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return {"emg": emg, "audio": sound, "heard": heard, "moved": moved, "words": text.split(), "each": each}


def make_emg_uka(folder: Path) -> dict[str, dict[str, Any]]:
    """Write session 002-001 (three modes, wrong phones) and 008-001 (audible, good ones); gives them by utterance."""
    made, lists = {}, {f"{part}.{mode}": [] for part in ("train", "test") for mode in MODES.values()}
    for session in ("002-001", "008-001"):
        rows: dict[str, list[str]] = {name: [] for name in lists}
        for mode in MODES if session == "002-001" else ("01",):
            for i, text in enumerate(("THIS IS A TEST", "TO BE OR NOT TO BE")):
                number = f"{mode if session == '002-001' else '00'}0{i}"
                audio = mode == "01"
                made[f"{session}-{number}"] = utterance(folder, session, number, text, audio=audio)
                rows[f"{'test' if i else 'train'}.{MODES[mode]}"].append(f"emg_{session}-{number}")
        for name, names in rows.items():
            lists[name].append(f"emg_{session}: {' '.join(names)}")
    (folder / "Subsets").mkdir()
    for name, lines in lists.items():
        (folder / "Subsets" / name).write_text("\n".join(lines) + "\n")
    (folder / "Supplementary").mkdir()
    (folder / "Supplementary" / "phoneList").write_text("IY IH SIL\n")
    return made
