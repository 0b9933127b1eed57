"""Dynamic time warping: ours against librosa's, on the same random tables, in one run.

    python benchmarks/alignment.py [--rounds 5]

Both give cost and path, and the paths are compared. CPU seconds (time.process_time), the least of the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import librosa
import numpy as np

from myoflow.dsp.alignment import warp


def least(run: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest of some rounds, after one that compiles."""
    run()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'frames':>12}{'ours, ms':>12}{'librosa, ms':>14}{'ratio':>8}")
    for rows, columns in ((200, 250), (700, 750), (1500, 1600)):
        cost = np.random.default_rng(0).random((rows, columns))
        _, path = librosa.sequence.dtw(C=cost)
        np.testing.assert_array_equal(warp(cost)[1].T[::-1], path)
        ours, theirs = least(lambda c=cost: warp(c), rounds), least(lambda c=cost: librosa.sequence.dtw(C=c), rounds)
        print(f"{rows:>6} x{columns:>5}{1e3 * ours:12.2f}{1e3 * theirs:14.2f}{theirs / ours:7.1f}x")


if __name__ == "__main__":
    main()
