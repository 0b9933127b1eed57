"""svm: support vector machine, the second classical baseline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

from myoflow.errors import InputError, PlanError
from myoflow.spec import Spec
from myoflow.stage import Stage, State, stage
from myoflow.stages.lda import by_row, plan_classifier, training_set
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel


@stage("svm")
@frozen
class SVM(Stage):
    """Support vector machine on features: `(window, feature)` -> scores `(window, label)`.

    One machine per pair of labels on features standardised by the training split. A label's score is its number of
    pairs won plus `m / (3 (|m| + 1))`, m the sum of its margins, so that margins only break ties; for two labels it
    is the margin itself. `c` is the price of a violated margin; `gamma` of the kernel `exp(-gamma |a - b|^2)` is a
    number or `scale` (1 / (features x variance)). Source: Cortes & Vapnik 1995; fitted by scikit-learn (libsvm), to
    whose `decision_function` the scores are equal.
    """

    kernel_function: Literal["rbf", "linear"] = "rbf"
    c: float = 1.0
    gamma: float | Literal["scale"] = "scale"

    fits: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        if not self.c > 0:
            raise PlanError(f"c must be above 0, got {self.c}", field="c")
        if isinstance(self.gamma, float) and not self.gamma > 0:
            raise PlanError(f"gamma must be above 0, got {self.gamma}", field="gamma")
        return plan_classifier(spec)

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Array | None]]) -> State:
        """Support vectors, one row of coefficients per pair of labels, intercepts, mean and scale.

        Raises:
            InputError: a label without training windows, or features that are not finite.
        """
        import numpy as np
        from sklearn.svm import SVC

        x, y, mean, scale = training_set("svm", spec.labels, batches)
        z = (x - mean) / scale
        gamma = self.gamma if isinstance(self.gamma, float) else 1 / (z.shape[1] * (z.var() or 1.0))
        model = SVC(kernel=self.kernel_function, C=self.c, gamma=gamma, cache_size=500).fit(z, y)
        coefficients = _pair_coefficients(model.dual_coef_, model.n_support_)
        vectors = model.support_vectors_
        if self.kernel_function == "linear":  # the sum over support vectors collapses to one vector a pair
            coefficients, vectors = coefficients @ vectors, np.empty((0, z.shape[1]))
        intercept = model.intercept_
        if len(spec.labels) == 2:  # scikit-learn turns the sign of a lone machine
            intercept = -intercept
            coefficients = -coefficients
        return {
            "mean": mean,
            "scale": scale,
            "vectors": vectors,
            "coefficients": coefficients,
            "intercept": intercept,
            "gamma": np.array(gamma),
        }

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        if state is None:
            raise InputError("svm has not been fitted: it needs numbers from a training split")
        mean, scale, vectors = state["mean"], state["scale"], state["vectors"]
        coefficients, intercept = np.ascontiguousarray(state["coefficients"]), state["intercept"]
        gamma = float(state["gamma"])
        labels = len(spec.labels)

        def score(row: Array) -> Array:
            z = (row - mean) / scale
            near = z if self.kernel_function == "linear" else np.exp(-gamma * np.square(vectors - z).sum(axis=1))
            return _votes(coefficients @ near + intercept, labels)

        return by_row(score, labels)


def _pair_coefficients(dual: Array, counts: Array) -> Array:
    """libsvm's packed coefficients `(label - 1, vector)` as one row per pair (0,1), (0,2) .. `(pair, vector)`."""
    import numpy as np

    ends = np.cumsum(counts)
    spans = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    rows = []
    for i in range(len(counts)):
        for j in range(i + 1, len(counts)):
            row = np.zeros(dual.shape[1])
            row[spans[i]] = dual[j - 1, spans[i]]
            row[spans[j]] = dual[i, spans[j]]
            rows.append(row)
    return np.stack(rows)


def _votes(margins: Array, labels: int) -> Array:
    """Scores per label from the margins of all pairs; a margin above 0 speaks for the first of its pair."""
    import numpy as np

    won, total = np.zeros(labels), np.zeros(labels)
    pair = 0
    for i in range(labels):
        for j in range(i + 1, labels):
            won[i if margins[pair] > 0 else j] += 1
            total[i] += margins[pair]
            total[j] -= margins[pair]
            pair += 1
    return total if labels == 2 else won + total / (3 * (np.abs(total) + 1))
