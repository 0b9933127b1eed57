"""classify: one label per window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.tasks.base import Task, task

if TYPE_CHECKING:
    from torch import Tensor


@task("classify")
class Classify(Task):
    """Cross-entropy over labels.

    With label smoothing s the target is `1 - s` for the true label plus `s / labels` for each (Szegedy et al. 2016,
    arXiv 1512.00567). Classes are not weighted: a label counts as often as it occurs.
    """

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """`output` logits `(window, label)`; `target` label indices `(window,)` or probabilities `(window, label)`."""
        import torch.nn.functional as F

        return F.cross_entropy(output.float(), target, label_smoothing=label_smoothing)

    def correct(self, output: Tensor, target: Tensor) -> Tensor:
        """`output` logits `(window, label)`, `target` label indices `(window,)`."""
        return (output.argmax(1) == target).sum()

    def decode(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Index of the best label per window; of equal scores the first."""
        return np.asarray(np.argmax(scores, axis=1), np.int64)
