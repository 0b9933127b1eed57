"""Source: from a recipe's `data` section to a store, and to the Spec that its card promises."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from myoflow.errors import InputError, MyoflowError, did_you_mean
from myoflow.progress import Progress
from myoflow.spec import Spec, Target

if TYPE_CHECKING:
    from myoflow.data.conversion import Summary
    from myoflow.parallel import Workers
    from myoflow.recipe import Data
    from myoflow.store import Store


def store_path(dataset: str, given: str | Path | None = None) -> Path:
    """Where a dataset's store is: as given, or `$MYOFLOW_DATA/<dataset>.zarr` (default folder `data`)."""
    return Path(given) if given else Path(os.environ.get("MYOFLOW_DATA", "data")) / f"{Path(dataset).stem}.zarr"


def is_simulated(dataset: str) -> bool:
    """Whether a dataset is made here and needs no raw files."""
    from myoflow.card import load_card

    return load_card(dataset).simulated


def labels_of(data: Data) -> tuple[str, ...]:
    """Labels to decode, in order: the recipe's choice, or all of the card's but the unmarked one."""
    from myoflow.card import load_card

    card = load_card(data.dataset)
    return data.labels or card.classes


def card_spec(data: Data) -> Spec:
    """The Spec of a dataset's EMG as its card says it, without looking for the data."""
    from myoflow.card import load_card

    card = load_card(data.dataset)
    rate = data.regularise or card.rate / data.every
    target = None
    if data.target is not None:
        found = card.streams.get(data.target)
        if found is None:
            close = did_you_mean(data.target, card.streams) or "."
            known = ", ".join(card.streams) or "none"
            raise InputError(f"the card of {data.dataset} names no stream '{data.target}'{close} It names: {known}")
        target = chosen_target(data, Target(data.target, found.channels, found.rate, found.units))
    channels = data.channels or card.channels
    return Spec.signal(channels, rate, units=card.units, labels=labels_of(data), target=target)


def chosen_target(data: Data, whole: Target) -> Target:
    """What a recipe takes of a stream. Raises InputError: it has no such channel."""
    for name in data.target_channels or ():
        if name not in whole.channels:
            close = did_you_mean(name, whole.channels) or "."
            known = ", ".join(whole.channels)
            raise InputError(f"data.target_channels: {whole.stream} has no channel '{name}'{close} It has: {known}")
    return evolve(whole, channels=data.target_channels or whole.channels, rate_hz=data.target_rate or whole.rate_hz)


def convert_dataset(
    dataset: str,
    raw: Path | None = None,
    store: Path | None = None,
    *,
    subjects: str | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
    skip_bad: bool = False,
) -> Summary:
    """Convert a dataset by name; simulated ones need no `raw`."""
    from myoflow.card import load_card
    from myoflow.data.conversion import convert

    return convert(
        load_card(dataset),
        raw,
        store_path(dataset, store),
        subjects=subjects,
        progress=progress or Progress(),
        workers=workers,
        skip_bad=skip_bad,
    )


def convert_file(
    file: Path,
    store: Path | None = None,
    like: str = "auto",
    rate: str | None = None,
    units: str | None = None,
    channels: tuple[str, ...] = (),
    variable: str | None = None,
    hold: bool = False,
    *,
    progress: Progress | None = None,
) -> Summary:
    """Convert one file that no card describes; what it does not say itself has to be given.

    `like` is a format's name, or `auto`. Without `channels`, those that are called EMG, or all, are taken.
    `hold`: missing numbers repeat the last one, and the summary says how many did.

    Raises:
        InputError: no such file or format, or rate or channels that it does not say.
    """
    from myoflow.data.conversion import convert
    from myoflow.readers.single import card_of_file

    card = card_of_file(file, None if like == "auto" else like, rate, units, channels, variable, hold)
    told = progress or Progress()
    if units is None and card.units == "counts":
        told.say(
            f"{file}: its numbers are taken for counts of the digitiser; --units says otherwise, such as --units uV"
        )
    return convert(card, file, store_path(card.name, store), progress=told)


def locate_store(data: Data, progress: Progress, workers: Workers | None = None) -> Store:
    """The recordings of a recipe's dataset that `data.only` leaves.

    A simulated set is made (or completed) here, and so is one whose recipe says where its `raw` files are.

    Raises:
        InputError: a real dataset that has not been converted yet, with the command that does it; or `data.only` asks
            for what it has not.
    """
    from myoflow.card import load_card
    from myoflow.store import open_store

    card, path = load_card(data.dataset), store_path(data.dataset, data.store)
    if card.simulated:
        convert_dataset(data.dataset, None, path, progress=progress, workers=workers)
    elif data.raw is not None:
        convert_dataset(data.dataset, Path(data.raw), path, progress=progress, workers=workers)
    elif not path.exists():
        raise InputError(
            f"there is no store for {card.name} at {path}; make it with `myoflow convert {data.dataset} RAW {path}`, "
            f"where RAW is {card.files}; or say with data.raw=RAW where that is, with data.store=PATH where "
            "it is, or with $MYOFLOW_DATA in which folder"
        )
    store = open_store(path)
    if not store.rows:
        raise MyoflowError(f"{path} holds no recordings")
    return store.only(data.only)
