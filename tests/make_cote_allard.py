"""Makes small raw files in the exact layout of the Cote-Allard set: headerless little-endian int16, 8 interleaved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PLACES = (
    ("PreTrainingDataset/Male10", ("training0",)),
    ("EvaluationDataset/Female0", ("training0", "Test0", "Test1")),
)


def make_cote_allard(folder: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Write both halves with one person each; gives the counts `(row, 8)` by file name."""
    rng, made = np.random.default_rng(seed), {}
    for person, sessions in PLACES:
        for session in sessions:
            (folder / person / session).mkdir(parents=True)
            for number in range(28):
                counts = rng.integers(-128, 128, (int(rng.integers(30, 40)), 8)).astype("<i2")
                name = f"{person}/{session}/classe_{number}.dat"
                (folder / name).write_bytes(counts.tobytes())
                made[name] = counts
        (folder / person / "experiment.csv").write_text("Sex,F,,\n")
    return made
