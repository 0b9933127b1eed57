"""Backend: the card of a place where stages run, from `backends/*.yaml`."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from myoflow import library
from myoflow.build import load_one
from myoflow.errors import did_you_mean
from myoflow.typed import frozen


@frozen
class Backend:
    """Where stages run. `engine` is the code that runs them, `device` what it runs on, in training, too."""

    name: str
    engine: str
    title: str = ""
    description: str = ""
    device: Literal["cpu", "cuda"] = "cpu"


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
