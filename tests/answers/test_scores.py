from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from counting import calls
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from myoflow.answers import decisions, scores
from myoflow.answers.predictions import Predictions
from myoflow.errors import InputError


def predictions(truth: object, decided: object, k: int = 3, **columns: object) -> Predictions:
    """Windows with given truth and decisions; one subject, one recording, each window its own repetition."""
    truth, decided = np.asarray(truth), np.asarray(decided)
    n = len(truth)
    given = {
        "subject": ["01"] * n,
        "session": ["01"] * n,
        "repetition": np.arange(n),
        "recording": ["r"] * n,
        "start_s": np.arange(n) * 0.25,
    }
    labels = tuple(f"l{i}" for i in range(k))
    return Predictions(np.eye(k)[decided], label=truth, labels=labels, **{**given, **columns})  # type: ignore[arg-type]


def cohort(skill: float, seed: int = 0, subjects: int = 8, each: int = 40, k: int = 4) -> Predictions:
    n = subjects * each
    index = np.arange(n)
    label = index % k
    draw = np.random.default_rng(seed)
    decided = np.where(draw.random(n) < skill, label, draw.integers(0, k, n))
    names = np.array([f"{i:02d}" for i in range(subjects)])[index // each]
    return predictions(label, decided, k, subject=names, recording=names, repetition=index % each // k)


pairs = st.integers(1, 6).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60)
    )
)


@given(pairs)
@settings(max_examples=150)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_metrics_are_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, windows = case
    truth, decided = map(list, zip(*windows, strict=True))
    found = predictions(truth, decided, k).tally()[0]
    assert decisions.accuracy(found) == pytest.approx(sk.accuracy_score(truth, decided))
    assert decisions.balanced_accuracy(found) == pytest.approx(sk.balanced_accuracy_score(truth, decided))
    assert decisions.macro_f1(found) == pytest.approx(sk.f1_score(truth, decided, average="macro", zero_division=0))
    matrix = predictions(truth, decided, k).confusion()
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(truth, decided, labels=range(k)))


def test_a_label_missing_from_the_test_does_not_count_until_it_is_decided() -> None:
    # By hand. Label 2 is never true and never decided: recalls 1 and 1/2; F1 2*2/(2+3) = 0.8 and 2*1/(2+1) = 2/3.
    found = scores.score(predictions([0, 0, 1, 1], [0, 0, 0, 1]))
    assert found["balanced_accuracy"].value == pytest.approx(0.75)
    assert found["macro_f1"].value == pytest.approx((0.8 + 2 / 3) / 2)
    # Decided once though never true: it adds an F1 of 0, and no recall.
    found = scores.score(predictions([0, 0, 1, 1], [0, 0, 2, 1]))
    assert found["balanced_accuracy"].value == pytest.approx(0.75)
    assert found["macro_f1"].value == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_window_intervals_are_binomial() -> None:
    """With windows as the unit, accuracy's interval is the binomial one."""
    n, right = 400, 320
    found = scores.score(predictions(np.zeros(n, int), (np.arange(n) >= right) * 1), ["accuracy"])["accuracy"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / n)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - half, abs=0.006)
    assert found.high == pytest.approx(0.8 + half, abs=0.006)


def test_subject_intervals_cover_the_truth_and_window_intervals_do_not() -> None:
    """Subjects differ: only an interval that resamples them covers the population's accuracy about 95 times in 100."""
    draw = np.random.default_rng(5)
    hits = {"subject": 0, "window": 0}
    for _ in range(150):
        skill = np.clip(draw.normal(0.7, 0.12, 15), 0, 1)
        right = draw.random((15, 30)) < skill[:, None]
        names = np.repeat([f"{i}" for i in range(15)], 30)
        p = predictions(np.zeros(450, int), 1 - right.ravel().astype(int), subject=names)
        for unit in hits:
            found = scores.score(p, ["accuracy"], units=[unit], resamples=400)["accuracy"]
            hits[unit] += found.low <= 0.7 <= found.high
    assert 0.86 * 150 <= hits["subject"] <= 150
    assert hits["window"] < 0.8 * 150


def test_the_interval_says_what_was_resampled() -> None:
    basis = scores.score(cohort(0.8))["accuracy"].basis
    assert (basis.unit, basis.units) == ("subject", 8)
    assert basis.note == "only 8 subjects: an interval from so few is rather too narrow"
    assert scores.score(cohort(0.8, subjects=10))["accuracy"].basis.note is None
    basis = scores.score(cohort(0.8, subjects=2))["accuracy"].basis
    assert (basis.unit, basis.units) == ("repetition", 80)
    assert basis.note == "repetitions of 2 subjects were resampled: the interval says nothing about other subjects"
    four = predictions(np.zeros(40, int), np.arange(40) % 2, recording=[str(i // 10) for i in range(40)])
    assert scores.score(four)["accuracy"].basis.unit == "recording"
    one = predictions(np.zeros(40, int), np.arange(40) % 2, repetition=np.zeros(40, int))
    assert scores.score(one)["accuracy"].basis.unit == "window"


def test_the_order_of_windows_and_the_clock_do_not_matter() -> None:
    one = cohort(0.7)
    mixed = one.take(np.random.default_rng(1).permutation(len(one)))
    other = cohort(0.6, seed=3)
    assert scores.score(one) == scores.score(mixed)
    assert scores.difference(one, other) == scores.difference(mixed, other)
    left = scores.summarise({"a": [one], "b": [other]})
    right = scores.summarise({"a": [mixed], "b": [other.take(slice(None, None, -1))]})
    assert json.dumps(left) == json.dumps(right)


def test_a_model_does_not_differ_from_itself() -> None:
    for count in (2, 8, 20):  # resampled repetitions, all sign flips, sampled sign flips
        p = cohort(0.7, subjects=count)
        for gap in scores.difference(p, p).values():
            assert (gap.value, gap.low, gap.high, gap.p) == (0.0, 0.0, 0.0, 1.0)


def test_sign_flips_match_a_direct_count() -> None:
    """Accuracy on six subjects: all 64 signs of the per-subject differences, counted one by one."""
    one, other = cohort(0.8, 1, subjects=6), cohort(0.7, 2, subjects=6)
    gaps = [
        np.mean(one.decision[one.subject == s] == one.label[one.subject == s])
        - np.mean(other.decision[other.subject == s] == other.label[other.subject == s])
        for s in np.unique(one.subject)
    ]
    observed = abs(np.mean(gaps))
    flipped = [abs(np.dot(signs, gaps)) / 6 for signs in product((-1, 1), repeat=6)]
    found = scores.difference(one, other, ["accuracy"])["accuracy"]
    assert found.exact
    assert found.value == pytest.approx(np.mean(gaps))
    assert found.p == pytest.approx(np.mean([f >= observed - 1e-12 for f in flipped]))


def test_sampled_sign_flips_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = cohort(0.72, 1, subjects=12), cohort(0.7, 2, subjects=12)
    exact = scores.difference(one, other, ["macro_f1"])["macro_f1"]
    monkeypatch.setattr(scores, "EXACT", 0)
    sampled = scores.difference(one, other, ["macro_f1"], resamples=20_000)["macro_f1"]
    assert exact.exact and not sampled.exact
    assert sampled.p == pytest.approx(exact.p, abs=0.015)


def test_a_real_difference_is_found_and_turns_with_its_sides() -> None:
    one, other = cohort(0.9, 1), cohort(0.5, 2)
    there, back = scores.difference(one, other)["accuracy"], scores.difference(other, one)["accuracy"]
    assert there.value == pytest.approx(
        float(decisions.accuracy(one.tally())[0]) - float(decisions.accuracy(other.tally())[0])
    )
    assert 0 < there.low < there.value < there.high
    assert there.p == 2 / 2**8  # nothing but the two extreme exchanges is as far
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=0.01)


def test_seeds_are_averaged_per_metric_and_per_window() -> None:
    seeds = [cohort(0.8, s) for s in (1, 2, 3)]
    found = scores.score(seeds)
    each = [scores.score(p)["macro_f1"].value for p in seeds]
    assert found["macro_f1"].per_seed == pytest.approx(each)
    assert found["macro_f1"].value == pytest.approx(np.mean(each))
    assert found["macro_f1"].std == pytest.approx(np.std(each, ddof=1))
    # Accuracy: a direct bootstrap over subjects of each window's correctness averaged over seeds.
    right = np.mean([p.decision == p.label for p in seeds], axis=0).reshape(8, 40).mean(axis=1)
    draws = right[np.random.default_rng(9).integers(0, 8, (20_000, 8))].mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((low, high), abs=0.004)
    alone = scores.score(seeds[:1])["accuracy"]
    assert alone.std is None and alone == scores.score(seeds[0])["accuracy"]


def test_draws_are_resampled_beside_subjects() -> None:
    """Against a direct crossed bootstrap: subjects and draws with replacement, each draw the mean of its seeds."""
    seeds = [cohort(p, s) for p, s in ((0.9, 1), (0.88, 2), (0.6, 3), (0.7, 4), (0.72, 5))]
    draws = [0, 0, 1, 2, 2]
    right = np.stack([(p.decision == p.label).reshape(8, 40).mean(axis=1) for p in seeds])
    by_draw = np.stack([right[:2].mean(0), right[2], right[3:].mean(0)])  # (draw, subject)
    rng = np.random.default_rng(5)
    people, drawn = rng.integers(0, 8, (20_000, 8)), rng.integers(0, 3, (20_000, 3))
    direct = by_draw[drawn[:, :, None], people[:, None, :]].mean(axis=(1, 2))
    found = scores.score(seeds, ["accuracy"], resamples=20_000, draws=draws)["accuracy"]
    assert found.value == pytest.approx(by_draw.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(direct, (0.025, 0.975))), abs=0.005)
    alone = scores.score(seeds, ["accuracy"])["accuracy"]
    assert found.high - found.low > 2 * (alone.high - alone.low), "draws differ, and the interval knows"
    assert "3 draws of the training data" in (found.basis.note or "")
    gap = scores.difference(seeds, seeds[::-1], ["accuracy"], resamples=20_000, draws=[0, 1, 2, 3, 4])["accuracy"]
    pairs = right - right[::-1]
    drawn = rng.integers(0, 5, (20_000, 5))
    direct = pairs[drawn[:, :, None], people[:, None, :]].mean(axis=(1, 2))
    assert (gap.low, gap.high) == pytest.approx(tuple(np.quantile(direct, (0.025, 0.975))), abs=0.01)
    with pytest.raises(InputError, match="2 draws are named for 5 predictions"):
        scores.score(seeds, draws=[0, 1])
    with pytest.raises(InputError, match="5 models of several draws cannot be paired with 2"):
        scores.difference(seeds, seeds[:2], draws=draws)


def test_unequal_numbers_of_seeds_compare() -> None:
    many, one = [cohort(0.8, s) for s in (1, 2, 3)], [cohort(0.6, 7)]
    found = scores.difference(many, one)["balanced_accuracy"]
    ours, theirs = scores.score(many)["balanced_accuracy"].value, scores.score(one)["balanced_accuracy"].value
    assert found.value == pytest.approx(ours - theirs)


def test_summary_is_plain_rounded_and_complete() -> None:
    models = {"tinymyo": [cohort(0.9, 1), cohort(0.9, 2)], "lda": [cohort(0.7, 3)]}
    found = scores.summarise(models, ["accuracy", "macro_f1"], "tinymyo")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["windows"] == 320 and found["windows_per_label"] == {f"l{i}": 80 for i in range(4)}
    assert found["interval"]["unit"] == "subject" and found["interval"]["units"] == 8
    assert list(found["models"]) == ["tinymyo", "lda"] and list(found["differences"]) == ["lda"]
    entry = found["models"]["tinymyo"]["metrics"]["accuracy"]
    assert entry["value"] == round(scores.score(models["tinymyo"])["accuracy"].value, 6)
    assert set(entry) == {"value", "low", "high", "std", "per_seed"} and len(entry["per_seed"]) == 2
    assert np.sum(found["models"]["tinymyo"]["confusion"]) == 640 and np.sum(found["models"]["lda"]["confusion"]) == 320
    subject = found["models"]["lda"]["per_subject"]["03"]
    assert subject["windows"] == 40 and subject["unit"] == "repetition"
    assert subject["accuracy"]["low"] <= subject["accuracy"]["value"] <= subject["accuracy"]["high"]
    weighted = [s["windows"] * s["accuracy"]["value"] for s in found["models"]["lda"]["per_subject"].values()]
    assert sum(weighted) / 320 == pytest.approx(found["models"]["lda"]["metrics"]["accuracy"]["value"], abs=1e-6)
    assert found == scores.summarise(models, ["accuracy", "macro_f1"], "tinymyo")


def test_wrong_requests_say_so() -> None:
    p = cohort(0.7)
    with pytest.raises(InputError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        scores.score(p, ["acuracy"])
    with pytest.raises(InputError, match="no model 'ldaa'; did you mean 'lda'"):
        scores.summarise({"lda": [p]}, main="ldaa")
    with pytest.raises(InputError, match="no predictions to score"):
        scores.summarise({"lda": []})
    with pytest.raises(InputError, match="no windows to score"):
        scores.score(p.take(slice(0, 0)))
    with pytest.raises(InputError, match="a and b cannot be compared: they saw 320 and 300 windows"):
        scores.summarise({"a": [p], "b": [p.take(slice(0, 300))]})
    with pytest.raises(InputError, match="no predictions to compare"):
        scores.difference([], p)


def test_neither_windows_nor_resamples_are_gone_through_one_by_one() -> None:
    """Intervals from 2000 resamples of 10,000 windows take 0.1 s: numpy's loops, none of Python's."""

    def work(each: int, resamples: int) -> int:
        one, other = cohort(0.8, 1, subjects=40, each=each), cohort(0.7, 2, subjects=40, each=each)
        return calls(
            lambda: (scores.score(one, resamples=resamples), scores.difference(one, other, resamples=resamples))
        )

    assert work(250, 2000) < 1.5 * work(25, 100)
