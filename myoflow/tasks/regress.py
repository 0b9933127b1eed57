"""regress: a continuous stream beside the EMG, such as joint angles, over each window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import attrs

from myoflow.errors import InputError, PlanError
from myoflow.task import Measure, Task, View, task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from myoflow.answers.trajectories import Trajectories
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.split import Fold
    from myoflow.stages.window import Window
    from myoflow.store.traced import Traced


@task("regress")
@frozen
class Regress(Task):
    """The stream that `data.target` names, at its own rate, aligned by time; windows run on through changes of label.

    `error` is the loss: `l1` (as published for TinyMyo), `smooth_l1` (Huber's, quadratic below one unit) or `mse`.
    `balance` divides each target channel's error by its spread in the training split, so that large movements do not
    outweigh small ones. `score: newest` counts of each window only what a live decoder adds with it, the last stride;
    `window` counts the whole window, whose beginning was decided with knowledge of its end, as published protocols do.
    Windows in which the target is unknown are left out.
    """

    error: Literal["l1", "smooth_l1", "mse"] = "l1"
    balance: bool = True
    score: Literal["newest", "window"] = "newest"

    measures: ClassVar[Mapping[str, Measure]] = {
        "mae": Measure("", "lower", 3),
        "rmse": Measure("", "lower", 3),
        "r2": Measure("", "higher", 3),
        "r2_pooled": Measure("", "higher", 3),
        "correlation": Measure("", "higher", 3),
    }
    defaults: ClassVar[tuple[str, ...]] = ("r2", "correlation", "mae", "rmse")
    curve: ClassVar[str | None] = "error"
    lives: ClassVar[bool] = False

    def measured(self, scores: Mapping[str, Any]) -> Mapping[str, Measure]:
        """Errors are in the target's units."""
        units = str(scores.get("units", ""))
        own = {name: attrs.evolve(self.measures[name], unit=units) for name in ("mae", "rmse")}
        return {**self.measures, **own}

    def check(self, plan: Plan) -> None:
        """The pipeline ends in trajectories."""
        if "target" not in plan.output.dims:
            last = plan.steps[-1]
            raise PlanError(
                f"train.task: regress needs a pipeline that ends in trajectories (regress, ridge), but "
                f"{last.stage.name} gives {plan.output.describe()}",
                last.index,
            )

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Traced]:
        """Windows on the live grid along each stretch of labelled events, where the target is known."""
        from myoflow.data.cut import cut_along, parts
        from myoflow.stages.regress import sizes, target_of
        from myoflow.store.traced import Traced

        stage, target, (steps, _) = cast("Window", step.stage), target_of(step.after), sizes(step.after)
        targets = tuple(signal.target for signal in prepared if signal.target is not None)
        every = {}
        for training in (True, False):
            windows = cut_along(prepared, stage, step.before, training=training, whole=by != "repetition")
            every[training] = Traced.of(windows, targets, target.rate_hz, steps)
        return parts(every, prepared, fold, by)

    def begin(self, module: torch.nn.Module, examples: Traced) -> None:
        """The head's scale and centre are those of the training targets."""
        import torch

        from myoflow.nn.trajectory import ScaledTrajectory

        for part in module.modules():
            if isinstance(part, ScaledTrajectory):
                centre, spread = examples.spread()
                part.measure(torch.from_numpy(centre).float(), torch.from_numpy(spread).float())

    def network(self, module: torch.nn.Module) -> torch.nn.Module:
        """With `balance` the outputs come with the spread that errors are divided by."""
        from myoflow.nn.trajectory import Balanced

        return Balanced(module) if self.balance else module

    def loss(self, output: Any, target: torch.Tensor) -> torch.Tensor:
        """Mean over windows, steps and target channels: `(window, step, target)`."""
        import torch.nn.functional as F

        if isinstance(output, dict):
            output, target = output["values"] / output["spread"], target / output["spread"]
        functions = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss, "mse": F.mse_loss}
        found: torch.Tensor = functions[self.error](output, target)
        return found

    def gauge(self, output: Any, target: torch.Tensor) -> torch.Tensor:
        """The mean absolute error of each window, as the loss counts channels, summed over windows."""
        if isinstance(output, dict):
            output, target = output["values"] / output["spread"], target / output["spread"]
        found: torch.Tensor = (output - target).abs().mean(dim=(1, 2)).sum()
        return found

    def answers(self, found: npt.NDArray[np.float32], examples: Traced, plan: Plan) -> Trajectories:
        """Trajectories of every window, or of what is new in it, beside the truth."""
        import numpy as np

        from myoflow.answers.trajectories import Trajectories
        from myoflow.stages.regress import target_of

        target = target_of(plan.output)
        whole = Trajectories(
            values=found,
            truth=examples.truth(np.arange(len(examples))),
            targets=target.channels,
            units=target.units,
            rate_hz=target.rate_hz,
            **examples.places(),
        )
        if self.score == "window" or plan.output.step_s is None:
            return whole
        return whole.newest(max(1, round(plan.output.step_s * target.rate_hz)))

    def load(self, path: Path) -> Trajectories:
        """Read what `Trajectories.save` wrote."""
        from myoflow.answers.trajectories import Trajectories

        return Trajectories.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Metrics with intervals, over targets and for each of them."""
        from myoflow.answers.scores import summarise

        if not all(len(seed) for seeds in models.values() for seed in seeds):
            raise InputError("there are no windows to score: the test split has none whose target is known")
        return summarise(models, evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """Trajectories against the truth on a held-out recording, and a table of the target channels."""
        from myoflow.report.kinematics import sections

        return sections(view, self.measured(view.metrics))
