"""events: moments, such as presses and releases of fingers, in a continuous signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import attrs
from attrs import frozen as plain_frozen

from myoflow.errors import InputError, PlanError
from myoflow.task import Measure, Task, View, task
from myoflow.typed import Mismatch, Seconds, frozen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from myoflow.answers.detections import Detections
    from myoflow.dsp.detection import Detector, Moments, Track
    from myoflow.engine import Parameters
    from myoflow.listener import Listener, Said
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.split import Fold
    from myoflow.stage import State
    from myoflow.stages.window import Window
    from myoflow.store.momentary import Momentary
    from myoflow.task import Model


@task("events")
@frozen
class Events(Task):
    """Each labelled event is a moment, its onset; frames that have just heard one are to say so.

    The target of a frame is 1 from `pulse[0]` to `pulse[1]` after a moment; the loss is binary cross-entropy per label.
    Where windows overlap, a frame's logits are those of the first window that has it, which is what a live stream knows
    at once and has heard most of its past. A detection is where a probability rises to `threshold`; those within
    `dead` of the last one are bounces, but labels of `releases` bounce only on themselves. With `threshold: auto` each
    model has its own, of 0.05 to 0.95, the one of the highest F1 on the validation split, kept with the weights. A
    detection belongs to a moment from `tolerance[0]` to `tolerance[1]` after it. Defaults are those of the generic
    neuromotor interface (Kaifosh, Reardon et al. 2025). `cler` counts wrong labels among what was detected; it hides
    misses and false alarms, so both are measured beside it. `precision`, `recall` and `f1` count right detections.
    """

    pulse: tuple[Seconds, Seconds] = (0.08, 0.12)
    threshold: float | Literal["auto"] = 0.35
    dead: Seconds = 0.05
    tolerance: tuple[Seconds, Seconds] = (-0.05, 0.25)
    releases: tuple[str, ...] = ()

    measures: ClassVar[Mapping[str, Measure]] = {
        "cler": Measure("%", "lower"),
        "miss_rate": Measure("%", "lower"),
        "false_per_hour": Measure("/h", "lower"),
        "precision": Measure("%"),
        "recall": Measure("%"),
        "f1": Measure("%"),
    }
    defaults: ClassVar[tuple[str, ...]] = ("cler", "miss_rate", "false_per_hour")
    lives: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        for name in ("pulse", "tolerance"):
            early, late = getattr(self, name)
            if not early < late:
                raise Mismatch(f"must rise, got {early:g} s and {late:g} s", (name,))
        if self.threshold != "auto" and not 0 < self.threshold < 1:
            raise Mismatch(f"must be auto, or lie between 0 and 1, got {self.threshold:g}", ("threshold",))

    def check(self, plan: Plan) -> None:
        """The pipeline ends in logits per frame, and its windows stand on whole frames."""
        from myoflow.spec import EVENTS

        last = plan.steps[-1]
        if plan.output.dims != EVENTS:
            given = f"{last.stage.name} gives {plan.output.describe()}"
            raise PlanError(
                f"train.task: events needs a pipeline that ends in detect, or in lags and lda, but {given}", last.index
            )
        _, hop, stride = _grid(plan)
        if stride % hop:
            raise PlanError(
                f"has a stride of {stride} samples, which the frames' {hop} samples do not divide: overlapping windows "
                "would not share frames",
                plan.cut,
                "stride",
            )
        for name in self.releases:
            if name not in plan.input.labels:
                raise PlanError(f"train.releases: there is no label '{name}'", last.index)

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Momentary]:
        """Windows on the live grid of every recording of a part, whatever is marked there."""
        from myoflow.data.cut import everywhere, parts
        from myoflow.store.momentary import Momentary

        if by == "repetition":
            raise PlanError("events are looked for in whole recordings; split by subject or session")
        if self.threshold == "auto" and fold[0] and not fold[1]:
            raise PlanError("train.threshold: auto is chosen on a validation split; give data.split.valid, or a number")
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

    def settle(self, model: Model, valid: Momentary) -> dict[int, State]:
        """The threshold, where it is chosen on the validation split."""
        if self.threshold != "auto":
            return {}
        import numpy as np

        from myoflow.answers.detections import THRESHOLDS, best_threshold

        heard = self._heard(model.outputs(valid), valid, model.plan)
        tables = sum(self._tables(one, THRESHOLDS, model.plan) for one in heard)
        last = len(model.plan.steps) - 1
        return {last: {**model.parameters.states.get(last, {}), "threshold": np.array(best_threshold(tables))}}

    def predict(self, model: Model, examples: Momentary) -> Detections:
        """Detections of every recording, from the logits of all windows over it."""
        threshold = self._threshold(model.parameters, model.plan)
        return self.answers(model.outputs(examples), examples, model.plan, threshold)

    def answers(
        self, found: npt.NDArray[np.float32], examples: Momentary, plan: Plan, threshold: float | None = None
    ) -> Detections:
        """`found` are logits `(window, frame, label)`; `threshold` is what `auto` has chosen."""
        import numpy as np

        from myoflow.answers.detections import THRESHOLDS, Detections

        used = float(self.threshold if threshold is None else threshold)
        numbers, labels = np.unique(examples.recording), plan.output.labels
        heard = self._heard(found, examples, plan)
        size = (len(labels) + 1, len(labels) + 1)
        sweeps = [self._tables(one, (used, *THRESHOLDS), plan) for one in heard]
        tables = np.stack(sweeps) if sweeps else np.zeros((0, 1 + len(THRESHOLDS), *size))
        return Detections(
            tables=tables[:, 0],
            sweep=tables[:, 1:],
            threshold=np.full(len(numbers), used),
            labels=labels,
            subject=np.asarray(examples.subjects)[numbers],
            session=np.asarray(examples.sessions)[numbers],
            repetition=np.zeros(len(numbers), np.int64),
            recording=np.asarray(examples.ids)[numbers],
            start_s=np.zeros(len(numbers)),
        )

    def _heard(self, found: npt.NDArray[np.float32], examples: Momentary, plan: Plan) -> list[_Heard]:
        """Each recording's probabilities, and the moments that could be heard in it."""
        import numpy as np

        from myoflow.dsp.detection import Moments, Track

        first, hop, _ = _grid(plan)
        heard, rate = [], examples.rate_hz
        for number in np.unique(examples.recording):
            rows = np.flatnonzero(examples.recording == number)
            track = Track.of(found[rows], examples.start[rows], first, hop, rate)
            onset = examples.onsets[number] / rate
            inside = (onset >= track.time_s[0] - self.tolerance[1]) & (onset <= track.time_s[-1] - self.tolerance[0])
            truth = Moments(onset[inside], examples.kinds[number][inside])
            heard.append(_Heard(track, truth, len(track.time_s) * hop / rate))
        return heard

    def _tables(self, heard: _Heard, thresholds: Sequence[float], plan: Plan) -> npt.NDArray[np.float64]:
        """What became of a recording's moments at each threshold, `(threshold, label + 1, label + 1)`."""
        import numpy as np

        from myoflow.dsp.detection import match, tally

        tables = []
        for threshold in thresholds:
            said = heard.track.moments(threshold, self._releases(plan), self.dead)
            partner = match(heard.truth, said, self.tolerance)
            tables.append(tally(heard.truth, said, partner, len(plan.output.labels)).astype(np.float64))
            tables[-1][-1, -1] = heard.seconds
        return np.stack(tables)

    def listener(self, plan: Plan, folder: Path) -> Listener:
        """Moments as they are detected, by the rules and in the order of `answers`."""
        from myoflow import weights
        from myoflow.dsp.detection import Detector

        used = self.threshold
        if used == "auto":
            used = self._threshold(weights.load(folder / "weights.safetensors")[0], plan)
        heard, hop, _ = _grid(plan)
        rate = plan.steps[plan.cut].before.rate_hz
        return _Live(Detector(heard, hop, rate, used, self._releases(plan), self.dead), plan)

    def _threshold(self, parameters: Parameters, plan: Plan) -> float:
        """The threshold to detect by: the recipe's, or the one that was chosen for this model."""
        if self.threshold != "auto":
            return self.threshold
        chosen = parameters.states.get(len(plan.steps) - 1, {}).get("threshold")
        if chosen is None:
            raise InputError("train.threshold: auto has chosen none for this model: it was trained with a number")
        return float(chosen)

    def _releases(self, plan: Plan) -> set[int]:
        return {plan.output.labels.index(name) for name in self.releases}

    def load(self, path: Path) -> Detections:
        """Read what `Detections.save` wrote."""
        from myoflow.answers.detections import Detections

        return Detections.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Metrics with intervals, and the table of each model."""
        from myoflow.answers.scores import summarise

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
    from myoflow.spec import FRAMES, WINDOWS

    window = plan.steps[plan.cut]
    framed = next((step for step in plan.steps if step.before.dims == WINDOWS and step.after.dims == FRAMES), None)
    if framed is None or not hasattr(framed.stage, "hears"):
        raise PlanError("train.task: events needs strided_conv or lags, which say when their frames come", window.index)
    rate = window.before.rate_hz
    stride = round((window.after.step_s or 0.0) * rate)
    return framed.stage.hears(framed.before), round(rate / plan.output.rate_hz), stride


@plain_frozen(eq=False)
class _Heard:
    """A recording, heard: what all windows say, the true moments, and how long it is."""

    track: Track
    truth: Moments
    seconds: float


class _Live:
    """Windows as they are decided, to moments. A moment is known with the first window that has its frame."""

    delay_s = 0.0

    def __init__(self, detector: Detector, plan: Plan) -> None:

        window = plan.steps[plan.cut]
        self._detector, self._labels = detector, plan.output.labels
        self._rate, self._window_s = window.before.rate_hz, window.after.window_s or 0.0

    def feed(self, values: npt.NDArray[np.float32], end_s: float) -> list[Said]:
        from myoflow.listener import Said

        found = self._detector.window(values, round((end_s - self._window_s) * self._rate))
        pairs = zip(found.time_s.tolist(), found.label.tolist(), strict=True)
        return [Said("event", time_s, time_s, self._labels[label]) for time_s, label in pairs]

    def flush(self) -> list[Said]:
        return []
