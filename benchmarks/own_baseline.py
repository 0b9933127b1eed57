"""A run against a classical baseline of each person's own: what one linear map for all people costs the baseline.

    python benchmarks/own_baseline.py RUN [BASELINE]

RUN is a finished run of a recipe with people who are both trained and tested on (a split by repetition or session) and
a baseline without a network, such as `ridge` or `lda`; the first one unless it is named. Prints each metric of every
model of the run, and of the baselines that were each fitted on one person's training windows and asked about that
person's test windows. Every seed of the network stands
against the own baseline.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from myoflow.answers.base import concat
from myoflow.answers.scores import difference, score
from myoflow.errors import MyoflowError
from myoflow.experiment import Experiment
from myoflow.progress import Progress
from myoflow.run import Run, load_run
from myoflow.training.fit import Fitted, Split, fit_model


def main(place: Path, name: str | None) -> None:
    """Print the table."""
    run = load_run(place)
    name = name or next(iter(run.recipe.baselines))
    main_, metrics = run.metrics["main"], run.recipe.evaluate
    own = own_models(run, name)
    answers = {f"{name} of one's own": own}
    for model in run.metrics["models"]:
        for seed in run.recipe.train.seeds if model == main_ else run.recipe.train.seeds[:1]:
            answers[f"{model}, seed {seed}"] = said(run, model, seed)
    print(f"{'model':28}" + "".join(f"{metric:>30}" for metric in metrics))
    for title, found in answers.items():
        print(row(title, score(found, metrics)))
    for seed in run.recipe.train.seeds:
        print(row(f"{main_} {seed} - own", difference(said(run, main_, seed), own, metrics), "+"))
    first, network = metrics[0], said(run, main_, run.recipe.train.seeds[0])
    for person in np.unique(network.subject):
        each = [score(a.take(a.subject == person), [first])[first].value for a in (network, own)]
        print(f"subject {person}: {first} {each[0]:.3f}, of its own {name} {each[1]:.3f}")
    if hasattr(network, "targets"):
        better = [
            t
            for t in network.targets
            if score(network.only(t), [first])[first].value > score(own.only(t), [first])[first].value
        ]
        print(f"{main_} has the higher {first} on {len(better)} of {len(network.targets)} targets")


def own_models(run: Run, name: str) -> Any:
    """Answers of the named baseline, fitted for each person alone."""
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    plan = experiment.plans[name]
    fold = run.recipe.data.split.assign(experiment._units())[0]
    examples = experiment._examples(plan, experiment._signal_states(plan, fold[0]), fold, 1)
    found = []
    for person in np.unique(examples[2].units("subject")):
        train, valid, test = (part.select(part.units("subject") == person) for part in examples)
        with tempfile.TemporaryDirectory() as folder:
            split = Split(train, valid)
            learned = fit_model(
                plan, split, run.recipe.train, seed=0, folder=Path(folder), states={}, progress=Progress()
            )
        found.append(run.recipe.train.task.predict(Fitted(plan, learned), test))
    return concat(found)


def said(run: Run, model: str, seed: int) -> Any:
    """What a model of the run answered."""
    return run.recipe.train.task.load(run.folder / "fold-1" / model / f"seed-{seed}" / "predictions.npz")


def row(title: str, scores: Mapping[str, Any], sign: str = "") -> str:
    """One line of the table: values with their intervals."""
    cells = (f"{e.value:{sign}.3f} [{e.low:{sign}.3f}, {e.high:{sign}.3f}]" for e in scores.values())
    return f"{title:28}" + "".join(f"{cell:>30}" for cell in cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("baseline", nargs="?")
    asked = parser.parse_args()
    try:
        main(asked.run, asked.baseline)
    except MyoflowError as error:
        sys.exit(str(error))
