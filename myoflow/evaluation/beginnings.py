"""Beginnings: what the weights that a training began with had seen before, and whether test data was among it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from myoflow.data.source import store_path
from myoflow.errors import InputError
from myoflow.evaluation.prints import Known, Print, print_of
from myoflow.files import read_json
from myoflow.mix import as_data
from myoflow.recipe import Data, Recipe, load
from myoflow.split import Fold
from myoflow.store import open_store
from myoflow.weights import begun, run_of

if TYPE_CHECKING:
    from myoflow.store import Row, Store

Person = tuple[str, str]  # dataset and subject


@frozen(eq=False)
class Seen:
    """What one training has learned from: prints of `recordings`, and `people`; `whole` where all of its data was
    there to look at, else people are those that its split names."""

    name: str
    labelled: bool
    recordings: Known
    people: frozenset[Person]
    whole: bool

    def told(self, test: Mapping[str, Print], people: Iterable[Person], by: str) -> tuple[bool, str]:
        """Whether test recordings (prints by name) or people were seen, and that in a sentence."""
        how = "with labels" if self.labelled else "without labels"
        again = [name for name, mark in test.items() if self.recordings.names(mark)]
        if again:
            first = f"{len(again)} of {len(test)} test recordings were seen, {how}, by"
            return True, f"{first} the weights that training began with ({self.name}): {_few(again)}."
        known = sorted({name for name in people if name in self.people})
        if known:
            first = f"{len(known)} of the people who test were seen, {how}, by"
            names = _few([subject for _, subject in known])
            return by == "subject", f"{first} the weights that training began with ({self.name}): {names}."
        gone = "" if self.whole else " Their data is gone: only names were compared."
        text = f"The weights that training began with ({self.name}) had seen none of the test recordings or people."
        return False, text + gone


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def before(recipe: Recipe) -> tuple[list[Seen], list[str]]:
    """What the weights had seen that a recipe's training begins with, and those of which that is not known."""
    found, strange = [], []
    every = (recipe.pipeline, *recipe.baselines.values())
    given = [getattr(stage, "weights", None) for stages in every for stage in stages]
    for weights in dict.fromkeys(begun(recipe, given)):
        run = run_of(weights)
        known = _trainings(run, _fold(weights)) if run is not None else None
        if known is None:
            strange.append(weights)
        else:
            found += known[0]
            strange += known[1]
    return found, list(dict.fromkeys(strange))


def seen_by(run: Path, fold: int = 1) -> list[Seen]:
    """What a run's own training has learned from, its further stores among it, and what its weights had seen before."""
    known = _trainings(run, fold)
    return [] if known is None else known[0]


def _trainings(run: Path, fold: int) -> tuple[list[Seen], list[str]] | None:
    """The run's training and those before it; None where the folder does not tell."""
    split = read_json(run / "metrics.json", {}).get("split")
    try:
        recipe = load(run / "recipe.yaml")
    except InputError:
        return None
    if not split or len(split) < fold:
        return None
    earlier, strange = before(recipe)
    own = _own(run, recipe, [*split[fold - 1]["train"], *split[fold - 1]["valid"]])
    return [own, *earlier], strange


def _own(run: Path, recipe: Recipe, units: list[str]) -> Seen:
    told = read_json(run / "data.json", {})
    data, whole = recipe.data, True
    people: set[Person] = set()
    marks: dict[str, Print] = {}
    places = {name: also.store for name, also in data.also.items()} | told.get("also", {})
    stores: list[tuple[Data, Path, list[str] | None]] = [(data, Path(told.get("store", "")), units)]
    for name, also in data.also.items():
        one = as_data(name, also)
        stores.append((one, store_path(one.dataset, places[name]), None))
    for one, path, known in stores:
        dataset = Path(one.dataset).stem
        if not (path / "index.json").is_file():
            whole = False
            people |= {(dataset, unit) for unit in known or () if one.split.by == "subject"}
            continue
        store = open_store(path).only(one.only)
        for row in _learned(store, one, known, data.also):
            people.add((store.dataset or dataset, row.subject))
            marks[f"{store.path}/{row.id}"] = print_of(store.path / row.id)
    labelled = recipe.train.task.name != "pretrain"
    return Seen(str(run), labelled, Known(marks), frozenset(people), whole)


def _learned(store: Store, data: Data, units: list[str] | None, also: Mapping[str, object]) -> list[Row]:
    """Recordings of a store that were trained or validated on; a split by repetition takes a part of each."""
    by = data.split.by
    if by == "repetition":
        return list(store.rows)
    if units is None:
        there = sorted({str(getattr(row, by)) for row in store.rows} - {""})
        fold: Fold = (tuple(there), (), ()) if data.split.test == ("none",) else data.split.assign(there)[0]
        units = [*fold[0], *fold[1]]
    return [row for row in store.rows if str(getattr(row, by)) in units]


def _fold(weights: str) -> int:
    """The fold that a file of weights is of."""
    found = re.search(r"fold-(\d+)", weights)
    return int(found[1]) if found else 1
