"""regress: continuous values over each window, from tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, TRAJECTORIES, Spec, Target
from myoflow.stage import Cost, Stage, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@stage("regress")
@frozen
class Regress(Stage):
    """TinyMyo's regression head: `(window, channel, patch, feature)` -> `(window, step, target)`.

    A convolution of width 1 over all channels' features of a patch to `hidden`, SiLU, `dropout`, a depthwise
    convolution of width 3 over patches, SiLU, one of width 1 to the targets, then linear interpolation from patches
    to the target's steps (`data.target`, at its rate). Values come in the target's own units: a scale and a centre of
    each target, taken from the training split, stand behind the convolutions. Source: arXiv 2512.15729.
    """

    hidden: int = 256
    dropout: float = 0.1

    def plan(self, spec: Spec) -> Spec:
        spec.expect(TOKENS)
        if self.hidden < 1:
            raise PlanError(f"hidden must be at least 1, got {self.hidden}", field="hidden")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout must be from 0 to below 1, got {self.dropout}", field="dropout")
        return plan_regressor(spec)

    def cost(self, spec: Spec) -> Cost:
        """Parameters, MACs and bytes for one window; interpolation counts nothing."""
        inputs, patches, (_, outputs) = self._inputs(spec), spec.size("patch"), sizes(spec)
        parameters = (inputs + 1) * self.hidden + 4 * self.hidden + (self.hidden + 1) * outputs
        macs = patches * self.hidden * (inputs + 3 + outputs)
        return Cost(parameters=parameters, macs=macs, memory_bytes=4 * (parameters + patches * (inputs + self.hidden)))

    def module(self, spec: Spec) -> torch.nn.Module:
        from myoflow.nn.trajectory import ScaledTrajectory

        self.plan(spec)
        steps, outputs = sizes(spec)
        return ScaledTrajectory(self._inputs(spec), outputs, steps, hidden=self.hidden, dropout=self.dropout)

    def _inputs(self, spec: Spec) -> int:
        return spec.size("channel") * spec.size("feature")


def target_of(spec: Spec) -> Target:
    """The target that the data offers. Raises PlanError when it offers none."""
    if spec.target is None:
        raise PlanError("learns a stream beside the EMG: name it with data.target, such as `target: kinematics`")
    return spec.target


def sizes(spec: Spec) -> tuple[int, int]:
    """Steps of a window at the target's rate, and target channels. Raises PlanError."""
    target = target_of(spec)
    if spec.window_s is None:
        raise PlanError("needs windows of a fixed length")
    steps = round(spec.window_s * target.rate_hz)
    if steps < 1:
        raise PlanError(f"a window of {spec.window_s:g} s holds no step of a target at {target.rate_hz:g} Hz")
    return steps, len(target.channels)


def plan_regressor(spec: Spec) -> Spec:
    """Output Spec of a regressor. Raises PlanError."""
    return spec.evolve(dims=TRAJECTORIES, sizes=(None, *sizes(spec)))
