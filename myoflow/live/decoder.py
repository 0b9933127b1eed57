"""Decoder: a planned pipeline cut in two, where its windows are made, so that a late one can leave windows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.engine import Parameters
from myoflow.errors import InputError, PlanError
from myoflow.pipeline import Plan, compile_flow, compile_steps, flowing
from myoflow.spec import SIGNAL

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Chain


class Decoder:
    """Signal stages up to the windows see every sample (`push`); what comes after may skip some (`decode`).

    A program may compute the first part, too, as its chip does (`engine.Program`); `told` says whether, or why not.

    Raises:
        PlanError: a stage cannot stream, with the reason and the causal alternative.
        InputError: a stage has not been trained.
    """

    def __init__(self, plan: Plan, parameters: Parameters) -> None:
        if plan.output.blockers:
            raise PlanError("this pipeline cannot stream: " + "; ".join(plan.output.blockers))
        self.plan, self._parameters = plan, parameters
        self._cut = next(
            (step.index + 1 for step in plan.steps if step.after.dims != SIGNAL), len(plan.steps)
        )  # behind the stage that makes windows
        self.between = plan.steps[self._cut - 1].after
        self.output = plan.output
        self.flows = flowing(plan)
        self._segments = [] if self.flows else plan.segments(self._cut)
        self._tail: list[Chain] = [self._compile(i) for i in range(len(self._segments))]
        self.told: tuple[str, ...] = ()
        self._front: Any = self._fronted()
        self._head = self._front or self._compiled()
        self._warm()

    @property
    def windows(self) -> bool:
        """Whether outputs are windows; else they are pieces of signal, or frames where it `flows`."""
        return self.between.dims != SIGNAL and not self.flows

    def _fronted(self) -> Any:
        """A place may compute what stands before its network, too, as it would where nothing else is there."""
        for number, segment in enumerate(self._segments):
            try:
                front = self._tail[number].front(self.plan, self._parameters, segment.index)
            except InputError as error:
                self.told = (f"what stands before the network stays on host, in floating point: {error}",)
                return None
            if front is not None:
                self.told = (f"filters, windows and scaling are {segment.backend}'s own, in integers",)
                self._cut, self.between = segment.index, self.plan.steps[segment.index - 1].after
                self._segments, self._tail = self._segments[number:], self._tail[number:]
                return front
        return None

    def _compiled(self) -> Chain:
        if self.flows:
            return compile_flow(self.plan, self._parameters)
        return compile_steps(self.plan, self._parameters, 0, self._cut)

    def _warm(self) -> None:
        """Run networks once: what they compile, record or take memory for then is not for a window that waits."""
        for chain, segment in zip(self._tail, self._segments, strict=True):
            if segment.backend != "host" and self.windows:
                for count in (1, 2):  # one window and several may go different ways
                    chain.feed(np.zeros((count, *segment.input.sizes[1:]), np.float32))  # type: ignore[arg-type]

    def begin(self) -> None:
        """Forget the past. Networks have none and are kept."""
        if self._front is not None:
            self._front.begin()
        else:
            self._head = self._compiled()
        for i, segment in enumerate(self._segments):
            if segment.backend == "host":
                self._tail[i] = self._compile(i)

    def push(self, chunk: Array) -> Array:
        """What `(channel, time)` completes: windows, samples, or where it `flows` frames `(1, frame, feature)`."""
        return self._head.feed(chunk)

    def finish(self) -> Array:
        """What signal stages that look ahead still hold at the end."""
        return self._head.flush()

    def decode(self, windows: Array) -> Array:
        """Outputs of windows that `push` gave, in order."""
        for chain in self._tail:
            windows = chain.feed(windows)
        return windows

    def _compile(self, number: int) -> Chain:
        segment = self._segments[number]
        return compile_steps(self.plan, self._parameters, segment.index, segment.index + len(segment.stages))
