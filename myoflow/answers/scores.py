"""Scores: what a model's answers are worth, with intervals that respect how the windows hang together.

Every metric is a function of a tally (`Answers.tally`), such as how often each label was decided rightly, was true,
was decided. Tallies add up, so a bootstrap needs one tally per resampled unit, and drawing units again is one matrix
product. Windows of one subject resemble each other, therefore the unit is the subject wherever there are enough of
them (cluster bootstrap: Davison & Hinkley 1997, section 3.8; Cameron, Gelbach & Miller 2008). Intervals are percentile
intervals. Where models of several draws of the training data stand on one side, draws are resampled as well, each
beside the units of the test (the two ways crossed: Owen 2007, arXiv 0711.1007). That makes an interval rather too wide
where units are many; with few, all percentile intervals are too narrow, and these are, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from myoflow.answers.base import Answers, Floats, Ints, aligned
from myoflow.errors import InputError, did_you_mean

LEVEL = 0.95
RESAMPLES = 2000
FEW = 3  # fewer units than this are not resampled: the next finer unit is
THIN = 10  # percentile intervals from fewer units than this are known to be too narrow
EXACT = 12  # up to this many units all 2**n sign flips are enumerated


def _metrics(answers: Answers, names: Sequence[str] | None) -> dict[str, Callable[[Any], Floats]]:
    known = answers.functions
    for name in () if names is None else names:
        if name not in known:
            hint = did_you_mean(name, known) or "."
            raise InputError(f"there is no metric '{name}'{hint} Metrics: {', '.join(known)}")
    return {name: known[name] for name in (known if names is None else names)}


@frozen
class Basis:
    """What was resampled for an interval: the unit, how many there were, and what that cannot tell (`note`)."""

    unit: str
    units: int
    resamples: int
    note: str | None = None


@frozen
class Estimate:
    """A metric with its interval. `value` is the mean over seeds, `std` the deviation over seeds (None for one)."""

    value: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    std: float | None
    basis: Basis


@frozen
class Difference:
    """Metric of one model minus that of another on the same windows, and the two-sided `p` of no difference."""

    value: float
    low: float
    high: float
    p: float
    exact: bool
    basis: Basis


def _codes(*columns: npt.NDArray[Any]) -> Ints:
    """One integer per distinct row of the columns, in sorted order."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    return code.astype(np.int64)


UNITS: dict[str, Callable[[Answers], Ints]] = {
    "subject": lambda p: _codes(p.subject),
    "recording": lambda p: _codes(p.subject, p.session, p.recording),
    # One execution of one label: its windows overlap and share posture, so they are drawn together.
    "repetition": lambda p: _codes(p.subject, p.session, p.recording, *(getattr(p, n) for n in p.apart), p.repetition),
    "window": lambda p: np.arange(len(p), dtype=np.int64),
}


def _basis(p: Answers, coarsest_first: Sequence[str], resamples: int) -> tuple[Basis, Ints]:
    """The coarsest unit of which there are enough, and each window's unit. Raises InputError without windows."""
    if not len(p):
        raise InputError("there are no windows to score: the test split is empty")
    for unit in coarsest_first:
        codes = UNITS[unit](p)
        units = int(codes.max()) + 1
        if units >= FEW or unit == "window":
            break
    notes = []
    if unit != "subject":
        subjects = len(np.unique(p.subject))
        of = f"{unit}s of {subjects} {'subject' if subjects == 1 else 'subjects'} were resampled"
        notes.append(f"{of}: the interval says nothing about other subjects")
    if units < THIN:
        notes.append(f"only {units} {unit}s: an interval from so few is rather too narrow")
    note = "; ".join(notes) or None
    return Basis(unit, units, resamples, note), codes


def _noted(basis: Basis, draws: Sequence[int] | None) -> Basis:
    """The basis with a word on draws that were resampled, too."""
    if draws is None:
        return basis
    note = f"{len(set(draws))} draws of the training data resampled, too"
    return evolve(basis, note=f"{note}; {basis.note}" if basis.note else note)


ALL_UNITS = ("subject", "recording", "repetition", "window")
WITHIN_SUBJECT = ("repetition", "window")


def _draws(rows: Ints, basis: Basis, seed: int) -> Iterator[Floats]:
    """Sums of `basis.units` rows drawn with replacement, in blocks of `(resample, cells)`.

    Equal rows are pooled: drawing from counted kinds is the same and much cheaper for small units.
    """
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    step = max(1, 4_000_000 // max(kinds.shape))
    kinds = kinds.astype(np.float64)
    for first in range(0, basis.resamples, step):
        size = min(step, basis.resamples - first)
        yield rng.multinomial(int(counts.sum()), counts / counts.sum(), size=size).astype(np.float64) @ kinds


def _even(draws: Sequence[int] | None, count: int) -> Floats:
    """The weight of each of `count` models in a mean in which every draw weighs the same."""
    if draws is None:
        return np.full(count, 1 / count)
    if len(draws) != count:
        raise InputError(f"{len(draws)} draws are named for {count} predictions")
    _, of, size = np.unique(draws, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(size) * size[of]))


def _weights(draws: Sequence[int] | None, count: int, resamples: int, seed: int) -> Floats:
    """What each model weighs in each resample, `(resample or 1, model)`: drawn anew where there are draws."""
    even = _even(draws, count)[None]
    if draws is None:
        return even
    _, of = np.unique(draws, return_inverse=True)
    drawn = np.random.default_rng(seed + 2).multinomial(
        of.max() + 1, np.full(of.max() + 1, 1 / (of.max() + 1)), resamples
    )
    return np.asarray(even * drawn[:, of])


def _mean(values: Floats, weights: Floats) -> Floats:
    """Weighted means along the last axis; what weighs nothing may be no number."""
    return np.asarray(np.where(weights > 0, values * weights, 0.0).sum(-1))


def _interval(samples: Floats) -> tuple[float, float]:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def score(
    predictions: Answers | Sequence[Answers],
    metrics: Sequence[str] | None = None,
    *,
    units: Sequence[str] = ALL_UNITS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    draws: Sequence[int] | None = None,
) -> dict[str, Estimate]:
    """Metrics with 95 % bootstrap intervals.

    Several predictions are several seeds on the same windows: `value` is the mean of the metric over seeds, and each
    resample takes the same units for all seeds and averages their metrics. For accuracy that is the bootstrap of
    each window's correctness averaged over seeds. Seeds are not resampled, the interval is about other subjects, unless
    `draws` gives for each prediction the draw of training data behind it: then it is about other draws, too.
    `units` lists what may be resampled, coarsest first; the first with at least 3 members is.

    Raises:
        InputError: an unknown metric, no windows, or seeds whose windows differ.
    """
    seeds = aligned([predictions] if isinstance(predictions, Answers) else predictions)
    functions = _metrics(seeds[0], metrics)
    basis, unit = _basis(seeds[0], units, resamples)
    rows = np.stack([p.tally(unit) for p in seeds], axis=1)
    shape = (-1, *rows.shape[1:])
    samples: dict[str, list[Floats]] = {name: [] for name in functions}
    for block in _draws(_flat(rows), basis, seed):
        for name, function in functions.items():
            samples[name].append(function(block.reshape(shape)))
    even, weights = _even(draws, len(seeds)), _weights(draws, len(seeds), resamples, seed)
    basis = _noted(basis, draws)
    result = {}
    for name, function in functions.items():
        each = function(rows.sum(axis=0))
        low, high = _interval(_mean(np.concatenate(samples[name]), weights))
        std = float(each.std(ddof=1)) if len(seeds) > 1 else None
        result[name] = Estimate(float(_mean(each, even)), low, high, tuple(map(float, each)), std, basis)
    return result


def difference(
    one: Answers | Sequence[Answers],
    other: Answers | Sequence[Answers],
    metrics: Sequence[str] | None = None,
    *,
    units: Sequence[str] = ALL_UNITS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    draws: Sequence[int] | None = None,
) -> dict[str, Difference]:
    """`one` minus `other` on the same windows, with a paired bootstrap interval and a sign-flip p value.

    The test swaps the two models' decisions on whole units at random (for accuracy: flips the sign of each unit's
    difference) and asks how often the difference is at least as far from 0. All `2**n` swaps are taken up to 12
    units; beyond that, `resamples` of them, counted with the observed one (Phipson & Smyth 2010).
    Seeds are paired in order; of unequal numbers each repeats until both end together. With `draws`, as in `score`,
    both sides have as many models; the test swaps those of all draws together.

    Raises:
        InputError: an unknown metric, no windows, or windows that differ.
    """
    ones = [one] if isinstance(one, Answers) else list(one)
    others = [other] if isinstance(other, Answers) else list(other)
    if not ones or not others:
        raise InputError("there are no predictions to compare")
    parts = aligned([*ones, *others])
    functions = _metrics(parts[0], metrics)
    basis, unit = _basis(parts[0], units, resamples)
    if draws is not None and len(ones) != len(others):
        raise InputError(f"{len(ones)} models of several draws cannot be paired with {len(others)}")
    seeds = math.lcm(len(ones), len(others))
    sides = [[parts[i % len(ones)] for i in range(seeds)], [parts[len(ones) + i % len(others)] for i in range(seeds)]]
    cached = {id(p): p.tally(unit) for p in parts}
    rows = np.stack([np.stack([cached[id(p)] for p in side], axis=1) for side in sides], axis=1)
    shape = (-1, *rows.shape[1:])

    even, weights = _even(draws, seeds), _weights(draws, seeds, resamples, seed)

    def gaps(function: Callable[[Any], Floats], cells: Any) -> Floats:
        each = function(cells.reshape(shape))
        return np.asarray(each[:, 0] - each[:, 1])

    blocks = [{name: gaps(f, block) for name, f in functions.items()} for block in _draws(_flat(rows), basis, seed)]
    flips = [
        {name: _mean(gaps(f, block), even) for name, f in functions.items()} for block in _swaps(rows, basis, seed)
    ]
    exact, basis = basis.units <= EXACT, _noted(basis, draws)
    result = {}
    for name, function in functions.items():
        value = float(_mean(gaps(function, rows.sum(axis=0)), even)[0])
        low, high = _interval(_mean(np.concatenate([block[name] for block in blocks]), weights))
        as_far = np.abs(np.concatenate([block[name] for block in flips])) >= abs(value) - 1e-12
        p = float(as_far.mean()) if exact else float((1 + as_far.sum()) / (1 + len(as_far)))
        result[name] = Difference(value, low, high, p, exact, basis)
    return result


def _flat(rows: Ints) -> Ints:
    return rows.reshape(len(rows), -1)


def _swaps(rows: Ints, basis: Basis, seed: int) -> Iterator[Floats]:
    """Summed tallies after swapping the two models (axis 1 of `rows`) on some units, in blocks `(swap, cells)`."""
    straight, crossed = _flat(rows).astype(np.float64), _flat(rows[:, ::-1]).astype(np.float64)
    if basis.units <= EXACT:
        keep = (np.arange(2**basis.units)[:, None] >> np.arange(basis.units)) & 1
        yield keep @ straight + (1 - keep) @ crossed
        return
    rng = np.random.default_rng(seed + 1)
    kinds, counts = np.unique(_flat(rows), axis=0, return_counts=True)
    turned = kinds.reshape(-1, *rows.shape[1:])[:, ::-1].reshape(kinds.shape)
    step = max(1, 4_000_000 // max(kinds.shape))
    for first in range(0, basis.resamples, step):
        size = min(step, basis.resamples - first)
        kept = rng.binomial(counts, 0.5, size=(size, len(counts)))
        yield kept.astype(np.float64) @ kinds + (counts - kept).astype(np.float64) @ turned


def summarise(
    models: Mapping[str, Sequence[Answers]],
    metrics: Sequence[str] | None = None,
    main: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    draws: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The content of metrics.json: plain values, rounded to 6 digits, the same for the same predictions in any order.

    `models` gives one Answers per seed (folds already put together); `main` is the model that the others are
    subtracted from, the first one unless named; `draws` is as in `score`. What else the kind of answers tells stands
    beside (`Answers.told`, `Answers.detail`).

    Raises:
        InputError: no models, an unknown `main` or metric, or models that saw different windows.
    """
    if not models or not all(models.values()):
        raise InputError("there are no predictions to score")
    main = next(iter(models)) if main is None else main
    if main not in models:
        hint = did_you_mean(main, models) or "."
        raise InputError(f"there is no model '{main}'{hint} Models: {', '.join(models)}")
    names = [name for name, seeds in models.items() for _ in seeds]
    parts = iter(aligned([p for seeds in models.values() for p in seeds], names))
    ordered = {name: [next(parts) for _ in seeds] for name, seeds in models.items()}
    first = ordered[main][0]
    metrics = list(_metrics(first, metrics))
    basis = _noted(_basis(first, ALL_UNITS, resamples)[0], draws)
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "draws": draws}
    result = {
        "main": main,
        "metrics": list(metrics),
        **first.told(),
        "rows": type(first).rows,
        "subjects": np.unique(first.subject).tolist(),
        "interval": {"level": LEVEL, **_plain_basis(basis)},
        "models": {name: _model(seeds, metrics, options) for name, seeds in ordered.items()},
        "differences": {
            name: {
                metric: {"value": d.value, "low": d.low, "high": d.high, "p": d.p, "exact": d.exact}
                for metric, d in difference(ordered[main], seeds, metrics, **options).items()
            }
            for name, seeds in ordered.items()
            if name != main
        },
    }
    rounded: dict[str, Any] = _rounded(result)
    return rounded


def _plain_basis(basis: Basis) -> dict[str, Any]:
    return {"unit": basis.unit, "units": basis.units, "resamples": basis.resamples, "note": basis.note}


def _model(seeds: list[Answers], metrics: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    overall = score(seeds, metrics, **options)
    per_subject = {}
    for subject in np.unique(seeds[0].subject).tolist():
        own = [p.take(p.subject == subject) for p in seeds]
        scores = score(own, metrics, units=WITHIN_SUBJECT, **options)
        basis = next(iter(scores.values())).basis if scores else _basis(own[0], WITHIN_SUBJECT, 0)[0]
        per_subject[subject] = {
            "windows": len(own[0]),
            "unit": basis.unit,
            "units": basis.units,
            **{name: {"value": e.value, "low": e.low, "high": e.high} for name, e in scores.items()},
        }
    return {
        "seeds": len(seeds),
        "metrics": {
            name: {"value": e.value, "low": e.low, "high": e.high, "std": e.std, "per_seed": list(e.per_seed)}
            for name, e in overall.items()
        },
        "per_subject": per_subject,
        **type(seeds[0]).detail(seeds, options),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        # + 0.0 turns -0.0 into 0.0; a metric of nothing becomes null, which JSON has, and not NaN, which it has not.
        return round(value, 6) + 0.0 if math.isfinite(value) else None
    return value
