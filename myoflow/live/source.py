"""Source: where a live signal comes from; one class a file in `sources/`, found by name or by entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from attrs import frozen

from myoflow.errors import MyoflowError
from myoflow.registry import Registry

if TYPE_CHECKING:
    from myoflow.live.block import Block, Signal
    from myoflow.recipe import Recipe
    from myoflow.spec import Spec


class Ended(Exception):
    """A source has given its last sample."""


class Lost(MyoflowError):
    """A source has gone, and may return: a cable, a sender that was started anew."""


@frozen
class Context:
    """What is known before a source is opened: what the decoder takes, and whose recipe it is; None if nothing."""

    spec: Spec | None = None
    recipe: Recipe | None = None


class Connection(Protocol):
    """An open source."""

    signal: Signal

    def read(self, timeout_s: float) -> Block | None:
        """The next samples, None when none came in time.

        Raises:
            Ended: there will be none.
            Lost: the source is gone; opening it again may help.
        """
        ...

    def close(self) -> None:
        """Let go of the device; may be called twice."""
        ...


class Source:
    """Base of sources: frozen classes whose fields are the options of `NAME:ADDRESS?key=value`.

    `waits` marks a source that gives samples when it is asked, so that a slow decoder loses nothing.
    """

    name: ClassVar[str]

    @property
    def waits(self) -> bool:
        """Whether the source waits for the decoder; a live one does not."""
        return False

    def open(self, context: Context) -> Connection:
        """Connect, and learn what the source gives.

        Raises:
            InputError: there is no such device, file or stream, or a package is missing.
            Lost: it does not answer now.
        """
        raise TypeError(f"{type(self).__name__} does not define open")


SOURCES: Registry[Source] = Registry("source", "myoflow.live.sources")
