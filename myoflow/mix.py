"""Mix: further stores that go through a recipe's pipeline, from any rate, layout and units to one kind of signal.

Every store has its own plan of the signal stages and its own statistics, so that volts and counts come to one scale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from myoflow.data.prepare import input_spec, signals
from myoflow.data.source import card_spec, locate_store
from myoflow.engine import Parameters
from myoflow.errors import InputError, PlanError
from myoflow.files import cache_folder
from myoflow.pipeline import Pipeline, Plan
from myoflow.prepared import Prepared
from myoflow.progress import Progress
from myoflow.recipe import Also, Data
from myoflow.spec import Spec
from myoflow.split import Fold, Split
from myoflow.task import PARTS
from myoflow.training.fit import fit_signals

if TYPE_CHECKING:
    from myoflow.parallel import Workers
    from myoflow.store import Store


def as_data(name: str, also: Also) -> Data:
    """A further store as a recipe's own data would be described; a split of nothing stands for none."""
    return Data(
        dataset=also.dataset or name,
        split=also.split or Split(test=("none",)),
        store=also.store,
        channels=also.channels,
        regularise=also.regularise,
        every=also.every,
    )


def plans(data: Data, plan: Plan) -> dict[str, Plan]:
    """The signal stages planned for each further store, from its card.

    Raises:
        PlanError: a stage does not fit it, or what comes out differs from what the recipe's own data gives.
    """
    found = {}
    for name, also in data.also.items():
        if also.split is not None and also.split.by != data.split.by:
            raise PlanError(f"data.also.{name} is split by {also.split.by}, the first data by {data.split.by}")
        found[name] = _planned(name, plan, card_spec(as_data(name, also)))
    return found


def _planned(name: str, plan: Plan, spec: Spec) -> Plan:
    stop = plan.cut
    stages = [step.stage for step in plan.steps[: stop + 1]]
    try:
        made = Pipeline(stages, backends=[step.backend for step in plan.steps[: stop + 1]]).plan(spec)
    except PlanError as error:
        raise PlanError(f"of data.also.{name}: {error}", error.stage, error.field) from None
    ours, theirs = plan.steps[stop], made.steps[stop]
    if (ours.before.rate_hz, ours.after.sizes) != (theirs.before.rate_hz, theirs.after.sizes):
        raise PlanError(
            f"gets {theirs.after.describe()} at {theirs.before.rate_hz:g} Hz from data.also.{name}, and "
            f"{ours.after.describe()} at {ours.before.rate_hz:g} Hz from the first data; bring all to one rate with "
            "`resample`, to one number of channels with `pad`, or choose some with `channels`",
            stop,
        )
    _check_units(name, plan, spec)
    return made


def _check_units(name: str, plan: Plan, spec: Spec) -> None:
    """Raise PlanError when what the network is to learn comes in other units from a further store."""
    last = next((step.index for step in plan.steps if not step.stage.on_host()), len(plan.steps))
    theirs = Pipeline([step.stage for step in plan.steps[:last]]).plan(spec).output.units
    ours = plan.steps[last - 1].after.units
    if ours != theirs:
        raise PlanError(
            f"gets a signal in {theirs} from data.also.{name}, and in {ours} from the first data; bring all to one "
            "scale with zscore, robust or minmax",
            last if last < len(plan.steps) else None,
        )


class Others:
    """The further stores of a recipe, opened; `join` gives their signals and what of them belongs to which part."""

    def __init__(self, data: Data, progress: Progress, workers: Workers | None = None) -> None:
        self.progress, self.workers = progress, workers
        self.data = {name: as_data(name, also) for name, also in data.also.items()}
        self.whole = {name for name, also in data.also.items() if also.split is None}
        self.stores: dict[str, Store] = {
            name: locate_store(each, progress, workers) for name, each in self.data.items()
        }
        self._joined: dict[tuple[int, Fold], tuple[list[Prepared], Fold]] = {}

    def digest(self, first: str) -> str:
        """A digest of all stores; that of the first alone when there are no others."""
        if not self.stores:
            return first
        texts = [first, *(f"{name} {store.digest}" for name, store in sorted(self.stores.items()))]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def join(self, plan: Plan, fold: Fold) -> tuple[list[Prepared], Fold]:
        """Signals of all further stores as the stage that cuts takes them, and a fold that names their units, too.

        Subjects and recordings bear the store's name, a slash, and their own.

        Raises:
            InputError, PlanError: a store that does not fit the pipeline, or a unit that it does not have.
        """
        key = (id(plan), fold)
        if key not in self._joined:
            found: list[Prepared] = []
            joined = [list(names) for names in fold]
            for name in self.stores:
                mine, units = self._one(name, plan)
                found += mine
                for part, names in zip(joined, units, strict=True):
                    part += names
            train, valid, test = (tuple(names) for names in joined)
            self._joined[key] = found, (train, valid, test)
        return self._joined[key]

    def _one(self, name: str, plan: Plan) -> tuple[list[Prepared], list[list[str]]]:
        data, store = self.data[name], self.stores[name]
        own = _planned(name, plan, input_spec(store, data, ()))
        stop, by = own.cut, data.split.by
        units = sorted({str(getattr(row, by)) for row in store.rows} - {""})
        parts: Sequence[Sequence[str]] = (units, (), ()) if name in self.whole else self._parts(name, units)
        training = {row.id for row in store.rows if str(getattr(row, by)) in parts[0]}

        def prepared(index: int, known: Parameters) -> list[Prepared]:
            return signals(
                store, data, own, index, known, cache=cache_folder(), progress=self.progress, workers=self.workers
            )

        states = fit_signals(own, stop, prepared, training)
        wanted = {unit for part in parts for unit in part}
        found = [signal for signal in prepared(stop, Parameters(states=states)) if getattr(signal, by) in wanted]
        return [_under(name, signal) for signal in found], [[f"{name}/{unit}" for unit in part] for part in parts]

    def _parts(self, name: str, units: list[str]) -> Fold:
        folds = self.data[name].split.assign(units)
        if len(folds) > 1:
            raise InputError(f"data.also.{name} is split into folds; name its {' and '.join(PARTS)} units instead")
        return folds[0]


def _under(name: str, signal: Prepared) -> Prepared:
    """A signal whose names say which store it is from."""
    return attrs.evolve(
        signal,
        id=f"{name}/{signal.id}",
        subject=f"{name}/{signal.subject}",
        session=f"{name}/{signal.session}",
        subset=f"{name}/{signal.subset}",
    )
