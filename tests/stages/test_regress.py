"""The regression head: the published size, the target's units, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, Spec, Target
from myoflow.stages.regress import Regress
from myoflow.task import TASKS

DOA = Target("kinematics", ("a", "b", "c", "d", "e"), 2000.0, "deg")


def tokens(target: Target | None = DOA, window_s: float | None = 0.5) -> Spec:
    names = tuple(f"ch{i}" for i in range(16))
    return Spec(TOKENS, (None, 16, 50, 192), 2000.0, names, step_s=0.25, window_s=window_s, target=target)


def test_the_published_head_has_its_published_size() -> None:
    module = Regress().module(tokens())
    assert sum(p.numel() for p in module.parameters()) == 788_997 == Regress().cost(tokens()).parameters
    assert {name for name, _ in module.named_parameters()} == {
        f"regressor.{layer}.{kind}" for layer in (0, 3, 5) for kind in ("weight", "bias")
    }
    after = Regress().plan(tokens())
    assert after.dims == ("window", "step", "target") and after.sizes == (None, 1000, 5)
    assert module(torch.zeros(2, 16, 50, 192)).shape == (2, 1000, 5)


def test_outputs_are_in_the_units_of_the_training_targets() -> None:
    module = Regress(dropout=0).module(tokens()).eval()
    x = torch.randn(1, 16, 50, 192)
    plain = module(x)
    module.measure(torch.arange(5.0), torch.full((5,), 3.0))
    torch.testing.assert_close(module(x), 3 * plain + torch.arange(5.0))


def test_balanced_errors_do_not_depend_on_a_targets_size() -> None:
    task = TASKS["regress"](balance=True)
    module = Regress(dropout=0).module(tokens()).eval()
    truth = torch.randn(3, 1000, 5)
    losses = []
    for size in (1.0, 50.0):
        module.measure(torch.zeros(5), torch.full((5,), size))
        losses.append(task.loss(task.network(module)(torch.ones(3, 16, 50, 192)), size * truth).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    plain = TASKS["regress"](balance=False)
    assert plain.network(module) is module
    assert plain.loss(truth, truth + 2).item() == pytest.approx(2.0)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(PlanError, match=r"name it with data\.target"):
        Regress().plan(tokens(None))
    with pytest.raises(PlanError, match=r"holds no step of a target at 0\.5 Hz"):
        Regress().plan(tokens(Target("slow", ("a",), 0.5)))
    with pytest.raises(PlanError, match="dropout"):
        Regress(dropout=1.0).plan(tokens())


def test_the_same_value_everywhere_stays_the_same_value() -> None:
    """Interpolation between patches adds nothing of its own."""
    module = Regress(dropout=0).module(tokens()).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.regressor[5].bias.copy_(torch.arange(5.0))
    found = module(torch.randn(1, 16, 50, 192)).detach().numpy()
    np.testing.assert_allclose(found, np.broadcast_to(np.arange(5.0), (1, 1000, 5)))


@pytest.mark.parametrize(
    ("error", "expected"), [("l1", (0.5 + 3.0) / 2), ("smooth_l1", (0.125 + 2.5) / 2), ("mse", (0.25 + 9.0) / 2)]
)
def test_losses_by_hand(error: str, expected: float) -> None:
    task = TASKS["regress"](error=error, balance=False)
    said, truth = torch.tensor([[[0.5, 3.0]]]), torch.zeros(1, 1, 2)
    assert task.loss(said, truth).item() == pytest.approx(expected)
    assert task.gauge(said, truth).item() == pytest.approx(1.75)
