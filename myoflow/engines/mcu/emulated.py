"""Emulated: the rv32 lane; the network compiled for a plain 32-bit RISC-V core and run by Unicorn."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

MEMORY, FAR, STACK, STOP = 0x80000000, 0x90000000, 0xA0000000, 0xB0000000
STACK_BYTES = 1 << 16
PAINT = b"\xa5"


class Emulated:
    """One network in an emulator. `stack` is how many bytes of stack the deepest run so far has used."""

    def __init__(self, network: q.Network, sources: Sources, chip: Chip, folder: Path) -> None:
        made = write(sources, folder)
        command = toolchain.riscv_compiler() or []
        native = toolchain.native()
        parts = [native / name for name in (*toolchain.KERNELS, "platform/plain.c", "platform/bare.c")]
        path = folder / "network.elf"
        words = [
            "-O2",
            "-ffreestanding",
            "-nostdlib",
            "-static",
            "-fno-builtin",
            "-Wl,--no-gc-sections",
            f"-I{native}",
            "-DMF_BARE",
        ]
        words += [f"-T{native / 'platform' / 'bare.ld'}", f"-DMF_CORES={chip.cores}", f"-DMF_L1={chip.l1_kib * 1024}"]
        libraries = [] if toolchain.is_zig(command) else ["-lgcc"]
        toolchain.compile_c(command, [*made, *parts, *map(Path, libraries)], path, words)
        self._network = network
        self._begins = ("net_begin",) if network.open else ()
        self.stack = 0
        self._load(path, sources.weights)

    def _load(self, path: Path, weights: bytes) -> None:
        unicorn: Any = import_module("unicorn")
        ELFFile: Any = import_module("elftools.elf.elffile").ELFFile

        self._machine: Any = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        with path.open("rb") as file:
            elf = ELFFile(file)
            loaded = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
            top = max(s["p_vaddr"] + s["p_memsz"] for s in loaded)
            self._machine.mem_map(MEMORY, _pages(top - MEMORY))
            for segment in loaded:
                self._machine.mem_write(segment["p_vaddr"], segment.data())
            table = elf.get_section_by_name(".symtab")
            self._at = {name: table.get_symbol_by_name(name)[0]["st_value"]
                        for name in ("net_input", "net_run", "mf_trace", "mf_l3", *self._begins)}  # fmt: skip
        self._machine.mem_map(FAR, _pages(len(weights) or 1))
        self._machine.mem_write(FAR, weights)
        self._machine.mem_map(STACK, STACK_BYTES)
        self._machine.mem_map(STOP, 4096)
        self._machine.mem_write(self._at["mf_l3"], FAR.to_bytes(4, "little"))
        self._watch: Watch | None = None
        self._machine.hook_add(unicorn.UC_HOOK_CODE, self._traced, begin=self._at["mf_trace"], end=self._at["mf_trace"])

    def _traced(self, machine: Any, *_: Any) -> None:
        r: Any = import_module("unicorn.riscv_const")
        if self._watch is not None:
            places = (r.UC_RISCV_REG_A0, r.UC_RISCV_REG_A1, r.UC_RISCV_REG_A2)
            layer, at, size = (machine.reg_read(place) & 0xFFFFFFFF for place in places)
            self._watch(layer, bytes(machine.mem_read(at, size)))

    def _call(self, name: str, argument: int = 0) -> int:
        unicorn, r = import_module("unicorn"), import_module("unicorn.riscv_const")
        self._machine.reg_write(r.UC_RISCV_REG_SP, STACK + STACK_BYTES - 16)
        self._machine.reg_write(r.UC_RISCV_REG_RA, STOP)
        self._machine.reg_write(r.UC_RISCV_REG_A0, argument)
        try:
            self._machine.emu_start(self._at[name], STOP)
        except unicorn.UcError as error:
            at = self._machine.reg_read(r.UC_RISCV_REG_PC)
            raise MyoflowError(f"the emulated network stopped at {at:#x} in {name}: {error}") from error
        return int(self._machine.reg_read(r.UC_RISCV_REG_A0)) & 0xFFFFFFFF

    def run(self, window: Ints, watch: Watch | None = None) -> Ints:
        self._watch = watch
        self._machine.mem_write(STACK, PAINT * STACK_BYTES)
        data = np.ascontiguousarray(window, np.int8)
        network = self._network.fitting(data.shape)
        if network.open:
            self._call("net_begin", data.shape[1])
        self._machine.mem_write(self._call("net_input"), data.tobytes())
        out = network.output
        answer = bytes(self._machine.mem_read(self._call("net_run"), out.bytes))
        untouched = bytes(self._machine.mem_read(STACK, STACK_BYTES))
        self.stack = max(self.stack, len(untouched.lstrip(PAINT)) - 16)
        made: Ints = np.frombuffer(answer, np.dtype(out.dtype).newbyteorder("<")).reshape(out.shape)
        return made


def _pages(size: int) -> int:
    return -(-size // 4096) * 4096
