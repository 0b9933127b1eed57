"""Qemued: the qemu lane; the network compiled for a plain 32-bit RISC-V core and run by QEMU's user mode."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from myoflow.engines.mcu import toolchain
from myoflow.engines.mcu.compiled import write
from myoflow.errors import MyoflowError

if TYPE_CHECKING:
    from myoflow.backend import Chip
    from myoflow.engines.mcu import layers as q
    from myoflow.engines.mcu.emit import Sources
    from myoflow.engines.mcu.layers import Ints
    from myoflow.engines.mcu.runner import Watch

COMMANDS = ("qemu-riscv32", "qemu-riscv32-static")
LIMIT_S = 600


def command() -> str | None:
    """QEMU's user mode for 32-bit RISC-V; None where it is not installed."""
    return next((found for name in COMMANDS if (found := shutil.which(name))), None)


class Qemued:
    """One network; every window is a process of its own, which tells all layers."""

    def __init__(self, network: q.Network, sources: Sources, chip: Chip, folder: Path) -> None:
        made = write(sources, folder)
        compiler, native = toolchain.riscv_compiler() or [], toolchain.native()
        names = (*toolchain.KERNELS, "platform/plain.c", "platform/bare.c", "platform/linux32.c")
        self._folder, self._network = folder.resolve(), network
        words = ["-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-builtin"]
        words += [
            f"-I{native}",
            f"-I{folder}",
            "-DMF_BARE",
            f"-DMF_CORES={chip.cores}",
            f"-DMF_L1={chip.l1_kib * 1024}",
        ]
        zig = toolchain.is_zig(compiler)
        words += [] if zig else ["-Wl,--no-relax"]  # GNU ld would address data by a register that nobody sets
        libraries = [] if zig else [Path("-lgcc")]
        parts = [*made, *(native / name for name in names), *libraries]
        toolchain.compile_c(compiler, parts, self._folder / "network.elf", words)
        (folder / "weights.bin").write_bytes(sources.weights)

    def run(self, window: Ints, watch: Watch | None = None) -> Ints:
        data = np.ascontiguousarray(window, np.int8)
        network = self._network.fitting(data.shape)
        done = subprocess.run(
            [command() or COMMANDS[0], str(self._folder / "network.elf")],
            input=network.begin(data.shape[1]) + data.tobytes(),
            cwd=self._folder,
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
        )
        at, told, last = 0, 0, b""
        while not done.returncode and at + 8 <= len(done.stdout):
            layer, size = struct.unpack_from("<II", done.stdout, at)
            last = done.stdout[at + 8 : at + 8 + size]
            at, told = at + 8 + size, told + 1
            if watch is not None:
                watch(layer, last)
        out = network.output
        if told != len(network.layers) - 1 or len(last) != out.bytes:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise MyoflowError(f"QEMU ended with {done.returncode} after {told} layers: {said}")
        made: Ints = np.frombuffer(last, np.dtype(out.dtype).newbyteorder("<")).reshape(out.shape)
        return made
