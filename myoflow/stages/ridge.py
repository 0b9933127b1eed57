"""ridge: linear regression with a penalty on features, the classical baseline for continuous targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from myoflow.errors import InputError, PlanError
from myoflow.spec import FEATURES, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.stages.regress import plan_regressor, sizes
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel

LOWEST, HIGHEST, TRIED = -5.0, 2.0, 15  # powers of ten of the penalty that `auto` tries
FOLDS, TURN = 8, 200  # of its cross-validation, and windows in a row that go to one fold


@stage("ridge")
@frozen
class Ridge(Stage):
    """Ridge regression of the whole trajectory on features: `(window, feature)` -> `(window, step, target)`.

    Features are standardised by the training split; W minimises `|Y - X W|^2 / n + alpha |W|^2` over n windows. `alpha:
    auto` takes the least error in cross-validation, each target divided by its own variance, over eight folds that take
    turns in runs of 200 windows: windows of one run overlap, so that single ones left out would tell nothing. Only sums
    over windows are kept in memory.
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

        folds: list[_Sums] = []
        seen = 0
        for x, y in batches:
            rows, wanted = np.asarray(x, np.float64), np.asarray(y, np.float64).reshape(len(x), -1)
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=0))
            if len(bad):
                raise InputError(f"ridge got {len(bad)} features that are not finite (first: number {bad[0]})")
            folds = folds or [_Sums(rows[0], wanted[0]) for _ in range(FOLDS)]
            fold = (seen + np.arange(len(rows))) // TURN % FOLDS
            for number in np.unique(fold):
                folds[number].add(rows[fold == number], wanted[fold == number])
            seen += len(rows)
        if not seen:
            raise InputError("ridge needs training windows, but the training split has none")
        whole = _Sums.of(folds)
        alpha = _least(folds, whole) if self.alpha == "auto" else self.alpha
        solution = _Solution(whole)
        return {
            "mean": solution.mean_x,
            "scale": solution.scale,
            "weights": solution.weights(alpha),
            "intercept": solution.mean_y,
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

    @classmethod
    def of(cls, several: Sequence[_Sums]) -> _Sums:
        """All of them together; they have one origin."""
        total = cls(*several[0].origin)
        for name in ("count", "x", "y", "squares", "gram", "cross"):
            setattr(total, name, sum(getattr(sums, name) for sums in several))
        return total


class _Solution:
    """The regression of some sums, for any penalty."""

    def __init__(self, sums: _Sums) -> None:
        import numpy as np

        n, (origin_x, origin_y) = sums.count, sums.origin
        self.x, self.y = sums.x / n, sums.y / n  # means around the origin
        self.mean_x, self.mean_y = self.x + origin_x, self.y + origin_y
        gram, cross = sums.gram / n - np.outer(self.x, self.x), sums.cross / n - np.outer(self.x, self.y)
        deviation = np.sqrt(np.maximum(np.diag(gram), 0.0))
        self.scale = np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(self.mean_x)), deviation, 1.0)
        values, self.vectors = np.linalg.eigh(gram / np.outer(self.scale, self.scale))
        self.values = np.maximum(values, 0.0)
        self.turned = self.vectors.T @ (cross / self.scale[:, None])

    def weights(self, alpha: float) -> Any:
        """`(feature, output)` of standardised features."""
        return self.vectors @ (self.turned / (self.values + alpha)[:, None])

    def errors(self, alpha: float, other: _Sums) -> Any:
        """Summed squared error of each output on the windows of other sums."""
        w = self.weights(alpha) / self.scale[:, None]
        level = self.y - self.x @ w  # what is said at the origin
        squares = other.squares - 2 * (w * other.cross).sum(0) + (w * (other.gram @ w)).sum(0)
        return squares + 2 * level * (other.x @ w - other.y) + other.count * level**2


def _least(folds: Sequence[_Sums], whole: _Sums) -> float:
    """The penalty with the least cross-validated error; the strongest one where there is but one fold to learn from."""
    import numpy as np

    used = [fold for fold in folds if fold.count]
    if len(used) < 2:
        return float(10.0**HIGHEST) if whole.count < 2 else 1.0
    variance = whole.squares / whole.count - (whole.y / whole.count) ** 2
    moves = variance > 1e-12
    powers = np.linspace(LOWEST, HIGHEST, TRIED)
    errors = np.zeros(TRIED)
    for left in used:
        solution = _Solution(_Sums.of([fold for fold in used if fold is not left]))
        errors += [float((solution.errors(10.0**p, left)[moves] / variance[moves]).sum()) for p in powers]
    return float(10.0 ** powers[int(errors.argmin())])
