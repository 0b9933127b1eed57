"""events: moments, such as presses and releases of fingers, in a continuous signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
from attrs.validators import and_, gt, lt

from myoflow.errors import PlanError
from myoflow.task import Measure, Task, View, task
from myoflow.typed import Mismatch, Seconds, frozen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from myoflow.detections import Detections
    from myoflow.dsp.detection import Detector
    from myoflow.listener import Listener, Said
    from myoflow.pipeline import Plan, Step
    from myoflow.prepare import Signal
    from myoflow.report.summary import Section
    from myoflow.split import Fold
    from myoflow.stages.window import Window
    from myoflow.store.momentary import Momentary


@task("events")
@frozen
class Events(Task):
    """Each labelled event is a moment, its onset; frames that have just heard one are to say so.

    The target of a frame is 1 from `pulse[0]` to `pulse[1]` after a moment; the loss is binary cross-entropy per label.
    Where windows overlap, a frame's logits are those of the first window that has it, which is what a live stream knows
    at once and has heard most of its past. A detection is where a probability rises to `threshold`; those within
    `dead` of the last one are bounces, but labels of `releases` bounce only on themselves. A detection belongs to a
    moment from `tolerance[0]` to `tolerance[1]` after it. Defaults are those of the generic neuromotor interface
    (Kaifosh, Reardon et al. 2025). `cler` counts wrong labels among what was detected; it hides misses and false
    alarms, so both are measured beside it.
    """

    pulse: tuple[Seconds, Seconds] = (0.08, 0.12)
    threshold: float = attrs.field(default=0.35, validator=and_(gt(0), lt(1)))
    dead: Seconds = 0.05
    tolerance: tuple[Seconds, Seconds] = (-0.05, 0.25)
    releases: tuple[str, ...] = ()

    measures: ClassVar[Mapping[str, Measure]] = {
        "cler": Measure("%", "lower"),
        "miss_rate": Measure("%", "lower"),
        "false_per_hour": Measure("/h", "lower"),
    }
    defaults: ClassVar[tuple[str, ...]] = ("cler", "miss_rate", "false_per_hour")
    lives: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        for name in ("pulse", "tolerance"):
            early, late = getattr(self, name)
            if not early < late:
                raise Mismatch(f"must rise, got {early:g} s and {late:g} s", (name,))

    def check(self, plan: Plan) -> None:
        """The pipeline ends in logits per frame, and its windows stand on whole frames."""
        from myoflow.prepare import find_cut

        last = plan.steps[-1]
        if plan.output.dims != ("window", "frame", "label"):
            given = f"{last.stage.name} gives {plan.output.describe()}"
            raise PlanError(f"train.task: events needs a pipeline that ends in detect, but {given}", last.index)
        _, hop, stride = _grid(plan)
        if stride % hop:
            raise PlanError(
                f"has a stride of {stride} samples, which the frames' {hop} samples do not divide: overlapping windows "
                "would not share frames",
                find_cut(plan),
                "stride",
            )
        for name in self.releases:
            if name not in plan.input.labels:
                raise PlanError(f"train.releases: there is no label '{name}'", last.index)

    def examples(self, prepared: Sequence[Signal], step: Step, fold: Fold, by: str) -> list[Momentary]:
        """Windows on the live grid of every recording of a part, whatever is marked there."""
        from myoflow.prepare import everywhere, parts
        from myoflow.store.momentary import Momentary

        if by == "repetition":
            raise PlanError("events are looked for in whole recordings; split by subject or session")
        stage = cast("Window", step.stage)
        more = {
            "onsets": tuple(signal.onset for signal in prepared),
            "kinds": tuple(signal.label for signal in prepared),
            "labels": len(step.after.labels),
            "pulse_s": self.pulse,
        }
        every = {
            training: Momentary.of(everywhere(prepared, stage, step.before, training=training), **more)
            for training in (True, False)
        }
        return parts(every, prepared, fold, by)

    def aligned(self, examples: Momentary, plan: Plan) -> Momentary:
        """When the pipeline's frames come."""
        heard, hop, _ = _grid(plan)
        return attrs.evolve(examples, frames=plan.output.size("frame"), heard=heard, hop=hop)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over windows, frames and labels."""
        import torch.nn.functional as F

        return F.binary_cross_entropy_with_logits(output.float(), target)

    def predict(self, model: Any, examples: Momentary) -> Detections:
        """Detections of every recording, from the logits of all windows over it."""
        return self.answers(model.outputs(examples), examples, model.plan)

    def answers(self, found: npt.NDArray[np.float32], examples: Momentary, plan: Plan) -> Detections:
        """`found` are logits `(window, frame, label)`."""
        import numpy as np

        from myoflow.detections import Detections
        from myoflow.dsp.detection import Moments, match, tally

        heard, hop, _ = _grid(plan)
        labels, rate = plan.output.labels, examples.rate_hz
        tables, numbers = [], np.unique(examples.recording)
        for number in numbers:
            rows = np.flatnonzero(examples.recording == number)
            detector = self._detector(plan, rate)
            pieces = [detector.window(one, start) for one, start in zip(found[rows], examples.start[rows], strict=True)]
            said = Moments(*(np.concatenate([getattr(m, name) for m in pieces]) for name in ("time_s", "label")))
            first, frames = examples.start[rows[0]] + heard, detector.frames
            time_s = (first + hop * np.array([0, frames - 1])) / rate
            onset = examples.onsets[number] / rate
            inside = (onset >= time_s[0] - self.tolerance[1]) & (onset <= time_s[-1] - self.tolerance[0])
            truth = Moments(onset[inside], examples.kinds[number][inside])
            table = tally(truth, said, match(truth, said, self.tolerance), len(labels)).astype(np.float64)
            table[-1, -1] = frames * hop / rate
            tables.append(table)
        shape = (0, len(labels) + 1, len(labels) + 1)
        return Detections(
            tables=np.stack(tables) if tables else np.zeros(shape),
            labels=labels,
            subject=np.asarray(examples.subjects)[numbers],
            session=np.asarray(examples.sessions)[numbers],
            repetition=np.zeros(len(numbers), np.int64),
            recording=np.asarray(examples.ids)[numbers],
            start_s=np.zeros(len(numbers)),
        )

    def listener(self, plan: Plan, folder: Path) -> Listener:
        """Moments as they are detected, by the rules and in the order of `answers`."""
        from myoflow.prepare import find_cut

        return _Live(self._detector(plan, plan.steps[find_cut(plan)].before.rate_hz), plan)

    def _detector(self, plan: Plan, rate_hz: float) -> Detector:
        from myoflow.dsp.detection import Detector

        heard, hop, _ = _grid(plan)
        releases = {plan.output.labels.index(name) for name in self.releases}
        return Detector(heard, hop, rate_hz, self.threshold, releases, self.dead)

    def load(self, path: Path) -> Detections:
        """Read what `Detections.save` wrote."""
        from myoflow.detections import Detections

        return Detections.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Metrics with intervals, and the table of each model."""
        from myoflow.scores import summarise

        return summarise(models, evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """What became of the moments of each label."""
        from myoflow.report.detections import sections

        return sections(view.metrics)


def _grid(plan: Plan) -> tuple[int, int, int]:
    """In samples of the window stage's input: what a window's first frame hears last, a frame's hop, the stride.

    Raises:
        PlanError: nothing turns windows into frames that only know their past.
    """
    from myoflow.prepare import find_cut
    from myoflow.spec import FRAMES, WINDOWS

    window = plan.steps[find_cut(plan)]
    framed = next((step for step in plan.steps if step.before.dims == WINDOWS and step.after.dims == FRAMES), None)
    if framed is None or not hasattr(framed.stage, "hears"):
        raise PlanError("train.task: events needs a strided_conv, which says when its frames come", window.index)
    rate = window.before.rate_hz
    stride = round((window.after.step_s or 0.0) * rate)
    return framed.stage.hears(framed.before), round(rate / plan.output.rate_hz), stride


class _Live:
    """Windows as they are decided, to moments. A moment is known with the first window that has its frame."""

    delay_s = 0.0

    def __init__(self, detector: Detector, plan: Plan) -> None:
        from myoflow.prepare import find_cut

        window = plan.steps[find_cut(plan)]
        self._detector, self._labels = detector, plan.output.labels
        self._rate, self._window_s = window.before.rate_hz, window.after.window_s or 0.0

    def feed(self, values: npt.NDArray[np.float32], end_s: float) -> list[Said]:
        from myoflow.listener import Said

        found = self._detector.window(values, round((end_s - self._window_s) * self._rate))
        pairs = zip(found.time_s.tolist(), found.label.tolist(), strict=True)
        return [Said("event", time_s, time_s, self._labels[label]) for time_s, label in pairs]

    def flush(self) -> list[Said]:
        return []
