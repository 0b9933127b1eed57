"""Listener: the contract of a task's own decoder on a running stream, from what a network gives to what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

Kind = Literal["event", "partial", "text", "sound"]


@frozen(eq=False)
class Said:
    """One thing that a task's decoder makes of a stream, from `start_s` to `end_s` on the signal's time axis.

    `event`: a moment, `text` is its label and `score` its probability there. `partial`: the words so far, of which
    later ones may still change those behind `stable` characters. `text`: the words of a sentence that is over.
    `sound`: `values` `(channel, time)` at `rate_hz`, right behind the sound before.
    """

    kind: Kind
    start_s: float
    end_s: float
    text: str = ""
    score: float | None = None
    stable: int = 0
    values: Array | None = None
    rate_hz: float = 0.0


class Listener(Protocol):
    """Takes a pipeline's outputs in order and gives what they mean, the same however they come; used for one stretch.

    Behind a stage that makes windows it is fed one window at a time, `(frame, label)` or whatever the plan's output is
    without its first axis; windows may be missing, which a late decoder leaves out. Behind `utterance` it is fed
    frames `(frame, feature)`, all of them, in pieces of any size.
    """

    delay_s: float  # what its sound looks ahead beyond the pipeline's own delay

    def feed(self, values: Array, end_s: float) -> list[Said]:
        """What these outputs, which end at `end_s`, complete."""
        ...

    def flush(self) -> list[Said]:
        """What is left at the end."""
        ...
