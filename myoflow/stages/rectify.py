"""rectify: absolute value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.spec import SIGNAL, WINDOWS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("rectify")
@frozen
class Rectify(Stage):
    """Full-wave rectification, `y = |x|`, per sample."""

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL, WINDOWS)
        return spec

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        import numpy as np

        from myoflow.dsp.kernel import Mapped

        shape = tuple(0 if size is None else size for size in spec.sizes)
        return Mapped(np.abs, shape, axis=spec.open_axis)
