"""Audit: looks for ways in which the test data of a run could have been seen in training, and says what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, frozen

from myoflow.evaluation.beginnings import before
from myoflow.evaluation.prints import Known, Print, print_of, twins

if TYPE_CHECKING:
    from myoflow.pipeline import Plan
    from myoflow.recipe import Recipe
    from myoflow.store import Store


@frozen
class Finding:
    """One check: what was looked at (`about`), whether it leaks, and what was found, in a sentence."""

    about: str
    leak: bool
    text: str


class Audit:
    """Collects findings over the folds of a run. `plain()` gives them for metrics.json.

    `others` are further stores, whose recordings bear their store's name before their own.
    """

    def __init__(self, recipe: Recipe, plan: Plan, store: Store, others: Mapping[str, Store] | None = None) -> None:
        self.recipe, self.plan = recipe, plan
        self.stores = {"": store, **{f"{name}/": other for name, other in (others or {}).items()}}
        self.shared = 0
        self.tested = 0
        self.subjects: set[tuple[str, str]] = set()
        self.twins: set[tuple[str, str]] = set()
        self.left_out: dict[str, str] = {}
        self.sentences: tuple[int, int] | None = None  # test utterances whose sentence was learned, and all of them
        self.people: set[tuple[str, str]] = set()
        self.recordings: set[str] = set()
        self._prints: dict[str, Print] = {}

    def fold(self, examples: Sequence[Any]) -> None:
        """Look at the training, validation and test examples of one fold."""
        train, valid, test = examples
        self.tested += len(test)
        for part in examples:
            self.left_out |= dict(getattr(part, "left_out", ()))
        if not len(test):
            return
        length = self.plan.steps[self.plan.cut].after.window_s or 0.0
        learned = [part for part in (train, valid) if len(part)]
        if hasattr(test, "texts"):
            known_texts = {text for part in learned for text in part.texts}
            repeated, every = self.sentences or (0, 0)
            self.sentences = (repeated + sum(text in known_texts for text in test.texts), every + len(test))
        touched = np.zeros(len(test), bool)
        for part in learned:
            touched |= overlapping(test.places(), part.places(), length)
        self.shared += int(touched.sum())
        known = [self._people(part) for part in learned]
        people = self._people(test)
        self.subjects |= people & set().union(*known)
        ids = [{part.ids[i] for i in np.unique(part.recording)} for part in learned]
        tested = {test.ids[i] for i in np.unique(test.recording)}
        self._look_for_twins(tested, set().union(*ids))
        self.people |= people
        self.recordings |= tested

    def _people(self, examples: Any) -> set[tuple[str, str]]:
        """Subjects by dataset and name: a further store of the same dataset holds the same people."""
        found = set()
        for subject in set(examples.units("subject").tolist()):
            name, slash, own = subject.rpartition("/")
            found.add((self.stores[name + slash].dataset or name, own))
        return found

    def _look_for_twins(self, test: set[str], learned: set[str]) -> None:
        """Recordings that are the same under two names, one of them trained on."""
        for name in sorted({*test, *learned} - self._prints.keys()):
            prefix = next(prefix for prefix in sorted(self.stores, reverse=True) if name.startswith(prefix))
            self._prints[name] = print_of(self.stores[prefix].path / name.removeprefix(prefix))
        self.twins |= set(twins({i: self._prints[i] for i in test}, {i: self._prints[i] for i in learned}))

    def findings(self) -> tuple[Finding, ...]:
        """What was found, leaks or not."""
        return (*self._data(), *self._signal(), *self._beginnings())

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [asdict(finding) for finding in self.findings()]

    def _data(self) -> Iterable[Finding]:
        shared = f"{self.shared} of {self.tested} test windows share samples with training or validation windows."
        yield Finding("windows", self.shared > 0, shared)
        yield _of_twins(sorted(self.twins))
        by = self.recipe.data.split.by
        if self.sentences is not None:
            yield _of_sentences(*self.sentences, by)
        if self.left_out:
            yield Finding("left out", False, _of_left_out(self.left_out))
        if self.subjects:
            many = len(self.subjects)
            people = "One person is" if many == 1 else f"{many} people are"
            text = f"{people} both trained and tested on (split by {by}): the score says nothing about new people."
            yield Finding("people", by == "subject", text)  # held out, and learned from another store
        else:
            yield Finding("people", False, "No person is both trained and tested on.")

    def _signal(self) -> Iterable[Finding]:
        stages = [step.stage for step in self.plan.steps]
        whole = [stage.name for stage in stages if getattr(stage, "over", None) == "recording"]
        back = [stage.name for stage in stages if getattr(stage, "zero_phase", False)]
        text = "Normalisation uses statistics of whole test recordings, which a live decoder does not have."
        yield Finding(
            "statistics", bool(whole), text if whole else "What was fitted was fitted on training data alone."
        )
        windows = self.plan.steps[self.plan.cut].after.window_s is not None
        text = "Zero-phase filters look into the future of each window."
        if not windows:  # an utterance is decoded when it is over: its own future is fair
            text = "Zero-phase filters look into the future: this decoder waits for the end of each utterance."
        yield Finding("future", bool(back) and windows, text if back else "No filter looks ahead of a window's end.")
        if self.recipe.data.splice:
            yield Finding("labels", True, "Labels of the test recordings decided which samples were filtered together.")

    def _beginnings(self) -> Iterable[Finding]:
        """Of a training that began with other weights: whether these had seen what is tested on."""
        marks = {name: self._prints[name] for name in sorted(self.recordings)}
        known, strange = before(self.recipe)
        for seen in known:
            leak, text = seen.told(marks, self.people, self.recipe.data.split.by)
            yield Finding("beginning", leak, text)
        for weights in strange:
            yield Finding("beginning", False, f"What the weights {weights} had seen before is not known here.")


def _of_sentences(known: int, tested: int, by: str) -> Finding:
    """A split by lists of recordings is meant to hold sentences out; one by person or day need not."""
    if not known:
        return Finding("sentences", False, "No test sentence is one of training or validation.")
    text = f"The sentences of {known} of {tested} test utterances were also said in training or validation: "
    return Finding("sentences", by == "subset", text + "there the score says nothing about new sentences.")


def _of_left_out(found: Mapping[str, str], most: int = 5) -> str:
    many = "One recording is" if len(found) == 1 else f"{len(found)} recordings are"
    some = "; ".join(f"{name}: {why}" for name, why in list(found.items())[:most])
    return f"{many} left out of the examples: {some}{f'; and {len(found) - most} more' if len(found) > most else ''}."


def overlapping(test: Mapping[str, Any], learned: Mapping[str, Any], length_s: float) -> Any:
    """Which test examples `(example,)` share time with a learned one of the same recording, as `places()` tells."""
    found = np.zeros(len(test["start_s"]), bool)
    slack = 1e-6  # s: neighbours that only touch share nothing
    reach = max(length_s - slack, slack)
    for name in np.unique(test["recording"]):
        rows = np.flatnonzero(test["recording"] == name)
        other = np.sort(np.asarray(learned["start_s"])[np.asarray(learned["recording"]) == name])
        if not len(other):
            continue
        start = np.asarray(test["start_s"])[rows]
        after = np.searchsorted(other, start - reach, side="right")
        nearest = other[np.minimum(after, len(other) - 1)]
        found[rows] = (after < len(other)) & (nearest < start + reach)
    return found


def _of_twins(pairs: Sequence[tuple[str, str]]) -> Finding:
    if not pairs:
        return Finding("recordings", False, "No test recording is a trained one under another name.")
    one, other = pairs[0]
    more = ""
    if len(pairs) > 1:
        people = sorted({learned.split("/ses-")[0] for _, learned in pairs})
        more = f", and {len(pairs) - 1} more, of {', '.join(people[:5])}" + (", ..." if len(people) > 5 else "")
    return Finding("recordings", True, f"Test recording {one} is training recording {other} under another name{more}.")


def against(store: Store, began: Store | None, trained: Iterable[str]) -> list[Finding]:
    """For another store than the run's own: recordings of it that were trained on, by content."""
    if began is None:
        text = "The store that was trained on is gone: whether its recordings are among these was not looked at."
        return [Finding("recordings", False, text)]
    known = Known({name: print_of(began.path / name) for name in trained})
    same = [row.id for row in store.rows if known.names(print_of(store.path / row.id))]
    if same:
        few = ", ".join(same[:3]) + (", ..." if len(same) > 3 else "")
        return [Finding("recordings", True, f"{len(same)} of {len(store)} recordings were trained on: {few}.")]
    return [Finding("recordings", False, "None of these recordings was trained on.")]
