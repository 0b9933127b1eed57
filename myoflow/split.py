"""Split: which subjects, sessions or repetitions a recipe trains, validates and tests on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from myoflow.errors import InputError, did_you_mean
from myoflow.typed import Mismatch, frozen

Item = int | str
Fold = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@frozen
class Split:
    """What is held out, and how: fixed lists, or folds that let every unit be test once.

    `by` says what a unit is. `train`, `valid` and `test` list units: numbers, names, or ranges such as 25..30, ends
    included; "01" and 1 are the same unit. Without `train`, everything in neither `valid` nor `test` is trained
    on. With `folds`, the units are cut into that many neighbouring groups; fold k tests on group k and validates on
    the next one, or on nothing with `valid: none`. One fold per subject is leave-one-subject-out. `by: subset` takes
    the parts that a dataset's authors made themselves, by their names; what is in no list is left out.

    Raises:
        Mismatch: a unit stands in two lists (that would leak), or the fields do not fit together.
    """

    by: Literal["subject", "session", "repetition", "subset"] = "subject"
    train: tuple[Item, ...] | None = None
    valid: tuple[Item, ...] | Literal["none"] | None = None
    test: tuple[Item, ...] | None = None
    folds: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.by == "subset" and (self.folds is not None or not isinstance(self.train, tuple)):
            raise Mismatch("by subset needs 'train' and 'test': names of the dataset's own parts", ("by",))
        if self.folds is None:
            if not self.test:
                raise Mismatch("needs 'test' (a list of units to hold out) or 'folds' (a number)")
            self._check_lists()
            return
        for name, _ in self._lists():
            raise Mismatch(f"cannot stand beside folds, which choose the units{_hint(name)}", (name,))
        least = 2 if self.valid == "none" else 3
        if self.folds < least:
            with_ = "" if least == 2 else " (test, validation and training), or 2 with valid: none"
            raise Mismatch(f"must be at least {least}{with_}, got {self.folds}", ("folds",))

    def _lists(self) -> list[tuple[str, tuple[Item, ...]]]:
        lists = (("train", self.train), ("valid", self.valid), ("test", self.test))
        return [(name, items) for name, items in lists if isinstance(items, tuple)]

    def _check_lists(self) -> None:
        owner: dict[str, str] = {}
        for name, items in self._lists():
            if not items:
                raise Mismatch("is empty; name units, or leave it out", (name,))
            for i, item in enumerate(items):
                for unit in units_of(item, (name, i)):
                    if unit in owner:
                        both = f"twice in {name}" if owner[unit] == name else f"in both {owner[unit]} and {name}"
                        leak = "" if owner[unit] == name else ": its windows would leak"
                        raise Mismatch(f"{self.by} {unit} is {both}{leak}", (name, i))
                    owner[unit] = name

    @property
    def parts(self) -> int:
        """How many folds there are; a fixed split is one."""
        return self.folds or 1

    def assign(self, names: Sequence[str]) -> list[Fold]:
        """(train, valid, test) units of each fold, given the units that exist, in their order.

        Raises:
            InputError: a unit that is asked for does not exist, fewer units than folds, or nothing to train on.
        """
        if self.folds is not None:
            return self._folds(tuple(names))
        known = {unit_key(name): name for name in names}
        chosen = {name: self._existing(name, items, known) for name, items in self._lists()}
        valid, test = chosen.get("valid", ()), chosen["test"]
        train = chosen.get("train", tuple(n for n in names if n not in valid and n not in test))
        if not train:
            raise InputError(f"data.split holds out every {self.by}: nothing is left to train on")
        return [(train, valid, test)]

    def _existing(self, field: str, items: Sequence[Item], known: dict[str, str]) -> tuple[str, ...]:
        wanted = [unit for item in items for unit in units_of(item, (field,))]
        missing = [unit for unit in wanted if unit not in known]
        if missing:
            close = did_you_mean(missing[0], known.values()) if not missing[0].isdigit() else ""
            raise InputError(
                f"data.split.{field} asks for {self.by} {_brief(missing)}, which the store does not have{close or '.'} "
                f"It has: {_brief(list(known.values())) or 'none'}"
            )
        return tuple(known[unit] for unit in wanted)

    def _folds(self, names: tuple[str, ...]) -> list[Fold]:
        assert self.folds is not None, "only called for folds"
        if len(names) < self.folds:
            raise InputError(
                f"data.split asks for {self.folds} folds, but there are only {len(names)} {self.by}s: {_brief(names)}"
            )
        edges = [round(k * len(names) / self.folds) for k in range(self.folds + 1)]
        groups = [names[start:stop] for start, stop in pairwise(edges)]
        folds = []
        for k, test in enumerate(groups):
            valid = () if self.valid == "none" else groups[(k + 1) % self.folds]
            folds.append((tuple(n for n in names if n not in valid and n not in test), valid, test))
        return folds


def _hint(name: str) -> str:
    return "; write valid: none for no validation" if name == "valid" else ""


def unit_key(unit: Item) -> str:
    """One spelling per unit: "01", "1" and 1 are "1"."""
    text = str(unit)
    return str(int(text)) if re.fullmatch(r"[0-9]+", text) else text


def units_of(item: Item, path: tuple[str | int, ...] = ()) -> list[str]:
    """The units of one item. Raises Mismatch."""
    if isinstance(item, str) and ".." in item:
        found = _RANGE.fullmatch(item.replace(" ", ""))
        if not found:
            raise Mismatch(f"'{item}' is not a range; write whole numbers such as 25..30", path)
        first, last = int(found[1]), int(found[2])
        if first > last:
            raise Mismatch(f"the range {item} runs backwards; write {last}..{first}", path)
        if last - first >= 100_000:
            raise Mismatch(f"the range {item} holds {last - first + 1} units", path)
        return [str(n) for n in range(first, last + 1)]
    if isinstance(item, int) and item < 0:
        raise Mismatch(f"units are numbered from 0 up, got {item}", path)
    return [unit_key(item)]


def _brief(units: Sequence[str]) -> str:
    return ", ".join(units) if len(units) <= 12 else f"{', '.join(units[:8])}, ... {units[-1]} ({len(units)} in all)"
