"""Task: what a network is trained for; its loss, and how its scores are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoflow.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Task:
    """Base of all tasks. Subclasses are `@task("name")` classes; `train.task` of a recipe names one."""

    name: ClassVar[str]

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss over a batch: a scalar with gradient."""
        raise TypeError(f"{type(self).__name__} does not define loss")

    def correct(self, output: Tensor, target: Tensor) -> Tensor:
        """How many items of a batch are right, as the learning curve's accuracy counts it: a scalar."""
        raise TypeError(f"{type(self).__name__} does not define correct")

    def decode(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
        """Answers from a network's output."""
        raise TypeError(f"{type(self).__name__} does not define decode")


TASKS: Registry[Task] = Registry("task", "myoflow.tasks")
task = TASKS.add
