"""Ridge: equal to scikit-learn's, and its own choice of the penalty close to the best one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Peer
from sklearn.preprocessing import StandardScaler

from myoflow.errors import InputError, PlanError
from myoflow.spec import FEATURES, Spec, Target
from myoflow.stages.ridge import Ridge

SPEC = Spec(FEATURES, (None, 12), 200.0, ("a", "b"), step_s=0.1, window_s=0.5, target=Target("glove", ("x", "y"), 10.0))


def data(count: int = 300, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 12)) * rng.uniform(0.1, 100, 12) + 1000
    y = ((x - 1000) @ rng.normal(size=(12, 10)) / 50 + noise * rng.normal(size=(count, 10)) + 7).reshape(count, 5, 2)
    return x, y


def test_it_equals_scikit_learn() -> None:
    x, y = data()
    state = Ridge(alpha=0.3).fit(SPEC, [(x[:100], y[:100]), (x[100:], y[100:])])
    found = Ridge(alpha=0.3).kernel(SPEC, state).feed(x)
    scaled = StandardScaler().fit_transform(x)
    wanted = Peer(alpha=0.3 * len(x)).fit(scaled, y.reshape(len(x), -1)).predict(scaled).reshape(y.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_auto_is_about_as_good_as_the_best_penalty_on_new_data() -> None:
    x, y = data(6000, noise=30.0)
    x[:, 6:] = x[:, :6] + 1e-3 * x[:, 6:]  # nearly the same twice
    seen, new = slice(0, 450), slice(1000, None)

    def error(alpha: object) -> float:
        stage = Ridge(alpha=alpha)  # type: ignore[arg-type]
        state = stage.fit(SPEC, [(x[seen], y[seen])])
        return float(((stage.kernel(SPEC, state).feed(x[new]) - y[new]) ** 2).mean())

    assert error("auto") <= 1.02 * min(error(10.0**power) for power in range(-5, 3))
    assert error("auto") < error(100.0)


def test_overlapping_windows_do_not_talk_auto_into_learning_them_by_heart() -> None:
    """Noise that stays the same over neighbouring windows: leaving single ones out would find it predictable."""
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(40, 12)), 50, axis=0)
    y = np.repeat(rng.normal(size=(40, 10)), 50, axis=0).reshape(-1, 5, 2)
    assert Ridge().fit(SPEC, [(x, y)])["alpha"] >= 1.0


def test_a_constant_feature_and_a_constant_target_do_no_harm() -> None:
    x, y = data()
    x[:, 3], y[:, :, 1] = 5.0, 2.0
    state = Ridge().fit(SPEC, [(x, y)])
    found = Ridge().kernel(SPEC, state).feed(x)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :, 1], 2.0, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(InputError, match="training split has none"):
        Ridge().fit(SPEC, [])
    with pytest.raises(InputError, match="1 features that are not finite"):
        x, y = data()
        x[4, 2] = np.nan
        Ridge().fit(SPEC, [(x, y)])
    with pytest.raises(InputError, match="has not been fitted"):
        Ridge().kernel(SPEC)
    with pytest.raises(PlanError, match="alpha must be 0 or above"):
        Ridge(alpha=-1.0).plan(SPEC)
