"""lda: linear discriminant analysis, the classical baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from myoflow.errors import InputError, PlanError
from myoflow.spec import EVENTS, FEATURES, FRAMES, SCORES, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel

NOTHING = "nothing"


@stage("lda")
@frozen
class LDA(Stage):
    """Linear discriminant analysis on features: `(window, feature)` -> scores `(window, label)`.

    One Gaussian per label with a common covariance; the score is `w·z + b` with z the features standardised by the
    training split's mean and standard deviation, and softmax of the scores is the posterior. `shrinkage` pulls the
    covariance towards its diagonal: a share from 0 to 1, `auto` (Ledoit-Wolf) or null. Source: Hastie et al., The
    Elements of Statistical Learning, 4.3; fitted by scikit-learn.

    On frames, `(window, frame, feature)`, it gives what moments are detected by: logits `(window, frame, label)`, each
    label's posterior against everything else. Frames in which nothing happens are a class of their own there.
    """

    shrinkage: float | Literal["auto"] | None = None

    fits: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        if isinstance(self.shrinkage, float) and not 0 <= self.shrinkage <= 1:
            raise PlanError(f"shrinkage must be from 0 to 1, got {self.shrinkage}", field="shrinkage")
        if spec.dims != FRAMES:
            return plan_classifier(spec)
        if not spec.labels:
            raise PlanError("needs labels to detect; the data has none")
        return spec.evolve(dims=EVENTS, sizes=(None, spec.size("frame"), len(spec.labels)))

    def cost(self, spec: Spec) -> Cost:
        """Numbers learned, MACs and bytes for one window."""
        features, labels = spec.size("feature"), len(spec.labels) + (spec.dims == FRAMES)
        parameters = (features + 1) * labels + 2 * features
        frames = spec.size("frame") if spec.dims == FRAMES else 1
        return Cost(parameters=parameters, macs=frames * features * labels, memory_bytes=8 * parameters)

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Array | None]]) -> State:
        """Weights `(label, feature)`, intercept, mean and scale from labelled windows; with frames, those of nothing
        happening come first. A frame that bears several labels counts for the first.

        Raises:
            InputError: a label without training windows, or features that are not finite.
        """
        import numpy as np
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        labels = spec.labels
        if spec.dims == FRAMES:
            labels, batches = (NOTHING, *labels), ((by_frame(x), _kinds(y)) for x, y in batches if y is not None)
        x, y, mean, scale = training_set("lda", labels, batches)
        solver = "svd" if self.shrinkage is None else "lsqr"
        model = LinearDiscriminantAnalysis(solver=solver, shrinkage=self.shrinkage)
        model.fit((x - mean) / scale, y)
        weights, intercept = model.coef_, model.intercept_
        if len(labels) == 2:  # scikit-learn keeps only the difference of the two
            weights, intercept = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
        return {"mean": mean, "scale": scale, "weights": weights, "intercept": intercept}

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        if state is None:
            raise InputError("lda has not been fitted: it needs numbers from a training split")
        mean, scale = state["mean"], state["scale"]
        weights, intercept = np.ascontiguousarray(state["weights"]), state["intercept"]
        rows = by_row(lambda row: weights @ ((row - mean) / scale) + intercept, len(intercept))
        if spec.dims != FRAMES:
            return rows
        from myoflow.dsp.kernel import Mapped

        shape = (spec.size("frame"), len(spec.labels))
        return Mapped(lambda x: _against_all(rows.feed(by_frame(x))).reshape(-1, *shape), (0, *shape), axis=0)


def by_frame(x: Array) -> Array:
    """Frames of all windows one after another, `(frame, feature)`."""
    return x.reshape(-1, x.shape[-1])


def _kinds(y: Array) -> Array:
    """The class of each frame, from targets `(window, frame, label)`: 0 where nothing happens, else a label + 1."""
    import numpy as np

    happens = by_frame(np.asarray(y)) > 0
    kinds: Array = np.where(happens.any(1), 1 + happens.argmax(1), 0)
    return kinds


def _against_all(scores: Array) -> Array:
    """Logits of each label's posterior, from scores whose first column is that of nothing."""
    import numpy as np
    from scipy.special import logsumexp

    wide = scores.astype(np.float64)
    found = [wide[:, k] - logsumexp(np.delete(wide, k, 1), axis=1) for k in range(1, wide.shape[1])]
    return np.stack(found, 1).astype(np.float32)


def plan_classifier(spec: Spec) -> Spec:
    """Output Spec of a classifier of features. Raises PlanError."""
    spec.expect(FEATURES)
    if len(spec.labels) < 2:
        raise PlanError(f"needs data with at least two labels, but has {len(spec.labels)}")
    return spec.evolve(dims=SCORES, sizes=(None, len(spec.labels)))


def training_set(
    name: str, labels: Sequence[str], batches: Iterable[tuple[Array, Array | None]]
) -> tuple[Array, Array, Array, Array]:
    """All training windows as float64 `(window, feature)`, their labels, and per-feature mean and scale.

    A feature that never varies gets scale 1.

    Raises:
        InputError: no labels, a label without windows, a feature that is not finite, or none that varies.
    """
    import numpy as np

    pairs = [(np.asarray(x, np.float64), np.asarray(y)) for x, y in batches if y is not None]
    if not pairs:
        raise InputError(f"{name} needs labelled training windows, but the training split has none")
    x = np.concatenate([pair[0] for pair in pairs])
    y = np.concatenate([pair[1] for pair in pairs])
    missing = [label for i, label in enumerate(labels) if not np.any(y == i)]
    if missing:
        raise InputError(
            f"{name} cannot learn {', '.join(missing)}: no window of the training split has that label; "
            "change data.split, or keep only the other labels with data.labels"
        )
    bad = np.flatnonzero(~np.isfinite(x).all(axis=0))
    if len(bad):
        raise InputError(f"{name} got {len(bad)} features that are not finite (first: number {bad[0]})")
    scale = x.std(axis=0)
    if not scale.any():
        raise InputError(
            f"{name} has nothing to learn from: every feature is the same in all {len(x)} training windows; is the "
            "signal silent?"
        )
    return x, y, x.mean(axis=0), np.where(scale > 0, scale, 1.0)


def by_row(score: Callable[[Array], Array], labels: int) -> Kernel:
    """Kernel that scores one float64 feature vector at a time.

    Row by row because a matrix product may round differently with the number of rows, and a kernel must not.
    """
    import numpy as np

    from myoflow.dsp.kernel import Mapped

    def scores(x: Array) -> Array:
        out = np.empty((len(x), labels), np.float32)
        for target, row in zip(out, x.astype(np.float64), strict=True):
            target[:] = score(row)
        return out

    return Mapped(scores, (0, labels), axis=0)
