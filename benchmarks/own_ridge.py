"""A regression run against a ridge regression of each person's own: what one linear map for all costs the baseline.

    python benchmarks/own_ridge.py RUN

RUN is a finished run of a recipe with `train.task: regress`, a baseline `ridge` and people who are both trained and
tested on (a split by repetition or session). Prints each metric of the network, of the run's one ridge and of the
ridges, each fitted on one person's training windows and asked about that person's test windows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from myoflow.answers import concat
from myoflow.experiment import Experiment
from myoflow.fit import Fitted, Split, fit_model
from myoflow.progress import Progress
from myoflow.run import load_run
from myoflow.scores import difference, score


def main(place: Path) -> None:
    """Print the table."""
    run = load_run(place)
    task, seed = run.recipe.train.task, run.recipe.train.seeds[0]
    experiment = Experiment(run.recipe, run.folder, Progress())
    experiment.open()
    plan = experiment.plans["ridge"]
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
        found.append(task.predict(Fitted(plan, learned), test))
    answers = {"ridge of one's own": concat(found)}
    for name in run.metrics["models"]:
        answers[name] = task.load(run.folder / "fold-1" / name / f"seed-{seed}" / "predictions.npz")
    main_ = run.metrics["main"]
    print(f"{'model':22}" + "".join(f"{metric:>30}" for metric in run.recipe.evaluate))
    for name, said in answers.items():
        scores = score(said, run.recipe.evaluate)
        print(f"{name:22}" + "".join(f"{f'{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]':>30}" for e in scores.values()))
    gaps = difference(answers[main_], answers["ridge of one's own"], run.recipe.evaluate)
    print(
        f"{f'{main_} - own':22}"
        + "".join(f"{f'{g.value:+.3f} [{g.low:+.3f}, {g.high:+.3f}]':>30}" for g in gaps.values())
    )
    own, net = answers["ridge of one's own"], answers[main_]
    better = [t for t in net.targets if score(net.only(t), ["r2"])["r2"].value > score(own.only(t), ["r2"])["r2"].value]
    print(f"{main_} has the higher R2 on {len(better)} of {len(net.targets)} targets")
    for person in np.unique(net.subject):
        each = [score(a.take(a.subject == person), ["r2"])["r2"].value for a in (net, own)]
        print(f"subject {person}: R2 {each[0]:.3f}, of its own ridge {each[1]:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
