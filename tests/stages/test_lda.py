"""lda: equal to scikit-learn, standardised by training windows alone, and loud about missing labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from myoflow.errors import InputError, PlanError
from myoflow.spec import EVENTS, FEATURES, FRAMES, Spec
from myoflow.stages.lda import LDA


def features(labels: int, count: int = 5) -> Spec:
    names = tuple("abcdefgh"[:labels])
    return Spec.signal(4, 200.0, labels=names).evolve(dims=FEATURES, sizes=(None, count), step_s=0.1)


def gaussians(labels: int, windows: int = 300, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, windows)
    centres = np.random.default_rng(9).normal(size=(labels, 5))
    x = (centres[y] + rng.normal(size=(windows, 5))) * [1, 10, 0.1, 1, 3] + [0, 50, 0, -2, 1]
    return x.astype(np.float32), y


def halves(x, y):
    yield x[:100], y[:100]
    yield x[100:], y[100:]


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
@pytest.mark.parametrize("labels", [2, 4])
def test_scores_are_log_posteriors_up_to_a_constant(labels, shrinkage):
    x, y = gaussians(labels)
    stage, spec = LDA(shrinkage=shrinkage), features(labels)
    scores = stage.kernel(spec, stage.fit(spec, halves(x, y))).feed(x)
    z = (x - x.astype(np.float64).mean(0)) / x.astype(np.float64).std(0)
    model = LinearDiscriminantAnalysis(solver="svd" if shrinkage is None else "lsqr", shrinkage=shrinkage).fit(z, y)
    posterior = np.exp(scores - scores.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    assert np.allclose(posterior, model.predict_proba(z), atol=1e-4)
    assert np.array_equal(scores.argmax(1), model.predict(z))
    assert scores.dtype == np.float32


def test_chunks_do_not_matter_and_a_constant_feature_does_no_harm():
    x, y = gaussians(3)
    x[:, 2] = 7
    stage, spec = LDA(), features(3)
    state = stage.fit(spec, halves(x, y))
    whole = stage.kernel(spec, state).feed(x)
    kernel = stage.kernel(spec, state)
    pieces = [kernel.feed(x[a:b]) for a, b in ((0, 1), (1, 1), (1, 120), (120, 300))]
    assert np.array_equal(np.concatenate([*pieces, kernel.flush()]), whole)
    assert np.isfinite(whole).all() and (whole.argmax(1) == y).mean() > 0.8


def test_on_frames_each_label_stands_against_all_else_and_nothing_is_a_class():
    x, kinds = gaussians(3, windows=600)  # kinds 0: nothing, 1: a, 2: b
    spec = features(2).evolve(dims=FRAMES, sizes=(None, 6, 5))
    frames = x.reshape(100, 6, 5)
    target = (kinds.reshape(100, 6, 1) == [1, 2]).astype(np.float32)
    stage = LDA()
    assert stage.plan(spec).dims == EVENTS and stage.plan(spec).sizes == (None, 6, 2)
    state = stage.fit(spec, [(frames[:40], target[:40]), (frames[40:], target[40:])])
    logits = stage.kernel(spec, state).feed(frames)
    whole = features(3)
    scores = LDA().kernel(whole, LDA().fit(whole, [(x, kinds)])).feed(x)
    posterior = np.exp(scores - scores.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.reshape(600, 2))), posterior[:, 1:], atol=1e-5)
    assert stage.cost(spec).macs == 6 * 5 * 3 and state["weights"].shape == (3, 5)
    with pytest.raises(InputError, match="lda cannot learn b"):
        stage.fit(spec, [(frames, target * [1, 0])])
    with pytest.raises(PlanError, match="frame axis has no fixed size"):
        stage.plan(spec.evolve(sizes=(None, None, 5)))
    with pytest.raises(PlanError, match="the data has none"):
        stage.plan(spec.evolve(labels=()))


def test_one_label_on_frames_has_a_posterior_of_its_own():
    x, kinds = gaussians(2)
    spec = features(1).evolve(dims=FRAMES, sizes=(None, 3, 5))
    target = kinds.reshape(100, 3, 1).astype(np.float32)
    state = LDA().fit(spec, [(x.reshape(100, 3, 5), target)])
    said = LDA().kernel(spec, state).feed(x.reshape(100, 3, 5)) > 0
    assert (said[..., 0] == target[..., 0]).mean() > 0.8


def test_errors():
    x, y = gaussians(3)
    stage, spec = LDA(), features(4)
    with pytest.raises(InputError, match="lda cannot learn d: no window"):
        stage.fit(spec, halves(x, y))
    with pytest.raises(InputError, match="training split has none"):
        stage.fit(spec, [(x, None)])
    with pytest.raises(InputError, match="every feature is the same in all 300 training windows; is the signal silent"):
        stage.fit(features(3), halves(np.zeros_like(x), y))
    x[5, 3] = np.nan
    with pytest.raises(InputError, match=r"1 features that are not finite \(first: number 3\)"):
        stage.fit(features(3), halves(x, y))
    with pytest.raises(InputError, match="has not been fitted"):
        stage.kernel(spec)
    with pytest.raises(PlanError, match="shrinkage must be from 0 to 1"):
        LDA(shrinkage=1.5).plan(spec)
    with pytest.raises(PlanError, match="at least two labels"):
        LDA().plan(features(1))
