"""Stage: the contract every pipeline stage keeps, and the registry they stand in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

from myoflow.registry import Registry
from myoflow.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import torch

    from myoflow.dsp.kernel import Array, Kernel

State = Mapping[str, "np.ndarray[Any, Any]"]


@frozen
class Cost:
    """What a stage costs: parameters, multiply-accumulates per output item (sample or window), bytes held."""

    parameters: int = 0
    macs: int = 0
    memory_bytes: int = 0


class Stage:
    """Base of all stages. Subclasses are `@stage("name") @frozen` classes; see stages/rectify.py for a small one.

    What it is: fields and `plan`. What can execute it: `kernel` (host) or `module` (torch), or both.
    `fits` marks a stage that learns numbers from the training split outside the training loop (statistics,
    classical classifiers): `fit` returns them and `kernel` gets them back as `state`.
    `training_only` marks augmentation: skipped everywhere but in training batches.
    `cuts` marks the stage that cuts a signal into examples (windows); everything behind it takes examples.
    `remembers` marks a stage behind that one whose output depends on earlier examples (a vote).
    `mends` marks one that takes samples that are no numbers; behind others, a causal filter never recovers from one.
    `published_only` says why a stage may stand only in recipes marked `protocol: published`.
    Heavy imports (numpy, scipy, torch) belong inside the methods: the planner reads stages in milliseconds.
    """

    name: ClassVar[str]
    training_only: ClassVar[bool] = False
    cuts: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    mends: ClassVar[bool] = False
    published_only: ClassVar[str | None] = None

    @property
    def fits(self) -> bool:
        """Whether this stage must be fitted; a class may say `fits: ClassVar[bool] = True`, or decide by its fields."""
        return False

    def plan(self, spec: Spec) -> Spec:
        """Output Spec from input Spec. Pure and cheap. Raises PlanError."""
        raise TypeError(f"{type(self).__name__} does not define plan")

    def cost(self, spec: Spec) -> Cost:
        """Cost for input `spec`; zero unless a stage says otherwise."""
        return Cost()

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        """Host form for input `spec`."""
        raise TypeError(f"{self.name} has no host form")

    def module(self, spec: Spec) -> torch.nn.Module:
        """Torch form for input `spec`: maps a batch with `spec.dims` to one with `plan(spec).dims`."""
        raise TypeError(f"{self.name} has no torch form")

    def begin(self, module: torch.nn.Module, spec: Spec) -> tuple[str, ...]:
        """Give a fresh `module` of this stage other values to start training from; what it did, in words.

        Called once, before training, and never for a trained model. Raises InputError.
        """
        return ()

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Any]]) -> State:
        """Learn `state` from the training split.

        `batches` yields `(x, y)`: x as this stage's input, a whole recording `(channel, time)` before the stage
        that cuts (y is None) or a batch of examples behind it (y: what they should give, such as integer labels).
        """
        raise TypeError(f"{self.name} learns nothing")

    @classmethod
    def on_host(cls) -> bool:
        """Whether this stage has a host form."""
        return cls.kernel is not Stage.kernel

    @classmethod
    def on_torch(cls) -> bool:
        """Whether this stage has a torch form."""
        return cls.module is not Stage.module


STAGES: Registry[Stage] = Registry("stage", "myoflow.stages")


def stage(name: str) -> Callable[[type[Any]], type[Any]]:
    """Register a stage class under its YAML name."""
    return STAGES.add(name)


def cutting(stages: Sequence[Stage]) -> int | None:
    """Index of the stage that cuts the signal into examples; None when there is none."""
    return next((index for index, stage in enumerate(stages) if stage.cuts), None)
