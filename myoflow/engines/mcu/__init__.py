"""mcu engine: a compiler from a trained segment to integer C for a cluster of small cores.

A file a step: capture (torch to IR), ranges and quantise (IR to integers), reference (those integers in NumPy), plan
(tiles and memory), price (cycles and energy), emit (C), lanes (where the C runs here). The hand-written kernels are in
`backends/gap9/`, their arithmetic is specified in docs/gap9.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.engine import ENGINES, Engine, Parameters, Program, Segment
from myoflow.errors import InputError
from myoflow.stage import Stage

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array


@ENGINES.add("mcu")
class McuEngine(Engine):
    """What torch can run, in integers, as on the chip; here through the lane that the backend names."""

    def runs(self, stage: type[Stage]) -> bool:
        return stage.on_torch()

    def missing(self, backend: Backend) -> str | None:
        from myoflow.engines.mcu import lanes

        if backend.precision != "int8":
            return f"the mcu engine computes in int8, not in {backend.precision}"
        chosen = lane_of(backend)
        return lanes.missing(chosen)

    def here(self, backend: Backend) -> str:
        from myoflow.engines.mcu import lanes

        found = {lane: lanes.missing(lane) for lane in lanes.LANES}
        working = ", ".join(lane for lane, reason in found.items() if reason is None) or "none"
        rest = "; ".join(f"{lane}: {reason}" for lane, reason in found.items() if reason is not None)
        works = self.missing(backend) or "works"
        return f"{works}; lanes that run here: {working}" + (f"; not {rest}" if rest else "")

    def choices(self, backend: Backend) -> tuple[str, ...]:
        return (f"int8 C on the lane '{lane_of(backend)}'",)

    def calibrates(self, backend: Backend) -> bool:
        return True

    def compile(
        self, segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None = None
    ) -> Program:
        from myoflow.engines.mcu.build import compiled
        from myoflow.engines.mcu.program import McuProgram

        reason = self.missing(backend)
        if reason:
            raise InputError(f"backend '{backend.name}' cannot run on this machine: {reason}")
        if calibration is None or len(calibration) == 0:
            raise InputError(f"backend '{backend.name}' needs training windows to measure its ranges on, and got none")
        return McuProgram(compiled(segment, backend, parameters, calibration), segment, lane_of(backend))


def lane_of(backend: Backend) -> str:
    """The lane a backend asks for; `auto` is the host's compiler."""
    return "host" if backend.lane == "auto" else backend.lane
