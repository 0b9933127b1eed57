"""svm: scores and decisions equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import SVC

from myoflow.errors import InputError, PlanError
from myoflow.spec import FEATURES, Spec
from myoflow.stages.svm import SVM


def features(labels: int) -> Spec:
    names = tuple("abcdefgh"[:labels])
    return Spec.signal(4, 200.0, labels=names).evolve(dims=FEATURES, sizes=(None, 5), step_s=0.1)


def gaussians(labels: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, 300)
    centres = np.random.default_rng(9).normal(size=(labels, 5))
    return ((centres[y] + rng.normal(size=(300, 5))) * [1, 10, 0.1, 1, 3]).astype(np.float32), y


def halves(x, y):
    yield x[:100], y[:100]
    yield x[100:], y[100:]


@pytest.mark.parametrize("shape", ["rbf", "linear"])
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_equal_to_scikit_learn(labels, shape):
    x, y = gaussians(labels)
    fresh = gaussians(labels, seed=1)[0]
    stage, spec = SVM(kernel_function=shape, c=2.0), features(labels)
    scores = stage.kernel(spec, stage.fit(spec, halves(x, y))).feed(fresh)
    mean, scale = x.astype(np.float64).mean(0), x.astype(np.float64).std(0)
    model = SVC(kernel=shape, C=2.0, break_ties=True).fit((x - mean) / scale, y)
    z = (fresh - mean) / scale
    decision = model.decision_function(z)
    if labels == 2:
        decision = np.stack([-decision, decision], axis=1)
    assert np.allclose(scores, decision, atol=1e-3)
    assert np.array_equal(scores.argmax(1), model.predict(z))


def test_gamma_is_used_and_chunks_do_not_matter():
    x, y = gaussians(3)
    spec = features(3)
    wide, narrow = (SVM(gamma=g).fit(spec, halves(x, y)) for g in (0.01, 5.0))
    whole = SVM().kernel(spec, wide).feed(x)
    assert not np.allclose(whole, SVM().kernel(spec, narrow).feed(x), atol=0.1)
    kernel = SVM().kernel(spec, wide)
    assert np.array_equal(np.concatenate([kernel.feed(x[:1]), kernel.feed(x[1:77]), kernel.feed(x[77:])]), whole)


def test_errors():
    x, y = gaussians(3)
    with pytest.raises(InputError, match="svm cannot learn d"):
        SVM().fit(features(4), halves(x, y))
    with pytest.raises(InputError, match="has not been fitted"):
        SVM().kernel(features(3))
    for fields in ({"c": 0.0}, {"gamma": -1.0}):
        with pytest.raises(PlanError, match="must be above 0"):
            SVM(**fields).plan(features(3))
