"""ridge: linear regression with a penalty on features, the classical baseline for continuous targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from myoflow.errors import InputError, PlanError
from myoflow.spec import FEATURES, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.stages.regress import plan_regressor, sizes
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel

LOWEST, HIGHEST, TRIED = -6.0, 2.0, 33  # powers of ten of the penalty that `auto` tries, relative to the windows


@stage("ridge")
@frozen
class Ridge(Stage):
    """Ridge regression of the whole trajectory on features: `(window, feature)` -> `(window, step, target)`.

    Features are standardised by the training split; W minimises `|Y - X W|^2 / n + alpha |W|^2` over n windows. `alpha:
    auto` takes the least generalised cross-validation error, summed over targets after each is divided by its own
    variance (Golub, Heath & Wahba 1979, doi 10.1080/00401706.1979.10489751). Only sums over windows are kept
    in memory.
    """

    alpha: float | Literal["auto"] = "auto"

    fits: ClassVar[bool] = True

    def plan(self, spec: Spec) -> Spec:
        spec.expect(FEATURES)
        if isinstance(self.alpha, float) and self.alpha < 0:
            raise PlanError(f"alpha must be 0 or above, got {self.alpha:g}", field="alpha")
        return plan_regressor(spec)

    def cost(self, spec: Spec) -> Cost:
        """Numbers learned, MACs and bytes for one window."""
        features, (steps, targets) = spec.size("feature"), sizes(spec)
        parameters = (features + 1) * steps * targets + 2 * features
        return Cost(parameters=parameters, macs=features * steps * targets, memory_bytes=8 * parameters)

    def fit(self, spec: Spec, batches: Iterable[tuple[Array, Any]]) -> State:
        """Weights `(feature, step * target)`, intercept, mean, scale and the penalty.

        Raises:
            InputError: no windows, or features that are not finite.
        """
        import numpy as np

        sums: _Sums | None = None
        for x, y in batches:
            rows, wanted = np.asarray(x, np.float64), np.asarray(y, np.float64).reshape(len(x), -1)
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=0))
            if len(bad):
                raise InputError(f"ridge got {len(bad)} features that are not finite (first: number {bad[0]})")
            sums = sums or _Sums(rows[0], wanted[0])
            sums.add(rows, wanted)
        if sums is None:
            raise InputError("ridge needs training windows, but the training split has none")
        count, gram, cross, squares, mean_x, mean_y = sums.moments()
        scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
        scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean_x)), scale, 1.0)
        values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
        turned = vectors.T @ (cross / scale[:, None])
        alpha = self.alpha if self.alpha != "auto" else _least(np.maximum(values, 0.0), turned, squares, count)
        weights = vectors @ (turned / (np.maximum(values, 0.0) + alpha)[:, None])
        return {
            "mean": mean_x,
            "scale": scale,
            "weights": weights,
            "intercept": mean_y,
            "alpha": np.array(alpha),
        }

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        if state is None:
            raise InputError("ridge has not been fitted: it needs numbers from a training split")
        mean, scale, intercept = state["mean"], state["scale"], state["intercept"]
        weights, shape = np.ascontiguousarray(state["weights"].T), sizes(spec)

        def trajectories(x: Array) -> Array:
            # Row by row: a matrix product may round differently with the number of rows, and a kernel must not.
            out = np.empty((len(x), *shape), np.float32)
            for target, row in zip(out, x.astype(np.float64), strict=True):
                target[:] = (weights @ ((row - mean) / scale) + intercept).reshape(shape)
            return out

        return Mapped(trajectories, (0, *shape), axis=0)


class _Sums:
    """Sums over windows, taken around the first one, so that large offsets do not cancel."""

    def __init__(self, x: Any, y: Any) -> None:
        import numpy as np

        self.count, self.origin = 0, (x.copy(), y.copy())
        self.x, self.y, self.squares = np.zeros(len(x)), np.zeros(len(y)), np.zeros(len(y))
        self.gram, self.cross = np.zeros((len(x), len(x))), np.zeros((len(x), len(y)))

    def add(self, x: Any, y: Any) -> None:
        """Count a batch in."""
        x, y = x - self.origin[0], y - self.origin[1]
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.gram += x.T @ x
        self.cross += x.T @ y
        self.squares += (y**2).sum(0)

    def moments(self) -> tuple[int, Any, Any, Any, Any, Any]:
        """Windows; covariances of features, of features with targets, variances of targets; both means."""
        import numpy as np

        n, x, y = self.count, self.x / self.count, self.y / self.count
        gram, cross = self.gram / n - np.outer(x, x), self.cross / n - np.outer(x, y)
        return n, gram, cross, self.squares / n - y**2, x + self.origin[0], y + self.origin[1]


def _least(values: Any, turned: Any, squares: Any, count: int) -> float:
    """The penalty with the least generalised cross-validation error, over equally weighted targets.

    With eigenvalues v and rotated cross-covariances t the residual is `s - sum t^2 (v + 2 a) / (v + a)^2` and the
    degrees of freedom `sum v / (v + a)`.
    """
    import numpy as np

    moves = squares > 1e-12
    best, found = float("inf"), float(10.0**HIGHEST)
    for power in np.linspace(LOWEST, HIGHEST, TRIED):
        alpha = float(10.0**power)
        gone = (turned[:, moves] ** 2 * ((values + 2 * alpha) / (values + alpha) ** 2)[:, None]).sum(0)
        freedom = float((values / (values + alpha)).sum()) + 1.0
        if freedom >= count:
            continue
        error = float(((squares[moves] - gone) / squares[moves]).sum()) / (1.0 - freedom / count) ** 2
        if error < best:
            best, found = error, alpha
    return found
