"""Fit: learn a pipeline's numbers, statistics, classical models and networks, from training examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.backend import load_backend
from myoflow.engine import Parameters, Segment
from myoflow.errors import InputError, MyoflowError, PlanError
from myoflow.pipeline import Plan, compile_steps
from myoflow.progress import Progress
from myoflow.stage import State
from myoflow.training.batch import explained, signal_changed

if TYPE_CHECKING:
    import torch

    from myoflow.prepared import Prepared
    from myoflow.recipe import Train
    from myoflow.task import Batch, Examples

Array = npt.NDArray[Any]

HOST_BATCH = 2048  # windows at a time through host stages: a few MB


@frozen(eq=False)
class Split:
    """Training and validation examples of one fold; validation may be empty."""

    train: Examples
    valid: Examples


def learned(plan: Plan, start: int) -> Segment | None:
    """The steps from `start` on that are trained as one network, or None.

    Raises:
        PlanError: learned stages with a host stage in between, or one that is fitted behind them.
    """
    steps = [step for step in plan.steps[start:] if not step.stage.on_host() or _between(plan, step.index)]
    if not steps:
        return None
    indices = [step.index for step in steps]
    if indices != list(range(indices[0], indices[-1] + 1)):
        gap = next(i for i in range(indices[0], indices[-1]) if i not in indices)
        name = plan.steps[gap].stage.name
        raise PlanError(f"{name} stands between learned stages, which are trained as one network; move it", gap)
    for step in plan.steps[indices[-1] + 1 :]:
        if step.stage.fits:
            raise PlanError(
                f"{step.stage.name} learns from data and must stand before the network, not behind it", step.index
            )
    return Segment(
        index=steps[0].index,
        stages=tuple(step.stage for step in steps),
        specs=tuple(step.before for step in steps),
        output=steps[-1].after,
        backend=steps[0].backend,
    )


def _between(plan: Plan, index: int) -> bool:
    """Whether a stage with both forms (a reshape) is part of the network: a torch-only stage follows at once."""
    step = plan.steps[index]
    if not step.stage.on_torch() or index + 1 >= len(plan.steps):
        return False
    following = plan.steps[index + 1].stage
    return not following.on_host() or _between(plan, index + 1)


def fit_signals(
    plan: Plan, stop: int, prepared: Callable[[int, Parameters], Sequence[Prepared]], training: Iterable[str]
) -> dict[int, State]:
    """States of the signal stages (before step `stop`) that learn from training recordings.

    `prepared(index, parameters)` gives all recordings as the input of step `index`; only those whose id is in
    `training` are looked at.
    """
    wanted = set(training)
    states: dict[int, State] = {}
    for step in plan.steps[:stop]:
        if step.stage.fits:
            signals = prepared(step.index, Parameters(states=states))
            batches = ((signal.values, None) for signal in signals if signal.id in wanted)
            states[step.index] = step.stage.fit(step.before, batches)
    return states


@frozen(eq=False)
class Fitted:
    """A model that can be asked: its plan, and what it has learned."""

    plan: Plan
    parameters: Parameters

    def outputs(self, examples: Any) -> npt.NDArray[np.float32]:
        """The pipeline's output for every example, compiled on its backends.

        Stages with memory, such as vote, start afresh in each recording. Of utterances, each of its own length, the
        frames of all one after another.
        """
        plan, start = self.plan, self.plan.cut + 1
        if None in plan.output.sizes[1:]:
            chain = compile_steps(plan, self.parameters, start)
            found = [chain.feed(examples.take(np.array([row]))["emg"])[0] for row in range(len(examples))]
            return np.concatenate(found)
        sizes = tuple(plan.output.size(dim) for dim in plan.output.dims[1:])
        out = np.empty((len(examples), *sizes), np.float32)
        remembers = any(step.stage.remembers for step in plan.steps[start:])
        every = np.arange(len(examples))
        recordings = np.unique(examples.recording) if remembers else ()
        chain = compile_steps(plan, self.parameters, start)
        for rows in [every[examples.recording == number] for number in recordings] if remembers else [every]:
            if remembers:
                chain = compile_steps(plan, self.parameters, start)
            for first in range(0, len(rows), HOST_BATCH):
                piece = rows[first : first + HOST_BATCH]
                out[piece] = chain.feed(examples.take(piece))
        return out

    @property
    def device(self) -> str:
        """What the backend of the network runs on; the CPU for a model without one."""
        segment = learned(self.plan, self.plan.cut + 1)
        return "cpu" if segment is None else load_backend(segment.backend).device

    def network(self) -> torch.nn.Module | None:
        """The trained network alone, in eval mode, as torch computes it; None for a model without one."""
        from myoflow.network import trained

        segment = learned(self.plan, self.plan.cut + 1)
        return None if segment is None else trained(segment, self.parameters.weights)

    def batches(self, examples: Any, size: int = HOST_BATCH) -> Iterator[Batch]:
        """Batches of examples as the network gets them, behind the host stages."""
        start = self.plan.cut + 1
        segment = learned(self.plan, start)
        stop = segment.index if segment is not None else len(self.plan.steps)
        transform = _Transform(self.plan, start, stop, self.parameters)
        return ((transform(x), y) for x, y in examples.batches(size))


def fit_model(
    plan: Plan,
    split: Split,
    settings: Train,
    *,
    seed: int,
    folder: Path,
    states: dict[int, State],
    progress: Progress,
) -> Parameters:
    """Everything behind the stage that cuts, in order: host stages, then the network.

    `states` are those of earlier stages. Training of a network keeps its checkpoints in `folder` and resumes there.
    """
    states, start = dict(states), plan.cut + 1
    network = learned(plan, start)
    end = network.index if network else len(plan.steps)
    for step in plan.steps[start:end]:
        if step.stage.fits:
            chain = _Transform(plan, start, step.index, Parameters(states=states))
            try:
                states[step.index] = step.stage.fit(step.before, chain.batches(split.train))
            except InputError as error:
                raise explained(error, split.train) from None
    if network is None:
        return Parameters(states=states)
    transform = _Transform(plan, start, network.index, Parameters(states=states))
    return Parameters(states=states, weights=_train(network, transform, split, settings, seed, folder, progress))


def refit(
    plan: Plan, split: Split, settings: Train, known: Parameters, *, seed: int, folder: Path, progress: Progress
) -> Parameters:
    """Train a finished model's network on, from the weights that it has; all else stays as it was learned.

    What `adapt: lora` learns is put into the matrices, so that the weights fit the plan without it, too. So is what the
    model had learned by it before; its own thin products stay, with nothing in them.

    Raises:
        InputError: the model has no network.
    """
    start = plan.cut + 1
    network = learned(plan, start)
    if network is None:
        raise InputError(f"{plan.steps[-1].stage.name} is fitted at once, without a network that could learn on")
    from myoflow.nn.adapt import merged_weights, still

    transform = _Transform(plan, start, network.index, known)
    begin = merged_weights(known.weights)
    weights = _train(network, transform, split, settings, seed, folder, progress, begin)
    return Parameters(known.states, {**weights, **still(known.weights)}, known.calibration)


class _Transform:
    """Host stages between the stage that cuts and the network, per batch; augments while training."""

    def __init__(self, plan: Plan, start: int, stop: int, parameters: Parameters) -> None:
        self._links: list[tuple[Any, bool]] = []
        for step in plan.steps[start:stop]:
            if step.stage.training_only:
                self._links.append((step.stage, True))
            else:
                kernel = step.stage.kernel(step.before, parameters.states.get(step.index))
                self._links.append((kernel, False))

    def __call__(self, x: Any, rng: np.random.Generator | None = None) -> Any:
        return signal_changed(x, lambda signal: self._signal(signal, rng)) if self._links else x

    def _signal(self, batch: Array, rng: np.random.Generator | None) -> Array:
        for link, augments in self._links:
            if not augments:
                batch = link.feed(batch)
            elif rng is not None:
                batch = link.apply(batch, rng)
        return batch

    def batches(self, examples: Examples) -> Iterator[tuple[Any, Any]]:
        for x, y in examples.batches(HOST_BATCH):
            yield self(x), y


def _untaught(network: Segment) -> Iterator[str]:
    """What to say of an encoder that stays as it was drawn: possible, but seldom meant."""
    for stage in network.stages:
        how = getattr(stage, "adapt", "full")
        if how != "full" and getattr(stage, "weights", None) is None:
            yield f"{stage.name} has adapt: {how} and no weights: what stays as it is was never trained"


def _train(
    network: Segment,
    transform: _Transform,
    split: Split,
    settings: Train,
    seed: int,
    folder: Path,
    progress: Progress,
    begin: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Weights of the trained network; `begin` are those of a finished training to go on from."""
    import torch

    from myoflow.network import continued, fresh, resumed
    from myoflow.training import train

    def batches(epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([seed, epoch])
        for x, y in split.train.shuffled(settings.batch, rng):
            yield transform(x, rng), y

    torch.manual_seed(seed)
    told: tuple[str, ...] = ()
    if begin is not None:
        module = resumed(network, begin)
    else:
        module, told = fresh(network)
        if settings.start is not None:
            continued(module, settings.start, network.stages)
            told = (*told, f"training goes on from {settings.start}")
        else:
            told = (*told, *_untaught(network))
        settings.task.begin(module, split.train)
    for text in told:
        progress.say(text)
    try:
        train.fit(
            module,
            batches,
            (lambda: transform.batches(split.valid)) if len(split.valid) else None,
            settings,
            seed=seed,
            steps_per_epoch=split.train.steps(settings.batch),
            folder=folder,
            progress=progress,
            device=load_backend(network.backend).device,
        )
    except InputError:
        raise
    except MyoflowError as error:
        raise explained(explained(error, split.train), split.valid) from None
    if begin is not None:
        from myoflow.nn.adapt import merge

        merge(module)
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
