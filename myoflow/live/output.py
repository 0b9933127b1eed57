"""Output: one decision (or piece of signal) of a live stream, with its time and what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.spec import SIGNAL, TRAJECTORIES, Spec

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.listener import Said


@frozen
class Latency:
    """How much later than its newest sample an output came, in s.

    `algorithmic` is what the stages look back or wait by design (the window, a resampler's look-ahead), the same for
    every output. `queue` is from the arrival of the newest sample to the start of computing, `compute` from there to
    the decision. `added` is what the machine added: queue and compute.
    """

    algorithmic_s: float
    queue_s: float
    compute_s: float

    @property
    def added_s(self) -> float:
        return self.queue_s + self.compute_s

    @property
    def total_s(self) -> float:
        return self.algorithmic_s + self.queue_s + self.compute_s


@frozen(eq=False)
class Output:
    """One item of what the pipeline gives: a window's scores, trajectories or features, or a piece `(channel, time)`.

    Where the run's task has a decoder of its own it is what that says instead, `said`: a moment, words, a piece of
    sound, whose samples are `values` (empty for the others).

    `time_s` is the time of the newest sample that it used, counted in samples from the stream's first one to the end of
    that sample. `end_s` is where it stands on the time axis that the same pipeline has offline, the end of the window
    or piece; earlier than `time_s` where a stage looks ahead. `filled` of its samples were made up for lost ones;
    `dropped` windows before it were left out because the decoder was late.
    """

    values: Array
    spec: Spec
    time_s: float
    end_s: float
    latency: Latency
    filled: int = 0
    dropped: int = 0
    said: Said | None = None

    @property
    def text(self) -> str | None:
        """The words so far, or of a sentence that is over (`said.kind` is `text`); None for another output."""
        return self.said.text if self.said is not None and self.said.kind in ("partial", "text") else None

    @property
    def _decides(self) -> bool:
        """Whether these are scores, one a label that the spec names."""
        return self.spec.dims[-1] == "label" and self.values.shape == (len(self.spec.labels),)

    @property
    def label(self) -> str | None:
        """The label with the highest score, or of a moment; None for an output that is no decision."""
        if self.said is not None:
            return self.said.text if self.said.kind == "event" else None
        if not self._decides:
            return None
        return self.spec.labels[int(self.values.argmax())]

    @property
    def scores(self) -> dict[str, float]:
        """Score of each label; empty for an output that is no decision, or a moment."""
        if self.said is not None or not self._decides:
            return {}
        return {name: float(value) for name, value in zip(self.spec.labels, self.values, strict=True)}

    @property
    def trajectory(self) -> dict[str, list[float]]:
        """What a window of trajectories adds to those before it: of each target the steps of its last stride, up to
        `end_s`; empty for an output that is none."""
        target = self.spec.target
        if self.spec.dims != TRAJECTORIES or target is None:
            return {}
        steps = self.values.shape[0] if self.spec.step_s is None else max(1, round(self.spec.step_s * target.rate_hz))
        newest = self.values[-steps:]
        return {name: [float(value) for value in newest[:, i]] for i, name in enumerate(target.channels)}

    @property
    def is_signal(self) -> bool:
        """Whether this is a piece of signal `(channel, time)`."""
        return self.spec.dims == SIGNAL


@frozen
class Notice:
    """Something that happened to a stream: `kind` is one word, `at_s` where in the signal, `count` how much of it."""

    kind: str
    at_s: float
    text: str
    count: int = 1
