"""Adapt: the last part of a model, moved towards one person as far as that helps on repetitions left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from myoflow.errors import InputError

if TYPE_CHECKING:
    import torch

    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters
    from myoflow.pipeline import Plan, Step

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the person's own LDA in the mixture
PULLS = (None, 1.0, 0.1, 0.01)  # towards the weights as trained; None: they stay
STEPS, RATE = 200, 0.02  # of the optimiser: enough for a linear layer to settle on a few hundred windows
LORA_PULLS = (None, 0.1, 0.01)
LORA_STEPS, LORA_RATE = 60, 0.004  # thin products in every block: each step costs a pass through the encoder
BATCH = 64  # windows of a step, and of a pass


@frozen(eq=False)
class Adapted:
    """What was learned, and how well it decides repetitions that it was not learned on, beside the run's own."""

    method: str
    before: float
    after: float
    states: dict[int, dict[str, Any]]
    weights: dict[str, Any]


def head_of(plan: Plan) -> int:
    """Index of the first stage that is adapted: the last that learns to give scores, or in front of it an encoder that
    was trained by thin products (`adapt: lora`), whose products and head are adapted together.

    Raises:
        InputError: the model has none that can be adapted.
    """
    head = _scoring(plan)
    if not plan.steps[head].stage.on_host():
        for step in reversed(plan.steps[:head]):
            if step.stage.on_host() and not step.stage.on_torch():
                break  # the network begins behind it
            if getattr(step.stage, "adapt", "full") == "lora":
                return step.index
    return head


def _scoring(plan: Plan) -> int:
    """Index of the last stage that learns to give scores. Raises InputError as `head_of`."""
    for step in reversed(plan.steps):
        if step.after.dims == ("window", "label") and (step.stage.fits or not step.stage.on_host()):
            if step.stage.name in ADAPTERS or not step.stage.on_host():
                return step.index
            raise InputError(
                f"{step.stage.name} cannot be calibrated; a network's head and lda can: choose with --model"
            )
    raise InputError("this model gives no scores of labels; there is nothing to calibrate")


def adapt(plan: Plan, index: int, parameters: Parameters, x: Array, y: Array, repetition: Array) -> Adapted:
    """Adapt what begins at step `index` to windows `x` as it takes them, with labels `y`, each of one `repetition`."""
    steps = plan.steps[index : _scoring(plan) + 1]
    make = ADAPTERS.get(steps[0].stage.name, _network)
    settings, learn, decide = make(steps, parameters, x, y)
    rows = np.arange(len(y))
    scores = []
    for setting in settings:
        right, sure = 0, 0.0
        for left_out in np.unique(repetition):
            test = rows[repetition == left_out]
            found = decide(learn(rows[repetition != left_out], setting), test)
            right += int((found.argmax(axis=1) == y[test]).sum())
            sure += float(_log_softmax(found)[np.arange(len(test)), y[test]].sum())
        scores.append((right / len(y), sure / len(y)))
    best = max(range(len(settings)), key=lambda i: scores[i])
    learned = learn(rows, settings[best])
    states, weights = {}, {}
    if steps[0].stage.fits:
        states = {index: learned}
    else:
        weights = learned
    moved = steps[-1].stage.name
    if len(steps) > 1:
        moved = f"{steps[0].stage.name}'s thin products and {moved}"
    told = "as trained" if best == 0 else f"{moved} moved ({settings[best]:g})"
    return Adapted(told, scores[0][0], scores[best][0], states, weights)


Learn = Callable[["Array", Any], dict[str, Any]]
Decide = Callable[[dict[str, Any], "Array"], "Array"]
Adapter = tuple[Sequence[Any], Learn, Decide]


def _lda(steps: Sequence[Step], parameters: Parameters, x: Array, y: Array) -> Adapter:
    """A mixture of the run's discriminant and the person's own, in the run's scale of features.

    Fitted with Ledoit-Wolf shrinkage: a few hundred windows of one person are few for a covariance.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    (step,) = steps
    state = parameters.states[step.index]
    z = (x.astype(np.float64) - state["mean"]) / state["scale"]
    labels = len(step.after.labels)

    def learn(rows: Array, share: float) -> dict[str, Any]:
        if share == 0:
            return dict(state)
        own = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(labels, 1 / labels))
        own.fit(z[rows], y[rows])
        weights, intercept = own.coef_, own.intercept_
        if labels == 2:  # scikit-learn keeps only the difference of the two
            weights, intercept = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
        mixed = (1 - share) * state["weights"] + share * weights
        return {**state, "weights": mixed, "intercept": (1 - share) * state["intercept"] + share * intercept}

    def decide(learned: dict[str, Any], rows: Array) -> Array:
        scores: Array = z[rows] @ learned["weights"].T + learned["intercept"]
        return scores

    return SHARES, learn, decide


def _network(steps: Sequence[Step], parameters: Parameters, x: Array, y: Array) -> Adapter:
    """The weights of a head, and of thin products before it, by cross-entropy with a pull towards those as trained."""
    import torch

    from myoflow.engine import Segment
    from myoflow.network import trained

    stages, specs = tuple(step.stage for step in steps), tuple(step.before for step in steps)
    segment = Segment(steps[0].index, stages, specs, steps[-1].after, steps[0].backend)
    thin = len(steps) > 1
    inputs, targets = torch.from_numpy(np.ascontiguousarray(x, np.float32)), torch.from_numpy(y.astype(np.int64))

    def learn(rows: Array, pull: float | None) -> dict[str, Any]:
        module = trained(segment, parameters.weights)
        if pull is not None:
            _descend(module, inputs[rows], targets[rows], pull, *((LORA_STEPS, LORA_RATE) if thin else (STEPS, RATE)))
        free = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items() if name in free}

    def decide(learned: dict[str, Any], rows: Array) -> Array:
        with torch.inference_mode():
            module = trained(segment, {**parameters.weights, **learned})
            parts = [module(inputs[rows[at : at + BATCH]]).float().numpy() for at in range(0, len(rows), BATCH)]
        scores: Array = np.concatenate(parts)
        return scores

    return LORA_PULLS if thin else PULLS, learn, decide


def _descend(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, pull: float, steps: int, rate: float) -> None:
    """Adam on what is free to learn; where an encoder learns along, on some windows a step, in a shuffled order."""
    import torch

    free = [parameter for parameter in module.parameters() if parameter.requires_grad]
    origin = [parameter.detach().clone() for parameter in free]
    optimiser = torch.optim.Adam(free, lr=rate)
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    some = len(x) if steps == STEPS else min(BATCH, len(x))
    for step in range(steps):
        rows = shuffled[torch.arange(step * some, (step + 1) * some) % len(x)]
        optimiser.zero_grad()
        away = sum(((now - then) ** 2).sum() for now, then in zip(free, origin, strict=True))
        loss = torch.nn.functional.cross_entropy(module(x[rows]), y[rows]) + pull * away
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=1, keepdims=True)
    out: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return out


ADAPTERS: dict[str, Callable[[Sequence[Step], Parameters, Array, Array], Adapter]] = {"lda": _lda}


def balanced(y: Iterable[int], labels: Sequence[str]) -> None:
    """Raise InputError when a label has no window."""
    there = set(y)
    missing = [name for number, name in enumerate(labels) if number not in there]
    if missing:
        raise InputError(
            f"no whole window of {', '.join(missing)} was recorded; hold longer than the window and half a second"
        )
