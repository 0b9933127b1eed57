"""Outlets: the open sinks of a stream; one that breaks is told about and left out, and the others go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.live.output import Notice, Output
    from myoflow.live.sink import Channel, Sink
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec


class Outlets:
    """Where outputs go. `broken` says of each sink that broke what happened; `left` whether any still takes something.

    A full disk or a reader that went away must not stop a hand that another sink moves.
    """

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}
        self.broken: list[str] = []

    def open(self, sinks: Sequence[Sink], taken: Spec, given: Spec) -> None:
        """Raises InputError: a place cannot be written, or these outputs do not fit into it."""
        for number, sink in enumerate(sinks, 1):
            name = f"sink {sink.name}" + (f":{address}" if (address := getattr(sink, "address", "")) else "")
            key = name if name not in self._open else f"{name} ({number})"
            self._open[key] = sink.open(taken, given)

    @property
    def left(self) -> bool:
        return bool(self._open)

    @property
    def pictures(self) -> bool:
        """Whether one of them draws the signal."""
        return any(channel.pictures for channel in self._open.values())

    def write(self, output: Output) -> None:
        self._each(lambda channel: channel.write(output))

    def signal(self, values: Array) -> None:
        self._each(lambda channel: channel.signal(values) if channel.pictures else None)

    def notice(self, notice: Notice) -> None:
        self._each(lambda channel: channel.notice(notice))

    def close(self, summary: Summary | None) -> None:
        self._each(lambda channel: channel.close(summary))
        self._open.clear()

    def _each(self, call: Callable[[Channel], None]) -> None:
        for name, channel in list(self._open.items()):
            try:
                call(channel)
            except OSError as error:
                del self._open[name]
                told = f"{name}: {error.strerror or error}"
                self.broken.append(told)
                print(f"{told}; nothing more goes there", file=sys.stderr)
                try:
                    channel.close(None)
                except OSError:
                    continue  # what it still held is lost with it
