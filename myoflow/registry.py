"""Registry: short name -> class, for stages, readers, tasks and engines; plugins come by entry point.

A YAML file can only name what is registered here, never an import path.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from myoflow.errors import InputError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Named classes of one kind.

    `package` is the folder whose modules register the built-in ones; it is imported at the first look-up.
    Third parties register through the entry-point group of the same name (`myoflow.stages`, ...).
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._found: dict[str, type[T]] = {}
        self._broken: dict[str, str] = {}
        self._loaded = self._loading = False
        self._lock = threading.RLock()

    def add(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that registers under `name` and sets the class's `name`."""

        def decorate(cls: type[T]) -> type[T]:
            known = self._found.get(name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise RuntimeError(f"two {self.kind}s are called '{name}': {known.__module__} and {cls.__module__}")
            cls.name = name  # type: ignore[attr-defined]
            self._found[name] = cls
            return cls

        return decorate

    def _load(self) -> None:
        if self._loaded:
            return
        with self._lock:  # another thread may be half-way; re-entrant, as a module may look itself up
            if self._loading:
                return
            self._loading = True
            folder = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(folder.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            for point in entry_points(group=self.package):
                if point.name not in self._found:
                    try:
                        self.add(point.name)(point.load())
                    except Exception as error:  # somebody else's package, which must not stop everything else
                        whose = f" of {point.dist.name}" if point.dist is not None else ""
                        self._broken[point.name] = f"{point.value}{whose} cannot be imported: {error}"
            self._loaded = True

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._found))

    def _load_one(self, name: str) -> None:
        """The file that bears the name, if there is one: the others, and what they import, are not needed for it."""
        if self._loaded or name in self._found or not name.isidentifier():
            return
        with self._lock:
            if not self._loading and importlib.util.find_spec(f"{self.package}.{name}") is not None:
                importlib.import_module(f"{self.package}.{name}")

    def __getitem__(self, name: str) -> type[T]:
        self._load_one(name)
        if name in self._found:
            return self._found[name]
        self._load()
        if name in self._broken:
            raise InputError(f"{self.kind} '{name}' is a plugin, and {self._broken[name]}; mend or uninstall it")
        if name not in self._found:
            raise InputError(f"there is no {self.kind} '{name}'{did_you_mean(name, self._found)}")
        return self._found[name]
