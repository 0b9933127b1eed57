"""Verify: a finished run's models on another backend, against torch in float32, on its held-out windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from myoflow.answers.base import Answers, concat
from myoflow.backend import load_backend
from myoflow.distance import Floats
from myoflow.errors import InputError
from myoflow.evaluation.parity import Parity, apart, compare, inexact, reference_plans, without_memory
from myoflow.experiment import Experiment
from myoflow.models import main_name, plan_recipe, require_backends
from myoflow.progress import Progress
from myoflow.training.fit import Fitted

if TYPE_CHECKING:
    from myoflow.run import Run


def verify(
    run: Run, backend: str, model: str | None = None, progress: Progress | None = None, seed: int | None = None
) -> Parity:
    """The test windows of every fold through a model on `backend` and on torch in float32; default the first seed's.

    Raises:
        InputError: no such backend, model or seed here, nothing that runs there, a task without a decoder (pretrain,
            vocoder), or the run's data is gone or has changed.
    """
    told = progress or Progress()
    name = model or main_name(run.recipe)
    if not run.recipe.train.task.compiles:
        raise InputError(
            f"{run.recipe.train.task.name} is answered by the network as it is trained, in torch's float32, and by no "
            "backend; verify a run that decodes"
        )
    run.load(name, seed=seed)  # says what is missing
    experiment = Experiment(run.recipe, run.folder, told)
    experiment.open()
    spec = experiment.plans[name].input
    plan = plan_recipe(run.recipe.with_backend(backend), spec=spec)[name]
    require_backends({name: plan})
    if not inexact(plan) and load_backend(backend).engine != "torch":
        kept = ", ".join(dict.fromkeys(step.backend for step in plan.steps if not step.stage.training_only))
        raise InputError(
            f"there is nothing to verify: no learned stage of {name} runs on {backend}, all stay on {kept}"
        )
    plain = reference_plans(run.recipe, plan)[name]
    answers: tuple[list[Answers], list[Answers]] = ([], [])
    outputs: tuple[list[Floats], list[Floats]] = ([], [])
    task = run.recipe.train.task
    with told.phase(f"Verifying {name} on {backend}", run.recipe.data.split.parts) as advance:
        for number in range(1, run.recipe.data.split.parts + 1):
            examples = experiment.held_out(name, number)
            parameters, _ = run.load(name, number, seed)
            for side, made in enumerate((plain, plan)):
                answers[side].append(task.predict(Fitted(made, parameters), examples))
                outputs[side].append(Fitted(without_memory(made), parameters).outputs(examples))
            advance(1)
    one, two = (concat(found) for found in answers)
    cut = without_memory(plan)
    numbers = (apart(cut, np.concatenate(outputs[0])), apart(cut, np.concatenate(outputs[1])))
    return compare(task, one, two, inexact(plan) or (backend,), run.recipe.evaluate, numbers)
