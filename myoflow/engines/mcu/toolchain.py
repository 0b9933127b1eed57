"""Toolchain: the native library's files, and a C compiler for this machine or for plain RISC-V, found or from pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from myoflow import library
from myoflow.errors import InputError, MyoflowError

KERNELS = ("mf_dots.c", "mf_linear.c", "mf_attention.c", "mf_rows.c")
XPULP = ("mf_dots.S",)  # beside them with -DMF_XPULP
SIGNAL = ("mf_signal.c", "mf_signal.h")
HEADERS = ("mf.h", "mf_micro.h")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror")
RISCV_GCC = ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc")
PIP = "pip install 'myoflow[mcu]'"


def native() -> Path:
    """The folder of the hand-written C library."""
    return library.root() / "backends" / "gap9"


def host_compiler() -> list[str] | None:
    """A command that compiles C for this machine: $CC, gcc, clang or cc, else zig from pip; or None."""
    for name in (os.environ.get("CC", ""), "gcc", "clang", "cc"):
        found = shutil.which(name) if name else None
        if found:
            return [found]
    return _zig()


def riscv_compiler() -> list[str] | None:
    """The same for 32-bit RISC-V without an operating system."""
    for name in RISCV_GCC:
        found = shutil.which(name)
        if found:
            return [found, "-march=rv32imc", "-mabi=ilp32"]
    zig = _zig()
    return [*zig, "-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c"] if zig else None


def _zig() -> list[str] | None:
    return [sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=all"] if find_spec("ziglang") else None


def is_zig(command: Sequence[str]) -> bool:
    """Whether the command is zig's."""
    return "ziglang" in command


def compile_c(command: Sequence[str], sources: Sequence[Path], out: Path, options: Sequence[str]) -> None:
    """Compile and link. Raises MyoflowError with the compiler's first complaint, InputError where it cannot start."""
    words = [*command, *STRICT, *options, "-o", str(out), *map(str, sources)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    except OSError as error:
        raise InputError(f"the C compiler {command[0]} cannot be started ({error}); set CC, or {PIP}") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["nothing"]
        raise MyoflowError(f"{Path(command[0]).name} does not compile the network: {said[0]}")
