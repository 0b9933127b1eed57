"""Rival: a second network that learns to tell what the trained one makes from what is true, while that learns to pass.

Source: Goodfellow et al. 2014, arXiv 1406.2661. The losses are the task's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from myoflow.errors import InputError
from myoflow.training.batch import each

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from myoflow.recipe import Train


class Rival:
    """The rival of a task's network, with an optimiser of its own at the same learning rate."""

    def __init__(self, module: torch.nn.Module, settings: Train, accelerator: Accelerator) -> None:
        """Raises InputError in a training of several processes, which this is not made for."""
        import torch

        if accelerator.num_processes > 1:
            raise InputError("a training with a rival network runs in one process")
        self.task = settings.task
        self.module = module.to(accelerator.device).train()
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def play(self, output: Any, target: Any, lr: float) -> torch.Tensor:
        """One step of the rival on what was made and what is true; then what it costs the network to be told apart."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.module.requires_grad_(True)
        loss: torch.Tensor = self.task.rival_loss(self.module, each(lambda made: made.detach(), output), target)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.module.requires_grad_(False)
        return self.task.against(self.module, output, target)

    def state(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
