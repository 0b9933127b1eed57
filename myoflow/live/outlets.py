"""Outlets: the open sinks of a stream; one that breaks or stands still is told about, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from myoflow.live.outbox import aside

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.live.output import Notice, Output
    from myoflow.live.sink import Channel, Sink
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec


class Outlets:
    """Where outputs go. `broken` says of each sink that broke what happened; `left` whether any still takes something.

    A full disk, or a reader that went away or stands still, must not stop a hand that another sink moves. `tell` takes
    kind, text and count of a notice about a receiver that is too slow; `left_out` says of each sink how many messages
    that cost.
    """

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}
        self._behind: set[str] = set()
        self._told: dict[str, int] = {}  # messages left out, as far as told
        self.broken: list[str] = []
        self.left_out: dict[str, int] = {}
        self.tell: Callable[[str, str, int], None] = lambda kind, text, count: None

    def open(self, sinks: Sequence[Sink], taken: Spec, given: Spec) -> None:
        """Raises InputError: a place cannot be written, or these outputs do not fit into it."""
        for number, sink in enumerate(sinks, 1):
            name = f"sink {sink.name}" + (f":{address}" if (address := getattr(sink, "address", "")) else "")
            key = name if name not in self._open else f"{name} ({number})"
            self._open[key] = sink.open(taken, given)

    def wait_while(self, patient: Callable[[], bool]) -> None:
        """Receivers are waited for as long as this says so: the source waits, too."""
        for channel in self._open.values():
            box = getattr(channel, "outbox", None)
            if box is not None:
                box.patient = patient

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

    def settle(self) -> None:
        """Tell what receivers that still stand still have missed, before the summary is made."""
        for name, channel in list(self._open.items()):
            if name in self._behind:
                self._tell_missed(name, channel, f"{name} takes nothing to the end")

    def close(self, summary: Summary | None) -> None:
        channels = dict(self._open)
        # What is lost at the end is counted below: a notice of it would go to sinks that are closed.
        self._each(lambda channel: channel.close(summary), watch=False)
        self._open.clear()
        missed = {name: _left_out(channel) for name, channel in channels.items()}
        self.left_out = {name: count for name, count in missed.items() if count}

    def _watch(self, name: str, channel: Channel) -> None:
        """Tell of a receiver that has begun to stand still, and of one that takes messages again; once each."""
        box = getattr(channel, "outbox", None)
        if box is None:
            return
        if name not in self._behind:
            if box.left_out > self._told.get(name, 0):
                self._behind.add(name)
                aside(f"{name} takes nothing; what comes now is left out")
                self._tell_missed(name, channel, f"{name} takes nothing; what comes now is left out")
        elif box.went and not box.waiting:
            self._behind.discard(name)
            self._tell_missed(name, channel, f"{name} takes messages again")

    def _tell_missed(self, name: str, channel: Channel, text: str) -> None:
        missed = _left_out(channel) - self._told.get(name, 0)
        self._told[name] = _left_out(channel)  # first: the notice itself may be left out
        self.tell("slow", text, missed)

    def _each(self, call: Callable[[Channel], None], watch: bool = True) -> None:
        for name, channel in list(self._open.items()):
            try:
                call(channel)
                if watch:
                    self._watch(name, channel)
            except OSError as error:
                del self._open[name]
                told = f"{name}: {error.strerror or error}"
                self.broken.append(told)
                aside(f"{told}; nothing more goes there")
                try:
                    channel.close(None)
                except OSError:
                    continue  # what it still held is lost with it


def _left_out(channel: Channel) -> int:
    box = getattr(channel, "outbox", None)
    return 0 if box is None else int(box.left_out)
