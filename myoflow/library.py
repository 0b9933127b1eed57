"""Library: finds recipes, datasets and backends by name, shipped or the user's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from myoflow.errors import InputError, did_you_mean

Shelf = Literal["recipes", "datasets", "backends"]


def root() -> Path:
    """The folder that holds the three shelves: inside the wheel, or the top of a checkout."""
    packaged = Path(str(files("myoflow"))) / "_data"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent


def names(shelf: Shelf) -> list[str]:
    """Names on a shelf; a file in the user's folder `./<shelf>/` adds to or hides the shipped ones."""
    found = {p.stem for folder in (root() / shelf, Path.cwd() / shelf) for p in folder.glob("*.yaml") if p.is_file()}
    return sorted(found)


def find(shelf: Shelf, name: str) -> Path:
    """Path of a YAML file by path or by name.

    A path that exists wins, then `./<shelf>/<name>.yaml`, then the shipped file.

    Raises:
        InputError: nothing of that name.
    """
    given = Path(name)
    if given.suffix in (".yaml", ".yml"):
        if given.is_file():
            return given
        if given.parent not in (Path(), Path(shelf)):
            raise InputError(f"there is no file {given}")
        name = given.stem
    for folder in (Path.cwd() / shelf, root() / shelf):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    kind = shelf[:-1]
    close = did_you_mean(name, names(shelf)) or ";"
    raise InputError(f"there is no {kind} '{name}'{close} `myoflow list {shelf}` shows them")


def headline(path: Path) -> str:
    """What a YAML file says of itself: its first comment line."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return next((line.lstrip("# ").rstrip() for line in file if line.startswith("#")), "")
