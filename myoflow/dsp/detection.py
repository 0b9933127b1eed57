"""Detection: from probabilities over time to moments, and from moments to hits, confusions, misses and false alarms.

The rules are those of Kaifosh, Reardon et al. 2025 (Nature, doi:10.1038/s41586-025-09255-w) for discrete gestures:
a moment is where a probability rises to a threshold; moments that follow too closely are bounces; truth and
detections are aligned in their order.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from attrs import frozen

from myoflow.dsp.jit import f8, given, i8, jit, made
from myoflow.dsp.kernel import Array
from myoflow.errors import MyoflowError

THRESHOLD = 0.35
DEAD_S = 0.05
TOLERANCE_S = (-0.05, 0.25)
SILENT = -30.0  # the logit of a frame that nobody has seen
EDIT = 1e6  # what a miss, a false alarm or a wrong label costs, in seconds: always more than any time that it saves


@frozen(eq=False)
class Moments:
    """Moments of one recording in the order of time: `time_s` `(moment,)` and `label` `(moment,)`."""

    time_s: Array
    label: Array

    def __len__(self) -> int:
        return len(self.time_s)


class Crossings:
    """Where each label's probability rises to `threshold`, in pieces of any size; one that starts there counts, too."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._above: Array | None = None  # at the end of the piece before

    def feed(self, probability: Array, time_s: Array) -> Moments:
        """The moments in `probability` `(label, time)`, in order of time, then of label.

        Raises:
            MyoflowError: times and probabilities differ in number, or a probability is no number.
        """
        above = np.asarray(probability) >= self._threshold
        if above.shape[1] != len(time_s):
            raise MyoflowError(f"cannot detect: {above.shape[1]} probabilities for {len(time_s)} times")
        if np.isnan(probability).any():
            raise MyoflowError(f"cannot detect: {int(np.isnan(probability).sum())} probabilities are no numbers")
        before = np.zeros(len(above), bool) if self._above is None else self._above
        rising = above & ~np.concatenate([before[:, None], above[:, :-1]], axis=1)[:, : above.shape[1]]
        if above.shape[1]:
            self._above = above[:, -1]
        at, label = np.nonzero(rising.T)
        return Moments(np.asarray(time_s, np.float64)[at], label)


class Debounce:
    """Leaves out moments that come within `dead_s` of the last one kept, in pieces of any size.

    A label of `releases` (a finger let go) bounces only on itself and never silences another: a release may
    follow its press at once.
    """

    def __init__(self, releases: Collection[int] = (), dead_s: float = DEAD_S) -> None:
        self._releases, self._dead_s = releases, dead_s
        self._last: tuple[float, int] | None = None

    def feed(self, moments: Moments) -> Moments:
        """Those of `moments` that are no bounces."""
        kept = []
        for i, (time_s, label) in enumerate(zip(moments.time_s.tolist(), moments.label.tolist(), strict=True)):
            if self._last is not None and time_s - self._last[0] < self._dead_s:
                free = label in self._releases or self._last[1] in self._releases
                if not free or label == self._last[1]:
                    continue
            kept.append(i)
            self._last = (time_s, label)
        return Moments(moments.time_s[kept], moments.label[kept])


class Overlap:
    """Frames of overlapping windows as one row of frames, each from the first window that has it.

    Window after window, in order; `hop` samples are from frame to frame, and windows start whole hops apart. Frames
    that no window has are as sure as can be that nothing happens.
    """

    def __init__(self, hop: int) -> None:
        self._hop = hop
        self._next: int | None = None  # the sample at which the frame begins that is due

    def feed(self, logits: Array, start: int) -> tuple[Array, int]:
        """New frames `(frame, label)` of a window's `(frame, label)`, and where the first of them begins, in samples.

        Frames begin one hop apart from the window's start on.
        """
        due = start if self._next is None else self._next
        lost = max(0, start - due) // self._hop
        known = max(0, due - start) // self._hop
        self._next = max(due, start + len(logits) * self._hop)
        gap = np.full((lost, logits.shape[1]), SILENT, logits.dtype)
        return np.concatenate([gap, logits[known:]]), due


@frozen(eq=False)
class Track:
    """What a recording's windows say together: `probability` `(label, frame)` at `time_s` `(frame,)`."""

    time_s: Array
    probability: Array

    @classmethod
    def of(cls, windows: Array, starts: Array, heard: int, hop: int, rate_hz: float) -> Track:
        """From logits `(window, frame, label)` in order, of windows that begin at the samples `starts`.

        `heard` is the sample that a window's first frame hears last, `hop` lies from frame to frame.
        """
        overlap = Overlap(hop)
        pieces = [overlap.feed(logits, int(start))[0] for logits, start in zip(windows, starts, strict=True)]
        logits = np.concatenate(pieces).T.astype(np.float64)
        return cls((starts[0] + heard + hop * np.arange(logits.shape[1])) / rate_hz, _probability(logits))

    def moments(self, threshold: float, releases: Collection[int], dead_s: float) -> Moments:
        """What is detected in it."""
        return debounce(crossings(self.probability, self.time_s, threshold), releases, dead_s)


def _probability(logits: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-logits))
    return found


class Detector:
    """From windows of logits to moments, window after window; `heard` is the sample that a window's first frame hears
    last."""

    def __init__(
        self, heard: int, hop: int, rate_hz: float, threshold: float, releases: Collection[int], dead_s: float
    ) -> None:
        self._heard, self._hop, self._rate = heard, hop, rate_hz
        self._overlap = Overlap(hop)
        self._crossings, self._debounce = Crossings(threshold), Debounce(releases, dead_s)

    def window(self, logits: Array, start: int) -> Moments:
        """Moments that a window's `(frame, label)`, which begins at sample `start`, adds to those before it."""
        fresh, first = self._overlap.feed(logits, start)
        time_s = (first + self._heard + self._hop * np.arange(len(fresh))) / self._rate
        return self._debounce.feed(self._crossings.feed(_probability(fresh.T.astype(np.float64)), time_s))


def crossings(probability: Array, time_s: Array, threshold: float = THRESHOLD) -> Moments:
    """`Crossings` of a whole recording. Raises MyoflowError as there."""
    return Crossings(threshold).feed(probability, time_s)


def debounce(moments: Moments, releases: Collection[int] = (), dead_s: float = DEAD_S) -> Moments:
    """`Debounce` of a whole recording."""
    return Debounce(releases, dead_s).feed(moments)


@jit(given("f8", 1), given("i8", 1), given("f8", 1), given("i8", 1), f8, f8, made("f8", 1), made("u1", 2))
def _align(
    true_s: Array, true: Array, found_s: Array, found: Array, early: float, late: float, total: Array, step: Array
) -> None:
    """Edit distance of two sequences of moments; pairs only within the tolerance. `total` is one row of it."""
    total[0] = 0.0
    for j in range(len(found)):
        total[j + 1] = total[j] + EDIT
        step[0, j + 1] = 1
    for i in range(len(true)):
        corner = total[0]
        total[0] = corner + EDIT
        step[i + 1, 0] = 0
        for j in range(len(found)):
            best, how = total[j + 1] + EDIT, 0
            if total[j] + EDIT < best:
                best, how = total[j] + EDIT, 1
            gap = found_s[j] - true_s[i]
            if early <= gap <= late:
                pair = corner + abs(gap) + (0.0 if true[i] == found[j] else EDIT)
                if pair < best:
                    best, how = pair, 2
            corner = total[j + 1]
            total[j + 1] = best
            step[i + 1, j + 1] = how


@jit(given("u1", 2), made("i8", 1), returns=i8)
def _trace(step: Array, partner: Array) -> int:
    """Fills `partner`, for each true moment the detection paired with it or -1; gives the number of pairs."""
    i, j, pairs = step.shape[0] - 1, step.shape[1] - 1, 0
    while i > 0 or j > 0:
        how = step[i, j]
        if how == 2:
            i, j, pairs = i - 1, j - 1, pairs + 1
            partner[i] = j
        elif how == 1:
            j -= 1
        else:
            i -= 1
            partner[i] = -1
    return pairs


def match(truth: Moments, found: Moments, tolerance_s: tuple[float, float] = TOLERANCE_S) -> Array:
    """For each true moment the detection that belongs to it, `(truth,)`, or -1 for a miss.

    Of all pairings that keep the order of both and pair nothing outside the tolerance (detection minus truth), the
    one with the fewest misses, false alarms and wrong labels in all; among those the one closest in time.
    """
    partner = np.empty(len(truth), np.int64)
    step = np.zeros((len(truth) + 1, len(found) + 1), np.uint8)
    times = [np.ascontiguousarray(moments.time_s, np.float64) for moments in (truth, found)]
    labels = [np.ascontiguousarray(moments.label, np.int64) for moments in (truth, found)]
    early, late = tolerance_s
    _align(times[0], labels[0], times[1], labels[1], early, late, np.empty(len(found) + 1), step)
    _trace(step, partner)
    return partner


def tally(truth: Moments, found: Moments, partner: Array, labels: int) -> Array:
    """What became of every moment: `(label + 1, label + 1)`, truth over detections.

    The last column counts misses, the last row false alarms; the last cell is 0.
    """
    table = np.zeros((labels + 1, labels + 1), np.int64)
    got = np.where(partner >= 0, found.label[partner] if len(found) else 0, labels)
    np.add.at(table, (np.asarray(truth.label, np.int64), got.astype(np.int64)), 1)
    alone = np.setdiff1d(np.arange(len(found)), partner)
    np.add.at(table, (np.full(len(alone), labels), np.asarray(found.label, np.int64)[alone]), 1)
    return table


def cler(table: Array) -> float:
    """Classification error of the moments that were detected, averaged over the true labels.

    Misses and false alarms do not count in it, so a detector that dares little looks well: show them beside.
    NaN when nothing was detected.
    """
    paired = np.asarray(table)[:-1, :-1]
    seen = paired.sum(axis=1)
    if not seen.any():
        return float("nan")
    right = np.diag(paired)[seen > 0] / seen[seen > 0]
    return float(1 - right.mean())
