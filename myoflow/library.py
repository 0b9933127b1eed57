"""Library: finds recipes, datasets and backends by name, shipped or the user's own."""

from __future__ import annotations

import os
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

    What ends in .yaml or .yml, or has a slash, is a path and nothing else. Of a name `./<shelf>/<name>.yaml` wins over
    the shipped file.

    Raises:
        InputError: no such file, or nothing of that name.
    """
    given = Path(name)
    if given.suffix in (".yaml", ".yml") or "/" in name or os.sep in name:
        return _file(shelf, given)
    for folder in (Path.cwd() / shelf, root() / shelf):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    kind = shelf[:-1]
    close = did_you_mean(name, names(shelf)) or ";"
    raise InputError(f"there is no {kind} '{name}'{close} `myoflow list {shelf}` shows them")


def _file(shelf: Shelf, given: Path) -> Path:
    if given.suffix in (".yaml", ".yml"):
        if given.is_file():
            return given
        # Not taken for it: whoever mistypes the path of a file of their own must not get ours.
        shipped = f"; the {shelf[:-1]} of that name is called '{given.stem}'" if given.stem in names(shelf) else ""
        raise InputError(f"there is no file {given}{shipped}")
    if given.is_file():
        raise InputError(f"{given}: a {shelf[:-1]}'s file ends in .yaml")
    raise InputError(f"there is no file {given}, and '/' stands in no {shelf[:-1]}'s name")


def headline(path: Path) -> str:
    """What a YAML file says of itself: its first comment line."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return next((line.lstrip("# ").rstrip() for line in file if line.startswith("#")), "")
