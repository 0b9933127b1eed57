"""vote: majority vote over the latest decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from myoflow.errors import PlanError
from myoflow.spec import SCORES, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import Duration, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("vote")
@frozen
class Vote(Stage):
    """Causal majority vote: `(window, label)` scores -> `(window, label)` shares of the votes.

    Every window votes for its best label; the output counts the last `span` votes, given as a number of windows or
    as a length in time (rounded to whole steps). Of labels with equally many votes the one voted for last wins:
    the winner gets half a vote more, so that the largest share is always the decision. The first windows of a
    recording are decided by the votes there are. Source: Englehart & Hudgins 2003, doi:10.1109/TBME.2003.813539,
    made causal (theirs looks both ways).
    """

    span: int | Duration

    remembers: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SCORES)
        self.windows(spec)
        return spec

    def windows(self, spec: Spec) -> int:
        """How many windows vote. Raises PlanError."""
        if isinstance(self.span, int):
            count = self.span
        elif self.span.unit == "samples":
            raise PlanError("span counts windows or time, such as 5 or '1 s', not samples", field="span")
        elif spec.step_s is None:
            raise PlanError("a span in seconds needs windows at a known step; give a number of windows", field="span")
        else:
            count = round(self.span.value / spec.step_s)
        if count < 1:
            step = f"; one window comes every {spec.step_s:g} s" if spec.step_s else ""
            raise PlanError(f"a span of {self.span} holds no window{step}", field="span")
        return count

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        return _Majority(self.windows(spec), spec.size("label"))


class _Majority:
    """Remembers the last `span` votes."""

    def __init__(self, span: int, labels: int) -> None:
        import numpy as np

        self._labels = labels
        self._votes: list[int] = []
        self._counts = np.zeros(labels, np.int64)
        self._span = span

    def feed(self, chunk: Array) -> Array:
        import numpy as np

        out = np.empty((len(chunk), self._labels), np.float32)
        for row, vote in zip(out, np.argmax(chunk, axis=1).tolist(), strict=True):
            self._votes.append(vote)
            self._counts[vote] += 1
            if len(self._votes) > self._span:
                self._counts[self._votes.pop(0)] -= 1
            most = self._counts.max()
            winner = next(v for v in reversed(self._votes) if self._counts[v] == most)
            row[:] = self._counts
            row[winner] += 0.5
            row /= len(self._votes) + 0.5
        return out

    def flush(self) -> Array:
        import numpy as np

        return np.empty((0, self._labels), np.float32)
