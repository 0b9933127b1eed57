"""The classification task: loss by hand, decisions, and its place in the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from myoflow.errors import InputError
from myoflow.pipeline import Step
from myoflow.prepared import Prepared
from myoflow.spec import Spec
from myoflow.stages.window import Window
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


def test_a_label_that_is_tested_must_have_been_learned():
    def signal(subject: str, label: int) -> Prepared:
        one = np.array([0], np.int64), np.array([50], np.int64), np.array([label], np.int64), np.array([1], np.int16)
        return Prepared(f"sub-{subject}", subject, "1", "", np.zeros((2, 100), np.float32), *one)

    window = Window(length="100 ms", stride="100 ms")
    spec = Spec.signal(2, 100.0, labels=("rest", "fist"))
    step = Step(0, window, "host", spec, window.plan(spec), window.cost(spec))
    task, people = TASKS["classify"](), [signal("1", 0), signal("2", 1)]
    train, valid, test = task.examples(people, step, (("1",), ("2",), ("1",)), "subject")
    assert (len(train), len(valid), len(test)) == (5, 5, 5)
    assert len(task.examples(people, step, ((), (), ("2",)), "subject")[2]) == 5, "a finished run is asked"
    with pytest.raises(InputError, match="the training split has no window of fist, which is tested"):
        task.examples(people, step, (("1",), (), ("2",)), "subject")
