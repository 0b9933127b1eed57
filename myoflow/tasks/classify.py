"""classify: one label per window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
from attrs.validators import and_, ge, lt

from myoflow.errors import InputError, PlanError
from myoflow.spec import EVENTS
from myoflow.task import Measure, Task, View, task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from myoflow.answers.predictions import Predictions
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.split import Fold
    from myoflow.stages.window import Window
    from myoflow.store.windows import Windows


@task("classify")
@frozen
class Classify(Task):
    """Cross-entropy over labels.

    With `label_smoothing` s the target is `1 - s` for the true label plus `s / labels` for each (Szegedy et al. 2016,
    arXiv 1512.00567). Classes are not weighted: a label counts as often as it occurs.
    """

    label_smoothing: float = attrs.field(default=0.1, validator=and_(ge(0), lt(1)))

    measures: ClassVar[Mapping[str, Measure]] = {
        "accuracy": Measure(),
        "balanced_accuracy": Measure(),
        "macro_f1": Measure(),
    }
    defaults: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "macro_f1")
    curve: ClassVar[str | None] = "accuracy"

    def check(self, plan: Plan) -> None:
        """The pipeline ends in scores per label, one a window."""
        plan.output.size("label")
        if plan.output.dims == EVENTS:
            last = plan.steps[-1]
            raise PlanError(
                f"{last.stage.name} says what happens in each frame here: that is train.task: events", last.index
            )

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Windows]:
        """Labelled windows. Raises InputError: a label that is tested has no window to learn it from."""
        from myoflow.data.cut import cut, parts

        stage = cast("Window", step.stage)
        every = {training: cut(prepared, stage, step.before, training=training) for training in (True, False)}
        train, valid, test = parts(every, prepared, fold, by)
        unknown = sorted({*test.label.tolist()} - {*train.label.tolist()}) if len(train) else []
        if unknown:
            raise InputError(
                f"the training split has no window of {', '.join(step.before.labels[i] for i in unknown)}, which is "
                "tested; change data.split, or keep only the other labels with data.labels"
            )
        return [train, valid, test]

    def counts(self, examples: Windows, plan: Plan) -> dict[str, int]:
        """Windows per label."""
        import numpy as np

        labels = plan.input.labels
        return dict(zip(labels, np.bincount(examples.label, minlength=len(labels)).tolist(), strict=True))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """`output` logits `(window, label)`; `target` label indices `(window,)` or probabilities `(window, label)`."""
        import torch.nn.functional as F

        return F.cross_entropy(output.float(), target, label_smoothing=self.label_smoothing)

    def gauge(self, output: Tensor, target: Tensor) -> Tensor:
        """Windows decided rightly: `output` logits `(window, label)`, `target` label indices `(window,)`."""
        return (output.argmax(1) == target).sum()

    def answers(self, found: npt.NDArray[np.float32], examples: Windows, plan: Plan) -> Predictions:
        """Scores `(window, label)`, with where the windows come from."""
        from myoflow.answers.predictions import Predictions

        return Predictions(scores=found, label=examples.label, labels=plan.output.labels, **examples.places())

    def load(self, path: Path) -> Predictions:
        """Read what `Predictions.save` wrote."""
        from myoflow.answers.predictions import Predictions

        return Predictions.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Metrics with intervals, and a confusion matrix for each model."""
        from myoflow.answers.scores import summarise

        return summarise(models, evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """Confusion matrices, decisions over time, example windows."""
        from myoflow.report.gestures import examples, sections, timeline

        return sections(view.metrics, timeline(view), examples(view))

    def picture(self, view: View, path: Path) -> None:
        """A few seconds of a test recording with truth and decisions."""
        from myoflow.report.gestures import timeline
        from myoflow.report.picture import draw_picture

        made = timeline(view)
        if made is not None:
            draw_picture(made, path, view.main)
