"""Centre and scale against numpy, at once and gathered piece by piece."""

import numpy as np
import pytest

from myoflow.dsp import statistics
from myoflow.errors import InputError

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((5, 3, 401)) * [[[1.0], [5.0], [0.1]]] + [[[0.0], [100.0], [-3.0]]]).astype(np.float32)


def by_numpy(method: str, x: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    x = x.astype(np.float64)
    if method == "zscore":
        return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)
    if method == "minmax":
        low, high = x.min(axis, keepdims=True), x.max(axis, keepdims=True)
        return 2 * (x - low) / (high - low) - 1
    low, middle, high = np.percentile(x, (25, 50, 75), axis=axis, keepdims=True)
    return (x - middle) / (high - low)


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
@pytest.mark.parametrize("pooled", [True, False])
def test_windows_equal_numpy(method: str, pooled: bool) -> None:
    expected = by_numpy(method, X, (1, 2) if pooled else (2,))
    np.testing.assert_allclose(statistics.scale_windows(method, X, pooled), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
def test_constant_and_broken_samples(method: str) -> None:
    x = X[:1].copy()
    x[0, 0] = 0.1  # not a binary fraction: a mean that is off by one bit must not become a standard deviation
    x[0, 1, 7], x[0, 1, 9] = np.nan, np.inf
    x[0, 2] = np.nan
    out = statistics.scale_windows(method, x, False)
    assert not out[0, 0].any()
    kept = np.delete(x[:, 1:2], [7, 9], axis=2)
    assert np.array_equal(np.delete(out[0, 1], [7, 9]), statistics.scale_windows(method, kept, False)[0, 0])
    assert np.isnan(out[0, 1, 7]) and np.isposinf(out[0, 1, 9])
    assert np.isnan(out[0, 2]).all()


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
@pytest.mark.parametrize("pooled", [True, False])
def test_learners_equal_one_look(method: str, pooled: bool) -> None:
    rows = X[0]
    learner = statistics.LEARNERS[method](3, pooled)
    for piece in np.split(rows, [1, 1, 50, 200], axis=1):
        learner.add(piece)
    centre, scale = learner.result()
    whole = statistics.centre_scale(method, rows.reshape(1, -1) if pooled else rows)
    np.testing.assert_allclose(centre, np.resize(whole[0], 3), rtol=1e-9)
    np.testing.assert_allclose(scale, np.resize(whole[1], 3), rtol=1e-9)


def test_quartiles_of_much_data_come_from_an_even_subset() -> None:
    rows = np.arange(3 * statistics.MOST, dtype=np.float32)[None]
    cut, whole = statistics.QuartileLearner(1, False), statistics.QuartileLearner(1, False)
    for piece in np.array_split(rows, 17, axis=1):
        cut.add(piece)
    whole.add(rows)
    assert cut.result() == whole.result()
    centre, scale = whole.result()
    assert centre[0] == pytest.approx(1.5 * statistics.MOST, rel=1e-5)
    assert scale[0] == pytest.approx(1.5 * statistics.MOST, rel=1e-5)


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
def test_nothing_to_learn_from(method: str) -> None:
    learner = statistics.LEARNERS[method](2, False)
    learner.add(np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32))
    with pytest.raises(InputError, match=r"no finite sample in channel \(or feature\) 2"):
        learner.result()
