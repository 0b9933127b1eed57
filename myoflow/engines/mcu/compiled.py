"""Compiled: the host lane; the network as a shared library of this machine, called in this process."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from myoflow.engines.mcu import toolchain

if TYPE_CHECKING:
    from myoflow.backend import Chip
    from myoflow.engines.mcu import layers as q
    from myoflow.engines.mcu.emit import Sources
    from myoflow.engines.mcu.layers import Ints
    from myoflow.engines.mcu.runner import Watch

_WATCH = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)


def write(sources: Sources, folder: Path) -> list[Path]:
    """The generated files in `folder`; gives the C files."""
    for name, text in sources.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in sources.files if name.endswith(".c")]


class Compiled:
    """One network, loaded. Not for several threads at once: its memory is static, as on the device."""

    def __init__(
        self, network: q.Network, sources: Sources, chip: Chip, folder: Path, options: tuple[str, ...] = ()
    ) -> None:
        made = write(sources, folder)
        command = toolchain.host_compiler() or []
        kernels = [toolchain.native() / name for name in (*toolchain.KERNELS, "platform/plain.c")]
        path = folder / f"network{'.dll' if sys.platform == 'win32' else '.so'}"
        native = [] if toolchain.is_zig(command) else ["-march=native"] if _x86() else []
        sizes = [f"-DMF_CORES={chip.cores}", f"-DMF_L1={chip.l1_kib * 1024}"]
        words = ["-O3", "-shared", "-fPIC", *native, f"-I{toolchain.native()}", *sizes, *options]
        toolchain.compile_c(command, [*made, *kernels], path, words)
        self._begin(network, sources, path)

    def _begin(self, network: q.Network, sources: Sources, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._weights = ctypes.create_string_buffer(sources.weights, len(sources.weights) or 1)
        ctypes.c_void_p.in_dll(self._library, "mf_l3").value = ctypes.addressof(self._weights)
        self._library.net_input.restype = self._library.net_run.restype = ctypes.c_void_p
        self._input = self._library.net_input()
        self._network = network

    def run(self, window: Ints, watch: Watch | None = None) -> Ints:
        data = np.ascontiguousarray(window, np.int8)
        network = self._network.fitting(data.shape)
        if network.open:
            self._library.net_begin(data.shape[1])
        ctypes.memmove(self._input, data.ctypes.data, data.nbytes)
        hook = _WATCH(lambda layer, at, size: watch(layer, ctypes.string_at(at, size)) if watch else None)
        ctypes.c_void_p.in_dll(self._library, "mf_watch").value = (
            ctypes.cast(hook, ctypes.c_void_p).value if watch else None
        )
        at = self._library.net_run()
        made = np.frombuffer(ctypes.string_at(at, network.output.bytes), network.output.dtype)
        out: Ints = made.reshape(network.output.shape)
        return out


def _x86() -> bool:
    import platform

    return platform.machine().lower() in ("x86_64", "amd64")
