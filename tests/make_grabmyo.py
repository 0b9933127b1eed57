"""Makes small records in the exact layout of GRABMyo: WFDB headers and samples of format 16, written without wfdb."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIGNALS = (
    *(f"F{i}" for i in range(1, 17)),
    "U1",
    *(f"W{i}" for i in range(1, 7)),
    "U2",
    "U3",
    *(f"W{i}" for i in range(7, 13)),
    "U4",
)


def record(name: str, seed: int, samples: int = 200) -> tuple[str, bytes, np.ndarray, np.ndarray]:
    """Header text, bytes of the samples, and the physical signal `(row, 32)` in millivolts with its counts."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(-32767, 32767, (samples, len(SIGNALS)))
    gain, baseline = rng.uniform(5e4, 1e6, len(SIGNALS)), rng.integers(-3000, 9000, len(SIGNALS))
    lines = [f"{name} {len(SIGNALS)} 2048 {samples}"]
    for i, signal in enumerate(SIGNALS):
        checksum = int(counts[:, i].sum()) % 65536
        lines.append(f"{name}.dat 16 {gain[i]}({baseline[i]})/mV 16 0 {counts[0, i]} {checksum} 0 {signal}")
    return "\n".join(lines) + "\n", counts.astype("<i2").tobytes(), (counts - baseline) / gain, counts


def make_grabmyo(folder: Path, gestures: tuple[int, ...] = (1, 17), trials: int = 2) -> dict[str, np.ndarray]:
    """Write participants 1 and 2 of session 1, and 1 of session 2; gives millivolts `(row, 32)` by record name."""
    made = {}
    for session, participant in ((1, 1), (1, 2), (2, 1)):
        below = folder / f"Session{session}" / f"session{session}_participant{participant}"
        below.mkdir(parents=True)
        for gesture in gestures:
            for trial in range(1, trials + 1):
                name = f"session{session}_participant{participant}_gesture{gesture}_trial{trial}"
                header, data, volts, _ = record(name, 100 * session + 10 * participant + gesture + trial)
                (below / f"{name}.hea").write_text(header)
                (below / f"{name}.dat").write_bytes(data)
                made[name] = volts
    return made
