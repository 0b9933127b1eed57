"""Prompts: what a user is asked to do while calibrating, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.recording import Events

SETTLE_S = 0.5  # people react late; a window counts once this has passed


@frozen
class Trial:
    """One execution of a label, from `start_s` to `stop_s` of the stream; `repetition` counts from 1."""

    label: int
    start_s: float
    stop_s: float
    repetition: int

    def holds(self, start_s: float, end_s: float) -> bool:
        """Whether a window lies in it, behind the time that a user needs to react."""
        return start_s >= self.start_s + SETTLE_S - 1e-9 and end_s <= self.stop_s + 1e-9


Say = Callable[[str, float], None]
"""Is told what to do now, and for how many seconds more."""


class Screen:
    """Asks for every label `repetitions` times, in an order that is another each time: `rest_s` to get ready, then
    `hold_s` to hold."""

    def __init__(
        self, labels: Sequence[str], repetitions: int, hold_s: float, rest_s: float, say: Say, seed: int = 0
    ) -> None:
        self._labels, self._say = tuple(labels), say
        shuffle = random.Random(seed)
        self.trials: list[Trial] = []
        now = 0.0
        for repetition in range(1, repetitions + 1):
            order = list(range(len(labels)))
            shuffle.shuffle(order)
            for label in order:
                self.trials.append(Trial(label, now + rest_s, now + rest_s + hold_s, repetition))
                now += rest_s + hold_s
        self._at = 0

    @property
    def end_s(self) -> float:
        """When the last one is over."""
        return self.trials[-1].stop_s

    def tick(self, now_s: float) -> None:
        """Say what is to be done at `now_s` of the stream."""
        while self._at < len(self.trials) and now_s >= self.trials[self._at].stop_s:
            self._at += 1
        if self._at == len(self.trials):
            return
        trial = self.trials[self._at]
        name = self._labels[trial.label]
        count = f"{self._at + 1} of {len(self.trials)}"
        if now_s < trial.start_s:
            self._say(f"get ready for {name} ({count})", trial.start_s - now_s)
        else:
            self._say(f"hold {name} ({count})", trial.stop_s - now_s)


class Marked:
    """Takes what a replayed recording says was done, its first `repetitions` of every label."""

    def __init__(self, events: Events, rate_hz: float, labels: Sequence[str], repetitions: int) -> None:
        self.trials: list[Trial] = []
        seen = dict.fromkeys(labels, 0)
        for onset, length, label in zip(events.onset, events.length, events.label, strict=True):
            name = events.names[label]
            if name in seen and seen[name] < repetitions:
                seen[name] += 1
                start = float(onset) / rate_hz
                self.trials.append(Trial(labels.index(name), start, start + float(length) / rate_hz, seen[name]))
        short = [name for name, count in seen.items() if count < 2]
        if short:
            raise InputError(
                f"the recording has fewer than two executions of {', '.join(short)}; calibrate on a longer one"
            )

    @property
    def end_s(self) -> float:
        """When the last one is over."""
        return max(trial.stop_s for trial in self.trials)

    def tick(self, now_s: float) -> None:
        """There is nobody to tell."""
