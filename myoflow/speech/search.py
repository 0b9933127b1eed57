"""Search: what words are searched with, as a task that has text says it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Search(Protocol):
    """Settings of a search for words; `tasks.recognise.Recognise` says what each means."""

    @property
    def characters(self) -> str: ...

    @property
    def lexicon(self) -> str: ...

    @property
    def order(self) -> int: ...

    @property
    def language(self) -> str: ...

    @property
    def beam(self) -> int: ...

    @property
    def pause(self) -> float | None: ...
