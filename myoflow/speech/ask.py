"""Ask: a fitted model's frames for whole utterances, by head, one utterance at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.errors import PlanError
from myoflow.heads import Heads
from myoflow.pipeline import Plan, compile_flow, compile_steps, flows
from myoflow.spec import FRAMES, Spec

if TYPE_CHECKING:
    from myoflow.speech.utterances import Utterances
    from myoflow.task import Model

Array = npt.NDArray[Any]

ALONE = {"ctc": "text", "mel": "audio", "phonemes": "phonemes"}  # what a pipeline gives whose last stage is a head


def heads_of(plan: Plan) -> dict[str, Spec]:
    """What a pipeline gives, by head: those of its `heads`, or its last stage's own. Raises PlanError: it has none."""
    last = plan.steps[-1]
    if isinstance(last.stage, Heads):
        return last.stage.outputs(last.before)
    name = ALONE.get(last.stage.name)
    if name is None or last.after.dims != FRAMES:
        raise PlanError(
            "does not end in frames of an utterance; put heads behind it, such as `heads: {text: [ctc]}`", last.index
        )
    return {name: last.after}


def stage_of(plan: Plan, head: str) -> Any:
    """The last stage of a head."""
    last = plan.steps[-1].stage
    return last.branches[head][-1] if isinstance(last, Heads) else last


def answered(model: Model, examples: Utterances) -> Iterator[dict[str, Array]]:
    """Each utterance's frames by head, `(frame, feature)`, computed alone and on the plan's backends.

    Where a live stream can run through the network they are computed as in one, to the last bit.
    Heads that give several frames of the voice at once give them one after the other here.
    """
    plan = model.plan
    several = {name: getattr(stage_of(plan, name), "per_frame", 1) for name in heads_of(plan)}
    last = plan.steps[-1]
    start, live = plan.cut + 1, flows(plan)
    chain = None if live else compile_steps(plan, model.parameters, start)
    for row in range(len(examples)):
        emg = examples.take(np.array([row]))["emg"]
        if chain is None:  # a flow remembers: a new one for each
            frames = compile_flow(plan, model.parameters, start - 1).whole(emg[0])[0]
        else:
            frames = chain.feed(emg)[0]
        if isinstance(last.stage, Heads):
            found = last.stage.split(last.before, frames)
        else:
            found = {ALONE[last.stage.name]: frames}
        yield {name: part.reshape(len(part) * several[name], -1) for name, part in found.items()}
