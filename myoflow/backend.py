"""Backend: the card of a place where stages run, from `backends/*.yaml`."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, optional

from myoflow import library
from myoflow.errors import did_you_mean
from myoflow.language.build import load_one
from myoflow.typed import frozen


@frozen
class Chip:
    """A microcontroller's cluster for the mcu engine: memories in KiB, what runtime and code keep of them, bytes a
    cycle between L2 and L1 (`dma_bytes`) and from L3 (`l3_bytes`), two operating points, and the power at the fast one.

    `power_mw` is one published figure; the model scales it by frequency and by the square of the voltage.
    """

    cores: int = attrs.field(default=8, validator=ge(1))
    l1_kib: int = attrs.field(default=128, validator=ge(1))
    l1_kept_kib: int = attrs.field(default=0, validator=ge(0))
    l2_kib: int = attrs.field(default=1536, validator=ge(1))
    l2_kept_kib: int = attrs.field(default=0, validator=ge(0))
    l3_kib: int = attrs.field(default=8192, validator=ge(0))
    dma_bytes: float = attrs.field(default=8.0, validator=gt(0))
    l3_bytes: float = attrs.field(default=1.0, validator=gt(0))
    fast_mhz: float = attrs.field(default=370.0, validator=gt(0))
    fast_volt: float = attrs.field(default=0.8, validator=gt(0))
    slow_mhz: float = attrs.field(default=240.0, validator=gt(0))
    slow_volt: float = attrs.field(default=0.65, validator=gt(0))
    power_mw: float = attrs.field(default=57.18, validator=gt(0))


@frozen
class Backend:
    """Where stages run. `engine` is the code that runs them, `device` what it runs on, in training, too.

    `precision` is what inference computes in; training has its own (`train.precision`). `threads` is how many cores it
    uses; left out, one for a few windows at a time and all for many. `compile` has torch compile the network.
    `float_layers` are patterns (`*classifier*`) of matrix products that an int8 backend leaves in float.
    `chip` is the microcontroller of the mcu engine, `lane` what stands in for it here (`auto`: the host's compiler).
    Against torch in float32, 99.9 % of each head's numbers may differ by `tolerance` times their root mean square, none
    by ten times that, and a metric may lose `metric_tolerance` percentage points (`myoflow verify`).
    """

    name: str
    engine: str
    title: str = ""
    description: str = ""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bf16", "int8"] = "float32"
    threads: int | None = attrs.field(default=None, validator=optional(ge(1)))
    compile: bool = False
    float_layers: tuple[str, ...] = ()
    chip: Chip = attrs.field(factory=Chip)
    lane: Literal["auto", "host", "rv32", "qemu", "gvsoc", "sdk"] = "auto"
    tolerance: float = attrs.field(default=1e-4, validator=ge(0))
    metric_tolerance: float = attrs.field(default=0.1, validator=ge(0))

    @property
    def exact(self) -> bool:
        """Whether this is what other backends are measured against: torch in float32 on the CPU, or the host."""
        plain = self.engine == "torch" and self.precision == "float32" and self.device == "cpu"
        return self.engine == "host" or (plain and not self.compile)


def load_backend(name: str) -> Backend:
    """A backend by name or path.

    Raises:
        InputError: there is none of that name.
        RecipeError: its file is wrong, with line and column.
    """
    path = library.find("backends", name)
    return _load(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: Path, changed: int) -> Backend:
    backend, builder = load_one(Backend, path, "backend")
    known = engines()
    if backend.engine not in known:
        close = did_you_mean(backend.engine, known) or "."
        message = f"there is no engine '{backend.engine}'{close} Engines: {', '.join(known)}"
        builder.fail(message, builder.document.value_at(("engine",)))
    builder.check()
    return backend


def engines() -> list[str]:
    """Names of all engines, built-in and from plugins, without importing one (that costs numpy or torch)."""
    folder = Path(__file__).parent / "engines"
    built_in = {module.name for module in pkgutil.iter_modules([str(folder)])}
    return sorted(built_in | {point.name for point in entry_points(group="myoflow.engines")})
