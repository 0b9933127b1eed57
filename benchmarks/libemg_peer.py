"""LibEMG in the benchmarks: in an environment of its own, since it needs numpy below 2 and myoflow 2 or newer.

    python3 -m venv libemg && libemg/bin/pip install libemg
    python benchmarks/filters.py --libemg libemg/bin/python

The benchmark starts `PYTHON libemg_peer.py WORK DATA.npy OUT.npy` for each turn; only the work itself is timed. It
prints the CPU seconds and leaves the answer in OUT.npy. Nothing here imports myoflow.
"""

import argparse
import contextlib
import io
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 2000.0
LOW, HIGH, ORDER, MAINS, Q = 20.0, 450.0, 4, 50.0, 30.0
FEATURES = ["MAV", "RMS", "WL", "ZC", "SSC"]


def filtered(x):
    """`(channel, time)` through LibEMG's zero-phase band-pass and notch; turning the array round is not timed."""
    from libemg.filtering import Filter

    installed = Filter(RATE)
    installed.install_filters({"name": "bandpass", "cutoff": [LOW, HIGH], "order": ORDER})
    installed.install_filters({"name": "notch", "cutoff": MAINS, "bandwidth": MAINS / Q})
    turned = np.asarray(x.astype(np.float64).T, order="C")
    return timed(lambda: installed.filter(turned).T)


def features(windows):
    """Five time-domain features of `(window, channel, time)`, feature by feature in each channel."""
    from libemg.feature_extractor import FeatureExtractor

    def run():
        found = FeatureExtractor().extract_features(FEATURES, windows)
        return np.stack([found[name] for name in FEATURES], axis=2).reshape(len(windows), -1)

    return timed(run)


def timed(work):
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


WORK = {"filtered": filtered, "features": features}


class Peer:
    """Called from a benchmark: LibEMG in another interpreter, working on one array."""

    def __init__(self, python, work, data):
        """Raises SystemExit when that interpreter has no LibEMG."""
        done = subprocess.run([python, "-c", "import libemg"], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{python} cannot import libemg: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        self._folder = tempfile.TemporaryDirectory()
        self._command = [python, __file__, work, *(str(Path(self._folder.name) / name) for name in ("x.npy", "y.npy"))]
        np.save(self._command[-2], data)

    def cpu(self):
        """CPU seconds of one turn."""
        done = subprocess.run(self._command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    def answer(self):
        """What the last turn gave."""
        return np.load(self._command[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("data", metavar="DATA.npy")
    parser.add_argument("out", metavar="OUT.npy")
    asked = parser.parse_args()
    with contextlib.redirect_stdout(io.StringIO()):  # LibEMG says on import what is not installed
        seconds, out = WORK[asked.work](np.load(asked.data))
    np.save(asked.out, out)
    print(json.dumps(seconds))
