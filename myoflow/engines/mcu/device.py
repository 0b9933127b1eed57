"""Device: the integer filters, window and scaling of the C code, fed with a live signal as the chip would be."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from myoflow.engines.mcu import front, toolchain
from myoflow.errors import MyoflowError

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


class Device:
    """Kernel: real samples `(channel, time)` in, windows `(window, channel, length)` out, as the network takes them.

    They are real numbers that stand for the device's integers exactly: `unit` is the step of the network's input. Any
    cut of the signal gives the same windows. Its memory is static C: every Device loads a library of its own.
    """

    def __init__(self, made: front.Front, unit: float) -> None:
        self._front, self._unit = made, unit
        self._folder = tempfile.TemporaryDirectory(prefix="myoflow-front-")
        folder, native = Path(self._folder.name), toolchain.native()
        for name, text in front.emit(made).items():
            if name.startswith("front"):
                (folder / name).write_text(text, encoding="utf-8")
        path = folder / f"front{'.dll' if sys.platform == 'win32' else '.so'}"
        words = ["-O2", "-shared", "-fPIC", f"-I{native}"]
        toolchain.compile_c(toolchain.host_compiler() or [], [folder / "front.c", native / "mf_signal.c"], path, words)
        self._library = ctypes.CDLL(str(path))
        self._window = np.empty((made.channels, made.length), np.int8)
        self._library.pipe_window.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def begin(self) -> None:
        """Forget the past."""
        self._library.pipe_begin()

    def feed(self, chunk: Array) -> Array:
        """Windows that these samples complete. Raises MyoflowError: a sample has no integer."""
        if not np.isfinite(chunk).all():
            raise MyoflowError(
                "the signal holds numbers that are not finite, which an integer filter cannot take: begin the "
                "pipeline with a quality stage"
            )
        samples = np.ascontiguousarray(self._front.integers(chunk).T)
        place, size = samples.ctypes.data, samples.itemsize * self._front.channels
        found = []
        for number in range(len(samples)):
            if self._library.pipe_window(place + number * size, self._window.ctypes.data):
                found.append(self._window.astype(np.float32) * np.float32(self._unit))
        return np.stack(found) if found else self.flush()

    def flush(self) -> Array:
        """Nothing is left at the end."""
        return np.empty((0, self._front.channels, self._front.length), np.float32)
