"""Trajectories: metrics against scikit-learn and numpy, seeds and intervals, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from myoflow.answers.scores import score, summarise
from myoflow.answers.trajectories import Trajectories
from myoflow.errors import InputError


def answers(noise: float = 0.5, seed: int = 1, subjects: int = 4, each: int = 10) -> Trajectories:
    rng = np.random.default_rng(0)
    count = subjects * each
    person = np.arange(count) // each
    truth = rng.normal(size=(count, 6, 3)) * [1, 10, 0.1] + person[:, None, None] * 5
    names = np.array([f"{p + 1:02d}" for p in person])
    return Trajectories(
        values=truth + noise * np.random.default_rng(seed).normal(size=truth.shape) * [1, 10, 0.1],
        truth=truth,
        targets=("thumb", "index", "wrist"),
        units="deg",
        rate_hz=20.0,
        subject=names,
        session=np.full(count, "01"),
        repetition=np.arange(count) % 2,
        recording=np.array([f"sub-{name}/ses-01/run-1" for name in names]),
        start_s=np.arange(count) % each * 0.3,
    )


def flat(one: Trajectories) -> tuple[np.ndarray, np.ndarray]:
    return one.truth.reshape(-1, 3), one.values.reshape(-1, 3)


def test_metrics_are_those_of_scikit_learn() -> None:
    one = answers()
    truth, said = flat(one)
    found = {name: estimate.value for name, estimate in score(one).items()}
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, said), rel=1e-5)
    rmse = np.sqrt(sk.mean_squared_error(truth, said, multioutput="raw_values")).mean()
    assert found["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert found["r2_pooled"] == pytest.approx(sk.r2_score(truth, said), abs=1e-5)


def test_r2_and_correlation_forget_differences_between_recordings() -> None:
    one = answers()
    truth, said = (values.reshape(4, 60, 3).astype(float) for values in flat(one))
    error = ((truth - said) ** 2).sum((0, 1))
    truth, said = (values - values.mean(1, keepdims=True) for values in (truth, said))
    found = {name: estimate.value for name, estimate in score(one).items()}
    assert found["r2"] == pytest.approx((1 - error / (truth**2).sum((0, 1))).mean(), abs=1e-5)
    pairs = [np.corrcoef(truth[:, :, i].ravel(), said[:, :, i].ravel())[0, 1] for i in range(3)]
    assert found["correlation"] == pytest.approx(np.mean(pairs), abs=1e-5)
    assert found["r2_pooled"] > found["r2"] + 0.05, "people differ by more than they move"
    level = Trajectories(
        values=np.broadcast_to(one.truth.mean((0, 1)), one.truth.shape),
        **{name: getattr(one, name) for name in (*one.known, *one.shared)},
    )
    assert score(level, ["r2"])["r2"].value < 0


def test_a_target_that_never_moves_is_left_out_of_r2() -> None:
    one = answers()
    still = one.truth.copy()
    still[:, :, 2] = 4.0
    fields = {name: getattr(one, name) for name in (*one.known, *one.shared)}
    two = Trajectories(values=one.values, **{**fields, "truth": still})
    assert score(two, ["r2"])["r2"].value == pytest.approx(
        np.mean([score(one.only(name), ["r2"])["r2"].value for name in ("thumb", "index")]), abs=1e-6
    )


def test_the_summary_has_intervals_for_every_target() -> None:
    found = summarise({"net": [answers(seed=1), answers(seed=2)], "ridge": [answers(1.0)]}, ("r2", "mae"), "net")
    assert found["units"] == "deg" and found["targets"] == ["thumb", "index", "wrist"] and found["windows"] == 40
    for model in found["models"].values():
        overall, each = model["metrics"]["mae"]["value"], [model["targets"][t]["mae"] for t in found["targets"]]
        assert np.mean([e["value"] for e in each]) == pytest.approx(overall, abs=1e-5)
        assert all(e["low"] <= e["value"] <= e["high"] for e in each)
    assert found["differences"]["ridge"]["mae"]["high"] < 0 < found["differences"]["ridge"]["r2"]["low"]
    assert set(found["models"]["net"]["per_subject"]) == {"01", "02", "03", "04"}


def test_the_newest_steps_are_the_last_and_start_later() -> None:
    one = answers().newest(2)
    np.testing.assert_array_equal(one.values, answers().values[:, 4:])
    np.testing.assert_allclose(one.start_s, answers().start_s + 0.2)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    one = answers()
    one.save(tmp_path / "p.npz")
    two = Trajectories.load(tmp_path / "p.npz")
    assert (two.targets, two.units, two.rate_hz) == (one.targets, one.units, one.rate_hz)
    for name in (*one.said, *one.known):
        np.testing.assert_array_equal(getattr(two, name), getattr(one, name))


def test_wrong_fields_are_refused() -> None:
    one = answers()
    fields = {name: getattr(one, name) for name in (*one.said, *one.known, *one.shared)}
    for change, message in (
        ({"truth": one.truth[:, :3]}, "truth has shape"),
        ({"subject": ["01"]}, "subject has shape"),
        ({"values": np.full_like(one.values, np.nan)}, "40 of 40 windows have values that are not finite"),
    ):
        with pytest.raises(InputError, match=message):
            Trajectories(**{**fields, **change})
