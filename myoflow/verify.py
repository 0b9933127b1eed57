"""Verify: a finished run's models on another backend, against torch in float32, on its held-out windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from myoflow.experiment import Experiment, predictions_of
from myoflow.fit import predict
from myoflow.models import main_name, plan_recipe, require_backends
from myoflow.parity import Floats, Parity, compare, inexact, reference_plans, without_memory
from myoflow.predictions import Predictions, concat
from myoflow.prepare import find_window
from myoflow.progress import Progress

if TYPE_CHECKING:
    from myoflow.run import Run


def verify(run: Run, backend: str, model: str | None = None, progress: Progress | None = None) -> Parity:
    """The test windows of every fold through the model of the first seed, on `backend` and on torch in float32.

    Raises:
        InputError: no such backend or model here, or the run's data is gone or has changed.
    """
    told = progress or Progress()
    name = model or main_name(run.recipe)
    run.load(name)  # says what is missing
    experiment = Experiment(run.recipe, run.folder, told)
    experiment.open()
    spec = experiment.plans[name].input
    plan = plan_recipe(run.recipe.with_backend(backend), spec=spec)[name]
    require_backends({name: plan})
    plain = reference_plans(run.recipe, plan)[name]
    answers: tuple[list[Predictions], list[Predictions]] = ([], [])
    outputs: tuple[list[Floats], list[Floats]] = ([], [])
    start = find_window(plan) + 1
    with told.phase(f"Verifying {name} on {backend}", run.recipe.data.split.parts) as advance:
        for number in range(1, run.recipe.data.split.parts + 1):
            windows = experiment.held_out(name, number)
            parameters, _ = run.load(name, number)
            for side, made in enumerate((plain, plan)):
                answers[side].append(predictions_of(predict(made, start, windows, parameters), windows, made))
                outputs[side].append(predict(without_memory(made), start, windows, parameters))
            advance(1)
    one, two = (concat(found) for found in answers)
    numbers = (np.concatenate(outputs[0]), np.concatenate(outputs[1]))
    return compare(one, two, inexact(plan) or (backend,), run.recipe.evaluate, numbers)
