"""A tiny simulated dataset and recipe, for tests of whole runs: a few seconds from nothing to a report."""

from contextlib import chdir
from pathlib import Path

from myoflow.recipe import load
from myoflow.run import run_recipe

CARD = """
name: tiny
title: A tiny simulation
reader: simulated
licence: Apache-2.0
subjects: 4
channels: [E1, E2, E3, E4, E5, E6, E7, E8]
rate: 200 Hz
labels: [rest, fist, flexion]
options:
  subjects: 4
  sessions: 1
  repetitions: 2
  gestures: [rest, fist, flexion]
  rate_hz: 200 Hz
  hold_s: 1 s
  rest_s: 300 ms
"""

RECIPE = """# A tiny run
data: {dataset: tiny, split: {by: subject, valid: [3], test: [4]}}
pipeline:
  - bandpass: {low: 20 Hz, high: 90 Hz}
  - zscore: {over: train}
  - window: {length: 200 ms, stride: 100 ms}
  - augment: {rotate: 1}
  - patch: {length: 20 samples}
  - tinymyo: {layers: 1, width: 16, heads: 1}
  - classify
  - vote: {span: 3}
baselines:
  lda: [features: {set: hudgins}, lda]
train: {epochs: 2, lr: 2e-3, batch: 16, seeds: [0, 1]}
"""
ONE_SEED = RECIPE.replace("seeds: [0, 1]", "seeds: [0]")


def write(folder: Path, recipe: str = RECIPE) -> Path:
    """The card where the library finds it, and the recipe; gives the recipe's path."""
    (folder / "datasets").mkdir(exist_ok=True)
    (folder / "datasets" / "tiny.yaml").write_text(CARD)
    path = folder / "tiny_run.yaml"
    path.write_text(recipe)
    return path


def run(folder: Path, name: str, recipe: str = ONE_SEED, backend: str | None = None) -> Path:
    """A finished run `name` in `folder`, where the recipe lies beside it, too; gives `folder`."""
    with chdir(folder):
        run_recipe(load(write(folder, recipe)), backend=backend, out=folder / name)
    return folder
