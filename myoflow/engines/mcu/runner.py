"""Runner: the contract of a network built for one lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from myoflow.engines.mcu.layers import Ints

Watch = Callable[[int, bytes], None]


class Runner(Protocol):
    """A built network."""

    def run(self, window: Ints, watch: Watch | None = None) -> Ints:
        """The output's integers `(rows, width)` for the input's; `watch` gets every layer's number and bytes."""
        ...
