"""Scaling: what zscore, minmax and robust share; `y = (x - centre) / scale`, per channel or for all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FEATURES, SIGNAL, WINDOWS, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from myoflow.dsp.kernel import Array, Kernel
    from myoflow.stage import State

Method = Literal["zscore", "minmax", "robust"]
Per = Literal["channel", "all"]


def plan_scaling(name: str, over: str, per: str, spec: Spec) -> Spec:
    """The Spec after a scaling stage: same sizes, no unit. Raises PlanError."""
    if over == "window":
        spec.expect(WINDOWS)
    elif over == "train":
        spec.expect(SIGNAL, WINDOWS, FEATURES)
    else:
        spec.expect(SIGNAL)
    if spec.dims == FEATURES and per == "all":
        raise PlanError("on features works per feature; leave per out", field="per")
    out = spec.evolve(units="1")
    if over == "recording":
        alternative = "over: train" if name != "zscore" else "over: train and over: running"
        return out.block(f"{name} with over: recording needs the whole recording; {alternative} do not")
    return out


def scaling_kernel(method: Method, over: str, per: Per, spec: Spec, state: State | None) -> Kernel:
    """Host kernel of a scaling stage with `over` window, recording or train."""
    import numpy as np

    from myoflow.dsp import statistics
    from myoflow.dsp.kernel import Whole
    from myoflow.dsp.scaled import Affine, PerWindow

    pooled = per == "all"
    if over == "recording":
        channels = spec.size("channel")

        def scale_whole(x: Array) -> Array:
            scaled: Array = statistics.scale_windows(method, x[None], pooled)[0]
            return scaled

        return Whole(scale_whole, channels, channels)
    empty = tuple(0 if size is None else size for size in spec.sizes)
    if over == "window":
        return PerWindow(method, pooled, empty, spec.open_axis)
    assert state is not None, "a stage over: train is planned only with its state"
    centre, scale = (np.asarray(state[key], np.float64) for key in ("centre", "scale"))
    if spec.dims != FEATURES:
        centre, scale = centre[:, None], scale[:, None]
    return Affine(centre, scale, empty, spec.open_axis)


def fit_scaling(method: Method, per: Per, spec: Spec, batches: Iterable[tuple[Array, Array | None]]) -> State:
    """`centre` and `scale`, float64 per channel (or feature), from the training split."""
    from myoflow.dsp import statistics

    axis = 1 if spec.dims in (WINDOWS, FEATURES) else 0
    rows = spec.sizes[axis]
    assert rows is not None
    learner = statistics.LEARNERS[method](rows, per == "all")
    for x, _ in batches:
        learner.add(x.swapaxes(0, axis).reshape(rows, -1))
    centre, scale = learner.result()
    return {"centre": centre, "scale": scale}
