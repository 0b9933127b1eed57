"""Simulated: the gvsoc lane; the network on PULP-open, an open cluster like GAP9's, as GVSoC simulates it.

Nine cores, DMA, and weights that come from HyperRAM. Its cycles are those of that model, "PULP-open, GAP9-like", and no
measurement of GAP9: it knows no contention of memory banks and one clock for everything.
"""

from __future__ import annotations

import shutil
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

TARGET = "pulp_open_large_l1"
WORKER_STACK, CONTROLLER_STACK = 896, 2048
LAYERS = 160  # as platform/pulp_open.c counts them
LIMIT_S = 3600

# The board that GVSoC ships has 64 KiB of L1; this one is the same with as much as the chip has.
BOARD = """
import json
import os

import gvsoc.runner
from pulp.chips.pulp_open import pulp_open_board
from pulp.chips.pulp_open.pulp_open import Pulp_open

here = os.path.dirname(os.path.abspath(__file__))
plain = os.path.join(os.path.dirname(os.path.abspath(pulp_open_board.__file__)), "cluster.json")
with open(plain) as file:
    cluster = json.load(file)
cluster["l1"]["mapping"]["size"] = cluster["l1"]["ts_mapping"]["size"] = "{size:#x}"
path = os.path.join(here, "cluster.json")
with open(path, "w") as file:
    json.dump(cluster, file)


class Chip(Pulp_open):
    def __init__(self, *words, **named):
        super().__init__(*words, cluster_config_file=path, **named)


pulp_open_board.Pulp_open = Chip


class Target(gvsoc.runner.Target):
    gapy_description = "PULP-open with a larger L1"
    model = pulp_open_board.Pulp_open_board
    name = "{name}"

    def __init__(self, parser, options=None, name=None):
        super().__init__(parser, options, model=self.model, name=name)
"""


class Simulated:
    """One network in the simulator, minutes a window. `cycles` are the last run's: in all, then layer by layer."""

    def __init__(self, network: q.Network, sources: Sources, chip: Chip, folder: Path) -> None:
        made = write(sources, folder)
        command = toolchain.riscv_compiler() or []
        native = toolchain.native()
        names = (
            *toolchain.KERNELS,
            *toolchain.XPULP,
            "platform/pulp_open.S",
            "platform/pulp_open.c",
            "platform/bare.c",
        )
        words = ["-O3", "-ffreestanding", "-nostdlib", "-static", "-fno-builtin", f"-I{native}", f"-I{folder}"]
        words += ["-DMF_BARE", "-DMF_XPULP", '-DMF_L2=__attribute__((section(".l2")))', f"-DMF_CORES={chip.cores}"]
        words += [f"-DMF_L1={(chip.l1_kib - chip.l1_kept_kib) * 1024}", f"-DWORKER_STACK={WORKER_STACK}"]
        words += [f"-DCONTROLLER_STACK={CONTROLLER_STACK}", f"-T{native / 'platform' / 'pulp_open.ld'}"]
        libraries = [] if toolchain.is_zig(command) else [Path("-lgcc")]
        self.folder = folder.resolve()
        toolchain.compile_c(command, [*made, *(native / name for name in names), *libraries], folder / "net.elf", words)
        (folder / "weights.bin").write_bytes(sources.weights)
        (folder / f"{TARGET}.py").write_text(BOARD.format(size=chip.l1_kib * 1024, name=TARGET))
        self._network = network
        self.cycles: Ints = np.zeros(1 + len(network.layers), np.uint32)

    def run(self, window: Ints, watch: Watch | None = None) -> Ints:
        """As the other lanes; layers cannot be watched here, only counted."""
        data = np.ascontiguousarray(window, np.int8)
        network = self._network.fitting(data.shape)
        out = network.output
        (self.folder / "windows.bin").write_bytes(network.begin(data.shape[1]) + data.tobytes())
        for name in ("outputs.bin", "cycles.bin"):
            (self.folder / name).unlink(missing_ok=True)
        command = [shutil.which("gvsoc") or "gvsoc", f"--target-dir={self.folder}", f"--target={TARGET}"]
        command += ["--work-dir", str(self.folder), "--binary", str(self.folder / "net.elf")]
        done = subprocess.run(
            [*command, "image", "flash", "run"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        results = self.folder / "outputs.bin"
        if done.returncode or not results.is_file() or results.stat().st_size != out.bytes:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise MyoflowError(f"GVSoC ended with {done.returncode} and no output: {said[-1]}")
        counted = np.fromfile(self.folder / "cycles.bin", "<u4")
        self.cycles = counted[: len(self._network.layers)]
        made: Ints = np.frombuffer(results.read_bytes(), np.dtype(out.dtype).newbyteorder("<")).reshape(out.shape)
        return made
