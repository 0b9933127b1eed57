"""Host engine: a chain of stateful kernels in numpy and numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.dsp.kernel import Chain, Kernel, merge
from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.stage import Stage

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array


@ENGINES.add("host")
class HostEngine(Engine):
    """Signal stages, features and classical models; always there."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_host()

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        kernels = []
        for offset, (stage, spec) in enumerate(zip(segment.stages, segment.specs, strict=True)):
            state = parameters.states.get(segment.index + offset)
            if stage.fits and state is None:
                raise InputError(
                    f"{stage.name} learns from training data and has not been fitted; "
                    "run the recipe first, then use mf.load_run(RUN)"
                )
            kernels.append(stage.kernel(spec, state))
        links: list[Kernel] = []
        axes: list[int] = []
        for kernel, spec in zip(kernels, (*segment.specs[1:], segment.output), strict=True):
            both = merge(links[-1], kernel) if links else None  # filters in a row become one pass
            if both is not None:
                links[-1], axes[-1] = both, spec.open_axis
            else:
                links.append(kernel)
                axes.append(spec.open_axis)
        return Chain(links, axes)
