"""Program: a compiled network fed with windows of real numbers, through the C code of one lane."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.engines.mcu import explain, lanes, reference
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters, Segment
    from myoflow.engines.mcu.build import Build
    from myoflow.engines.mcu.device import Device
    from myoflow.engines.mcu.runner import Runner
    from myoflow.pipeline import Plan


class McuProgram:
    """Windows of real numbers through the C code of one lane; compiled at the first window."""

    def __init__(self, build: Build, segment: Segment, lane: str) -> None:
        self.build = build
        self._lane, self._name = lane, segment.backend
        self._rate_hz = segment.input.rate_hz
        self._shape = tuple(0 if size is None else size for size in segment.output.sizes)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runner: Runner | None = None
        made, kib = build.plan, 1024
        times = ", ".join(f"{p.seconds:.3f} s and {p.millijoules:.1f} mJ at {p.mhz:g} MHz" for p in build.points)
        self.choices = (
            f"int8 C on the lane '{lane}'",
            *build.network.choices,
            *self._limits(segment.input.longest_s),
            f"L1 {made.l1 / kib:.0f} KiB, L2 {made.l2 / kib:.0f} KiB, L3 {made.l3_bytes / kib:.0f} KiB",
            f"by the model {made.cycles / 1e6:.1f} M cycles: {times}",
        )

    def _limits(self, asked_s: float | None) -> tuple[str, ...]:
        """How long utterances may be, in words."""
        if not self.build.network.open:
            return ()
        most = self.build.network.input.width / self._rate_hz
        short = asked_s is not None and most < asked_s - 0.5 / self._rate_hz
        why = f" ({asked_s:g} s would not fit its memory)" if short else ""
        return (f"utterances of up to {most:.2f} s{why}, each computed alone",)

    @property
    def details(self) -> list[dict[str, Any]]:
        """Sections of a report: prices, memory, a row per layer."""
        return explain.sections(self.build, self._name, self._rate_hz)

    @property
    def runner(self) -> Runner:
        """The C code, built when it is first asked for."""
        if self._runner is None:
            self._folder = tempfile.TemporaryDirectory(prefix="myoflow-mcu-")
            build = self.build
            folder = Path(self._folder.name)
            self._runner = lanes.build(self._lane, build.network, build.sources, build.plan.chip, folder)
        return self._runner

    def front(self, plan: Plan, parameters: Parameters, index: int) -> Device | None:
        """What stands before step `index`, the network's first, in the device's integers; on the lane host alone.

        Raises:
            InputError: a stage without an integer form, by name.
        """
        from myoflow.engines.mcu import front
        from myoflow.engines.mcu.device import Device

        if self._lane != "host" or self.build.network.open or parameters.calibration is None:
            return None
        unit = float(self.build.network.input.scale)
        return Device(front.front(plan, parameters, index, parameters.calibration, unit), unit)

    def feed(self, chunk: Array) -> Array:
        if len(chunk) == 0:
            return self.flush()
        reference.check_finite(chunk)
        whole = self.build.network
        if whole.open and chunk.shape[-1] > whole.input.width:
            long, most = (size / self._rate_hz for size in (chunk.shape[-1], whole.input.width))
            raise InputError(
                f"an utterance of {long:.2f} s is longer than backend '{self._name}' has memory for: up to "
                f"{most:.2f} s; cut it, or give the chip more l2_kib and l1_kib"
            )
        network = whole.at(chunk.shape[-1]) if whole.open else whole
        value, out = network.input, network.output
        integers = reference.quantise(np.asarray(chunk).reshape(len(chunk), *value.shape), value)
        answers = np.stack([self.runner.run(window) for window in integers])
        shape = out.shape if whole.open else self._shape[1:]
        made: Array = out.real(answers).astype(np.float32).reshape(len(chunk), *shape)
        return made

    def flush(self) -> Array:
        return np.empty(self._shape, np.float32)
