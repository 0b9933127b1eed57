"""Train: one loop that reads top to bottom, on accelerate for devices and processes.

Everything random is drawn from `(seed, step)`: the order of the data by the caller's `batches(epoch)`, dropout and
mixup here. So there is no random state to save, and a training resumed at any step is the undisturbed one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from myoflow.ahead import ahead
from myoflow.errors import InputError, MyoflowError
from myoflow.files import write_text
from myoflow.progress import Progress
from myoflow.training import checkpoint
from myoflow.training.batch import count, each, share, tensors
from myoflow.training.rival import Rival
from myoflow.typed import hints_of

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from myoflow.recipe import Train
    from myoflow.task import Batch

CHECKPOINT_S = 10.0  # least time between checkpoints: short epochs should not wait for the disk


@attrs.frozen
class Epoch:
    """One line of the learning curve. `lr` is the last one used; validation is None where there is none.

    `seconds` are those of training alone, `per_second` the examples trained in one.

    `valid_gauge` is the task's own number (`Task.curve`), such as the share of windows decided rightly.
    """

    epoch: int
    loss: float
    valid_loss: float | None
    valid_gauge: float | None
    lr: float
    seconds: float
    per_second: float = 0.0


@attrs.frozen
class History:
    """The learning curve. `best` is the epoch whose weights were kept, counted from 1."""

    epochs: tuple[Epoch, ...]
    best: int
    stopped_early: bool = False


def fit(
    module: torch.nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    valid: Callable[[], Iterable[Batch]] | None,
    settings: Train,
    *,
    seed: int,
    steps_per_epoch: int,
    folder: Path,
    progress: Progress | None = None,
    device: str = "cpu",
) -> History:
    """Train `module` in place; at the end it holds the kept weights, on the CPU, in eval mode.

    `settings.task` says what is learned. `batches(epoch)` gives the `steps_per_epoch` training batches `(x, y)` of an
    epoch, each part an array or named arrays with examples along the first axis, the same ones whenever it is asked;
    `valid()` gives the validation batches. With `settings.patience` the weights of the best validation loss are kept,
    else the last ones; with `settings.ema` validation and kept weights are the average's.
    `folder` receives `history.jsonl` after every epoch and `checkpoint.pt` (at most every 10 s, also within an epoch),
    from which a killed training goes on at the step where it was.
    Build the module under a fixed seed: its fresh weights are not drawn here.

    Raises:
        InputError: patience without validation data, no batches, or a checkpoint of another training.
        MyoflowError: the loss is no longer a number.
    """
    from accelerate import Accelerator

    if steps_per_epoch < 1:
        raise InputError("there is nothing to train on: the training split has no windows")
    if settings.patience is not None and valid is None:
        raise InputError("train.patience needs a validation split: give data.split.valid, or set patience to null")
    accelerator = Accelerator(cpu=device == "cpu")
    training = _Training(module, settings, seed, steps_per_epoch, accelerator)
    path = folder / "checkpoint.pt"
    state = checkpoint.read(path, training.fingerprint)
    if state is not None:
        training.restore(state)
    title = f"Training {sum(p.numel() for p in module.parameters()):,} parameters, seed {seed}"
    with (progress or Progress()).phase(title, settings.epochs * steps_per_epoch) as advance:
        advance(training.epoch * steps_per_epoch + training.within * settings.accumulate)
        keep = _Keeper(training, path)
        while not training.done:
            training.run_epoch(batches, advance, keep)
            valid_loss, gauge = training.validate(valid) if valid is not None else (None, None)
            training.finish_epoch(valid_loss, gauge)
            if accelerator.is_main_process:
                folder.mkdir(parents=True, exist_ok=True)
                _write_history(folder / "history.jsonl", training.history)
            keep(now=training.done)
    accelerator.wait_for_everyone()
    module.load_state_dict(training.kept())
    module.cpu().eval()
    return History(tuple(training.history), training.best, training.stopped)


class _Keeper:
    """Writes a training's checkpoint, in the first process, when the last one is old enough."""

    def __init__(self, training: _Training, path: Path) -> None:
        self.training, self.path, self.written = training, path, time.perf_counter()

    def __call__(self, now: bool = False) -> None:
        if self.training.accelerator.is_main_process and (now or time.perf_counter() - self.written > CHECKPOINT_S):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write(self.path, self.training.state())
            self.written = time.perf_counter()


class _Waiting:
    """The loss of a step, on its way from the device."""

    def __init__(self, loss: torch.Tensor, size: int, epoch: int, step: int, lr: float) -> None:
        import torch

        self.size, self._place, self._lr = size, f"epoch {epoch}, step {step}", lr
        self._loss = loss.to("cpu", non_blocking=True)
        self._there = torch.cuda.current_stream().record_event() if loss.is_cuda else None

    def read(self) -> float:
        """Raises MyoflowError: it is no number."""
        if self._there is not None:
            self._there.synchronize()
        value = float(self._loss)
        if not math.isfinite(value):
            raise MyoflowError(
                f"training diverged: the loss is {value} in {self._place}, at a learning rate of {self._lr:.3g}. "
                "Try a lower train.lr, a longer train.warmup, train.clip=1 or train.precision=float32; if it fails in "
                "the first step, look for NaN in the data (quality stage)"
            )
        return value


class _Training:
    """The state of a training and what moves it on by an epoch.

    `within` counts the updates done in the epoch under way, whose loss so far is `total`, over `examples`; that of the
    last update may still be `waiting`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        settings: Train,
        seed: int,
        steps_per_epoch: int,
        accelerator: Accelerator,
    ) -> None:
        import torch

        self.module, self.task, self.settings, self.seed = module, settings.task, settings, seed
        self.accelerator = accelerator
        # on its device, wrapped when there are several processes
        self.model = accelerator.prepare(self.task.network(module))
        self.optimizer = torch.optim.AdamW(
            parameter_groups(module, settings.weight_decay), lr=settings.lr, betas=settings.betas, fused=True
        )
        rival = self.task.rival()
        self.rival = Rival(rival, settings, accelerator) if rival is not None else None
        self.updates = -(-steps_per_epoch // settings.accumulate)
        self.step = 0
        self.epoch = 0
        self.within, self.total, self.examples, self.spent = 0, 0.0, 0, 0.0
        self.waiting: _Waiting | None = None
        self.best = 0
        self.stopped = False
        self.history: list[Epoch] = []
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.average = _copy(module) if settings.ema is not None else None
        fields = {name: getattr(settings, name) for name in hints_of(type(settings)) if name != "seeds"}
        shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in module.state_dict().items()]
        lines = [*(f"{k}: {v}" for k, v in fields.items()), f"seed: {seed}", f"batches: {steps_per_epoch}", *shapes]
        self.fingerprint = "\n".join(lines)

    @property
    def done(self) -> bool:
        return self.stopped or self.epoch >= self.settings.epochs

    def run_epoch(
        self, batches: Callable[[int], Iterable[Batch]], advance: Callable[[int], None], keep: Callable[[], None]
    ) -> None:
        """One pass over the training data, or the rest of one that was broken off: its batches are made anew, since
        each draws from the same random numbers, but not trained on again."""
        self.model.train()
        start = time.perf_counter()
        made = batches(self.epoch)
        if self.accelerator.device.type == "cuda":  # a GPU need not wait until the next batch is cut and varied
            made = ahead(made)
        groups = _grouped(made, self.settings.accumulate)
        for group in itertools.islice(groups, self.within, None):
            self.update(group)
            self.within += 1
            self.spent, start = self.spent + time.perf_counter() - start, time.perf_counter()
            advance(len(group))
            keep()
        self.settle()
        self.spent += time.perf_counter() - start
        if self.examples == 0:
            raise MyoflowError("an epoch of training gave no batches")

    def update(self, group: list[Batch]) -> None:
        """One optimiser step on the batches of `group`; `settle` adds up their mean loss over all processes.

        Every example weighs the same, however the batches are cut and shared out.
        """
        import torch

        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        rng = np.random.default_rng([self.seed, self.step, rank])
        torch.manual_seed(int(rng.integers(2**63)))
        lr = learning_rate(self.step, self.updates * self.settings.epochs, self.settings)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = lr * parameters["lr_scale"]
        size = sum(count(x) for x, _ in group)
        total = torch.zeros((), device=self.accelerator.device)
        for i, batch in enumerate(group):
            last = i == len(group) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                mine = share(batch, rank, world)
                part = count(mine[0]) / size
                loss = self.loss(mine, rng) if part else self.nothing(batch)
                self.accelerator.backward(loss * (part * world))  # DDP averages over processes
                total += loss.detach() * part
        self.settle()
        self.waiting = _Waiting(self.accelerator.reduce(total, "sum"), size, self.epoch + 1, self.step + 1, lr)
        if self.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.follow()

    def settle(self) -> None:
        """Look at the loss of the step before: a GPU that works on this one need not be waited for."""
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            self.total += waiting.read() * waiting.size
            self.examples += waiting.size

    def loss(self, batch: Batch, rng: np.random.Generator) -> torch.Tensor:
        """Training loss of one batch, mixed with itself in another order where mixup is on (arXiv 1710.09412)."""
        inputs, target = (tensors(part, self.accelerator.device) for part in batch)
        alpha = self.settings.mixup
        if not alpha:
            output = self.outputs(inputs)
            loss = self.task.loss(output, target)
            rate = float(self.optimizer.param_groups[0]["lr"])
            return loss if self.rival is None else loss + self.rival.play(output, target, rate)
        if isinstance(batch[0], Mapping):
            raise InputError(
                f"train.mixup is for examples that are one array; {self.task.name} has others: set it to 0"
            )
        import torch

        part = float(rng.beta(alpha, alpha))
        order = torch.from_numpy(rng.permutation(count(batch[0]))).to(self.accelerator.device)
        output = self.outputs(each(lambda x: part * x + (1 - part) * x[order], inputs))
        mine, other = self.task.loss(output, target), self.task.loss(output, each(lambda y: y[order], target))
        return part * mine + (1 - part) * other

    def nothing(self, batch: Batch) -> torch.Tensor:
        """A loss of zero for a process whose share of a small last batch is empty; it must still join the others."""
        output = self.outputs(tensors(each(lambda x: x[:1], batch[0]), self.accelerator.device))
        several = output.values() if isinstance(output, dict) else (output,)
        total: torch.Tensor = sum(found.sum() for found in several)
        return total * 0

    def outputs(self, inputs: Any) -> Any:
        """The network's output: a tensor, or tensors by head; floating ones in float32."""
        import torch

        device = self.accelerator.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            output = self.model(inputs)
        return each(lambda found: found.float() if found.is_floating_point() else found, output)

    def follow(self) -> None:
        """Move the averaged weights; the decay starts low, so that the first weights are soon forgotten."""
        import torch

        if self.average is None or self.settings.ema is None:
            return
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        trained = self.module.state_dict()
        names = [name for name, tensor in trained.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.average[name] for name in names], [trained[name] for name in names], 1 - decay)
        for name in trained.keys() - set(names):
            self.average[name].copy_(trained[name])

    def validate(self, valid: Callable[[], Iterable[Batch]]) -> tuple[float | None, float | None]:
        """Mean loss and gauge per example of the weights that would be kept now; None without any example."""
        import torch

        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        sums = torch.zeros(3, dtype=torch.float64)
        self.model.eval()
        with torch.no_grad(), self.averaged():
            for batch in valid():
                mine = share(batch, rank, world)
                size = count(mine[0])
                if size == 0:
                    continue
                inputs, target = (tensors(part, self.accelerator.device) for part in mine)
                output = self.outputs(inputs)
                loss = float(self.task.loss(output, target))
                gauge = float(self.task.gauge(output, target)) if self.task.curve else 0.0
                sums += torch.tensor([loss * size, gauge, size])
        loss_sum, gauge_sum, examples = self.accelerator.reduce(sums.to(self.accelerator.device), "sum").tolist()
        if not examples:
            return None, None
        if math.isnan(loss_sum):
            raise MyoflowError(
                f"the validation loss is no number in epoch {self.epoch + 1}: look for NaN in the data (quality "
                "stage), or train with a lower train.lr"
            )
        return loss_sum / examples, gauge_sum / examples if self.task.curve else None

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights stand in for the trained ones meanwhile."""
        if self.average is None:
            yield
            return
        trained = _copy(self.module)
        self.module.load_state_dict(self.average)
        try:
            yield
        finally:
            self.module.load_state_dict(trained)

    def finish_epoch(self, valid_loss: float | None, gauge: float | None) -> None:
        """Note the epoch, keep its weights if they are the best, decide whether to stop."""
        self.epoch += 1
        lr = float(self.optimizer.param_groups[0]["lr"])
        loss, rate = self.total / self.examples, self.examples / max(self.spent, 1e-9)
        seen = Epoch(self.epoch, loss, valid_loss, gauge, lr, round(self.spent, 3), round(rate, 1))
        self.history.append(seen)
        self.within, self.total, self.examples, self.spent = 0, 0.0, 0, 0.0
        patience = self.settings.patience
        if patience is None:
            self.best = self.epoch
            return
        if valid_loss is None:
            raise InputError("train.patience needs validation windows, but the validation split has none")
        known = self.history[self.best - 1].valid_loss if self.best else None
        if known is None or valid_loss < known:
            self.best = self.epoch
            self.best_weights = _copy(self.module) if self.average is None else dict(_clone(self.average))
        self.stopped = self.epoch - self.best >= patience

    def kept(self) -> dict[str, torch.Tensor]:
        """The weights to keep."""
        return self.best_weights or self.average or self.module.state_dict()

    def state(self) -> dict[str, Any]:
        """All of it, in types that load without running code."""
        self.settle()
        return {
            "fingerprint": self.fingerprint,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rival": self.rival and self.rival.state(),
            "average": self.average,
            "best_weights": self.best_weights,
            "step": self.step,
            "epoch": self.epoch,
            "within": self.within,
            "total": self.total,
            "examples": self.examples,
            "spent": self.spent,
            "best": self.best,
            "stopped": self.stopped,
            "history": [attrs.asdict(epoch) for epoch in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        device = self.accelerator.device
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.rival is not None:
            self.rival.restore(state["rival"])
        for name in ("average", "best_weights"):
            weights = state[name]
            setattr(self, name, weights and {key: tensor.to(device) for key, tensor in weights.items()})
        for name in ("step", "epoch", "within", "total", "examples", "spent", "best", "stopped"):
            setattr(self, name, state[name])
        self.history = [Epoch(**epoch) for epoch in state["history"]]


def learning_rate(step: int, steps: int, settings: Train) -> float:
    """Linear warm-up over the first `warmup` share of all steps, then a cosine down to `min_lr` at the last step."""
    warm = round(settings.warmup * steps)
    if step < warm:
        return settings.lr * (step + 1) / warm
    along = (step - warm) / max(1, steps - 1 - warm)
    return settings.min_lr + (settings.lr - settings.min_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))


def parameter_groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of linear and convolution layers decay; norms, biases and embeddings do not.

    A parameter that bears an `lr_scale` (`nn.adapt.layer_rates`) is trained at that share of the learning rate.
    """
    from torch import nn

    layers = (nn.Linear, nn.Conv1d, nn.Conv2d)
    matrices = {id(m.weight) for m in module.modules() if isinstance(m, layers)}
    trained = [p for p in module.parameters() if p.requires_grad]
    scales = sorted({float(getattr(p, "lr_scale", 1.0)) for p in trained}, reverse=True)
    return [
        {
            "params": [p for p in trained if (id(p) in matrices) == decays and getattr(p, "lr_scale", 1.0) == scale],
            "weight_decay": weight_decay if decays else 0.0,
            "lr_scale": scale,
        }
        for scale in scales
        for decays in (True, False)
    ]


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _clone(weights: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, tensor.detach().clone()) for name, tensor in weights.items())


def _copy(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(_clone(module.state_dict()))


def _write_history(path: Path, history: list[Epoch]) -> None:
    write_text(path, "".join(json.dumps(attrs.asdict(epoch)) + "\n" for epoch in history))
