"""The classification task: loss by hand, decisions, and its place in the registry."""

from __future__ import annotations

import math

import pytest
import torch

from myoflow.errors import InputError
from myoflow.task import TASKS

LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_registry():
    assert "classify" in TASKS
    with pytest.raises(InputError, match="there is no task 'clasify'; did you mean 'classify'"):
        TASKS["clasify"]


def test_loss_by_hand():
    task = TASKS["classify"]()
    target = torch.tensor([0, 2])
    first = -math.log(math.e**2 / (math.e**2 + 2))
    second = -math.log(1 / (math.e + 2))
    assert TASKS["classify"](label_smoothing=0).loss(LOGITS, target).item() == pytest.approx(
        (first + second) / 2, rel=1e-5
    )
    # smoothing s: (1 - s) times the true label's term plus s times the mean over all labels
    rows = -torch.log_softmax(LOGITS, 1)
    smooth = 0.9 * (first + second) / 2 + 0.1 * rows.mean().item()
    assert task.loss(LOGITS, target).item() == pytest.approx(smooth, rel=1e-5)
    soft = torch.nn.functional.one_hot(target, 3).float()
    assert task.loss(LOGITS, soft).item() == pytest.approx(smooth, rel=1e-5)


def test_decisions():
    task = TASKS["classify"]()
    assert task.gauge(LOGITS, torch.tensor([0, 2])).item() == 1
