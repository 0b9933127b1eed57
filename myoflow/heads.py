"""Heads: named branches behind a pipeline's last stage, planned and trained as one stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from myoflow.errors import PlanError
from myoflow.spec import FRAMES, Spec
from myoflow.stage import Cost, Stage

if TYPE_CHECKING:
    import torch

    from myoflow.dsp.kernel import Array


@frozen
class Heads(Stage):
    """What a recipe's `heads:` become: the last stage, which gives every branch's frames side by side.

    `(utterance, frame, feature)` -> the same dims, features of all branches in their order; `split` takes them apart.
    It has no YAML name of its own.
    """

    branches: Mapping[str, tuple[Stage, ...]]

    name: ClassVar[str] = "heads"

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FRAMES)
        widths = [found.size("feature") for found in self.outputs(spec).values()]
        return spec.evolve(sizes=(None, None, sum(widths)), labels=())

    def outputs(self, spec: Spec) -> dict[str, Spec]:
        """What each branch gives. Raises PlanError: a stage does not fit, or a branch does not end in frames."""
        found = {}
        for name, stages in self.branches.items():
            after = spec
            for stage in stages:
                if not stage.on_torch():
                    raise PlanError(f"heads.{name}: {stage.name} is no learned stage")
                after = stage.plan(after)
            if after.dims != FRAMES or after.rate_hz != spec.rate_hz:
                hint = "; the vocoder of a voice is named in train.vocoder" if after.channels == ("voice",) else ""
                raise PlanError(
                    f"heads.{name}: must end in frames at {spec.rate_hz:g} Hz, gives {after.describe()}{hint}"
                )
            found[name] = after
        return found

    def cost(self, spec: Spec) -> Cost:
        parts = [cost for stages in self.branches.values() for cost in _costs(stages, spec)]
        return Cost(
            parameters=sum(part.parameters for part in parts),
            macs=sum(part.macs for part in parts),
            memory_bytes=sum(part.memory_bytes for part in parts),
        )

    def module(self, spec: Spec) -> torch.nn.Module:
        from torch import nn

        from myoflow.nn.utterances import Heads as Module

        modules: dict[str, nn.Module] = {}
        for name, stages in self.branches.items():
            before, chain = spec, []
            for stage in stages:
                chain.append(stage.module(before))
                before = stage.plan(before)
            modules[name] = nn.Sequential(*chain)
        return Module(modules)

    def split(self, spec: Spec, frames: Array) -> dict[str, Array]:
        """Each branch's part of what this stage gave for input `spec`: `(..., feature)`."""
        found, at = {}, 0
        for name, after in self.outputs(spec).items():
            width = after.size("feature")
            found[name] = frames[..., at : at + width]
            at += width
        return found


def _costs(stages: tuple[Stage, ...], spec: Spec) -> list[Cost]:
    found = []
    for stage in stages:
        found.append(stage.cost(spec))
        spec = stage.plan(spec)
    return found
