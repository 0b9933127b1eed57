"""Lanes: where the C code runs, each saying honestly whether it can here.

`host` compiles for this machine, `rv32` for a plain 32-bit RISC-V core that Unicorn emulates, `qemu` for the same
in QEMU, `gvsoc` for the PULP-open cluster in the simulator of that name, both where they are installed. `sdk` is
looked for and reported; the exported project builds there.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from myoflow.engines.mcu import toolchain
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.backend import Chip
    from myoflow.engines.mcu import layers as q
    from myoflow.engines.mcu.emit import Sources
    from myoflow.engines.mcu.runner import Runner

LANES = ("host", "rv32", "qemu", "gvsoc", "sdk")
RUNNABLE = ("host", "rv32", "qemu", "gvsoc")


def missing(lane: str) -> str | None:
    """Why a lane cannot run here, with what to do; None when it can."""
    if lane == "host":
        return None if toolchain.host_compiler() else f"no C compiler: install gcc or clang, or {toolchain.PIP}"
    if lane == "rv32":
        lacking = [name for name in ("unicorn", "elftools") if find_spec(name) is None]
        if lacking or toolchain.riscv_compiler() is None:
            return f"needs unicorn, pyelftools and a RISC-V compiler: {toolchain.PIP}"
        return None
    if lane == "qemu":
        from myoflow.engines.mcu import qemued

        if qemued.command() is None:
            return "no qemu-riscv32 on PATH: install QEMU's user mode (Debian: qemu-user)"
        return None if toolchain.riscv_compiler() else f"needs a RISC-V compiler: {toolchain.PIP}"
    if lane == "gvsoc":
        if shutil.which("gvsoc") is None:
            return "no `gvsoc` on PATH: build github.com/gvsoc/gvsoc, target pulp-open, and put its bin folder there"
        return None if toolchain.riscv_compiler() else f"needs a RISC-V compiler: {toolchain.PIP}"
    if lane == "sdk":
        if not os.environ.get("GAP_SDK_HOME"):
            return "GAP_SDK_HOME is not set: source the GAP SDK's environment"
        return "found, but built there by hand: `myoflow export` writes the project with its Makefile"
    raise InputError(f"there is no lane '{lane}'; lanes: {', '.join(LANES)}")


def build(lane: str, network: q.Network, sources: Sources, chip: Chip, folder: Path) -> Runner:
    """Compile for a lane, in `folder`. Raises InputError where the lane cannot run."""
    reason = missing(lane)
    if reason:
        raise InputError(f"lane '{lane}' cannot run on this machine: {reason}")
    if lane == "rv32":
        from myoflow.engines.mcu.emulated import Emulated

        return Emulated(network, sources, chip, folder)
    if lane == "qemu":
        from myoflow.engines.mcu.qemued import Qemued

        return Qemued(network, sources, chip, folder)
    if lane == "gvsoc":
        from myoflow.engines.mcu.simulated import Simulated

        return Simulated(network, sources, chip, folder)
    from myoflow.engines.mcu.compiled import Compiled

    return Compiled(network, sources, chip, folder)
