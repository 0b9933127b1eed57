"""Makes small .mat files in the layout of the UniBo-INAIL set: everything in single precision, label 1 is rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from make_ninapro import Arrays, mat5

NAME = "user_{}_day_{}_posture_{}.mat"


def variables(seed: int, *, repetitions: int = 10, span: int = 20) -> Arrays:
    """emg (N, 4), label, relabel and gestureCounter (N, 1); `relabel` is shorter than `label` at both ends."""
    rng = np.random.default_rng(seed)
    shown, real, count = [1] * span, [1] * span, [0] * span
    for gesture in (6, 5, 4, 3, 2):
        for repetition in range(1, repetitions + 1):
            move, rest = (int(rng.integers(span, 2 * span)) for _ in range(2))
            shown += [gesture] * move + [1] * rest
            real += [1] * (span // 5) + [gesture] * (move - 2 * (span // 5)) + [1] * (rest + span // 5)
            count += [repetition] * (move + rest)
    emg = rng.gamma(0.5, 500, (len(shown), 4))
    emg[0] = 0
    columns = {"emg": emg, "gestureCounter": count, "label": shown, "relabel": real}
    return {name: np.asarray(values, np.float32).reshape(len(shown), -1) for name, values in columns.items()}


def make_unibo(folder: Path, users: int = 2, days: int = 2, postures: int = 2) -> dict[str, Arrays]:
    """Write files below `folder`; gives their variables by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for user in range(1, users + 1):
        for day in range(1, days + 1):
            for posture in range(1, postures + 1):
                name = NAME.format(user, day, posture)
                made[name] = variables(100 * user + 10 * day + posture)
                (folder / name).write_bytes(mat5(made[name]))
    return made
