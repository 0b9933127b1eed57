"""pretrain: hidden patches guessed from the others; no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import attrs
from attrs.validators import and_, ge, gt, lt

from myoflow.errors import PlanError
from myoflow.task import Measure, Task, View, task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch

    from myoflow.answers.reconstructions import Reconstructions
    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.split import Fold
    from myoflow.stages.window import Window
    from myoflow.store.masked import Masked
    from myoflow.task import Model

END = ("patch", "tinymyo", "reconstruct")
LOSS = Measure(unit="", better="lower", digits=4)


@task("pretrain")
@frozen
class Pretrain(Task):
    """Masked reconstruction (TinyMyo, arXiv 2512.15729): SmoothL1 of hidden patches, plus `visible` times of others.

    The share `mask` of every window's patches is hidden, in a `pattern`: `random` ones; `span`: runs of `block`
    patches; `channel`: whole channels. Electrodes that never change in a recording (those that the stage `pad` adds)
    are neither attended, hidden nor scored; a recording that has no others is left out. Where the decoder guesses each
    patch's strength, too (`reconstruct: {power: true}`), that is scored beside the samples with the weight `power`.
    Windows are taken from all of a recording, labelled or not.
    """

    mask: float = attrs.field(default=0.5, validator=and_(gt(0), lt(1)))
    pattern: Literal["random", "span", "channel"] = "random"
    block: int = attrs.field(default=5, validator=ge(1))
    visible: float = attrs.field(default=0.1, validator=ge(0))
    power: float = attrs.field(default=1.0, validator=ge(0))

    measures: ClassVar[Mapping[str, Measure]] = {
        "masked_loss": LOSS,
        "visible_loss": LOSS,
        "patch_mean_loss": LOSS,
        "linear_loss": LOSS,
        "explained": Measure(),
    }
    defaults: ClassVar[tuple[str, ...]] = tuple(measures)
    curve: ClassVar[str | None] = "masked_loss"
    lives: ClassVar[bool] = False
    compiles: ClassVar[bool] = False
    mixes: ClassVar[bool] = True

    def check(self, plan: Plan) -> None:
        """The pipeline ends in patch, tinymyo and reconstruct."""
        names = tuple(step.stage.name for step in plan.steps)
        if names[-3:] != END:
            raise PlanError(
                f"pre-training needs a pipeline that ends in {', '.join(END)}; this one ends in {names[-1]}"
            )
        _check_electrodes(plan, names)
        tokens = plan.steps[-2].before
        patches = tokens.size("channel") * tokens.size("patch")
        if not 0.5 < self.mask * patches < patches - 0.5:
            what = "none" if self.mask < 0.5 else "all"
            raise PlanError(f"train.mask: {self.mask:g} hides {what} of the {patches} patches that a window has")

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Masked]:
        """Windows on the grid of each recording of a part, whatever is marked there."""
        from myoflow.data.cut import everywhere, parts
        from myoflow.store.masked import Masked

        if by == "repetition":
            raise PlanError("pre-training takes whole recordings; split by subject or session")
        stage = cast("Window", step.stage)
        every = {training: everywhere(prepared, stage, step.before, training=training) for training in (True, False)}
        return [Masked.of(windows) for windows in parts(every, prepared, fold, by)]

    def network(self, module: torch.nn.Module) -> torch.nn.Module:
        """The pipeline's network, with masks drawn before it."""
        from myoflow.dsp.masking import Hiding
        from myoflow.nn.masking import Masked

        return Masked(module, Hiding(self.mask, self.pattern, self.block))

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Mean over windows; `output` is what `nn.masking.Masked` gives, there is no `target`."""
        return self._losses(output)[0].mean()

    def gauge(self, output: Any, target: Any) -> torch.Tensor:
        """The masked loss of samples, summed over windows."""
        return self._losses(output)[1].sum()

    def _losses(self, output: Any) -> tuple[torch.Tensor, torch.Tensor]:
        from myoflow.nn.masking import reconstruction_loss

        return reconstruction_loss(**output, visible=self.visible, power=self.power)

    def predict(self, model: Model, examples: Masked) -> Reconstructions:
        """Losses of every held-out window, beside those of guesses without learning."""
        from myoflow.answers.reconstructions import measured

        module = model.network()
        assert module is not None, "check says that there is a network"
        return measured(self.network(module).eval(), model.batches(examples, 256), examples.windows, model.device)

    def load(self, path: Path) -> Reconstructions:
        """Read what `Reconstructions.save` wrote."""
        from myoflow.answers.reconstructions import Reconstructions

        return Reconstructions.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Losses with intervals over subjects."""
        from myoflow.answers.scores import summarise

        return summarise(models, evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """Reconstructions, losses against guesses without learning, similarity of channels."""
        from myoflow.report.hidden import sections

        return sections(view)


def _check_electrodes(plan: Plan, names: Sequence[str]) -> None:
    """Raise PlanError where nobody could tell behind the pipeline which electrodes a recording has."""
    cut, last = plan.cut, len(names) - len(END)
    for index in range(cut + 1, last):
        if plan.steps[index].after.channels != plan.steps[index].before.channels:
            raise PlanError(
                f"{names[index]} changes the channels behind {names[cut]}; put it before that in pre-training, which "
                "looks at whole recordings for electrodes that are not there",
                index,
            )
    if "pad" not in names:
        return
    for index, step in enumerate(plan.steps):
        if names[index] == "rereference" and index > names.index("pad"):
            raise PlanError("rereference would put a signal on the empty channels of pad; put it before pad", index)
        if getattr(step.stage, "rotate", 0):
            raise PlanError("rotate would put empty channels of pad in the place of electrodes; leave it out", index)
