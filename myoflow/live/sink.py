"""Sink: where decisions go; one class a file in `sinks/`, found by name or by entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from myoflow.registry import Registry

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.live.output import Notice, Output
    from myoflow.live.summary import Summary
    from myoflow.spec import Spec


class Channel(Protocol):
    """An open sink. None of its calls waits for a slow receiver; `pictures` asks for `signal` calls.

    One whose receiver may be slow has an `outbox` (`outbox.Outbox`), and the stream tells what that leaves out.
    """

    pictures: bool

    def write(self, output: Output) -> None:
        """One decision, or one piece of signal."""
        ...

    def signal(self, values: Array) -> None:
        """What went into the decoder, `(channel, time)`; for pictures."""
        ...

    def notice(self, notice: Notice) -> None:
        """Something happened to the stream: a gap, a dropped window."""
        ...

    def close(self, summary: Summary | None) -> None:
        """The stream is over; the summary is None when it broke."""
        ...


class Sink:
    """Base of sinks: frozen classes whose fields are the options of `NAME:ADDRESS?key=value`."""

    name: ClassVar[str]

    def open(self, taken: Spec, given: Spec) -> Channel:
        """Begin. `taken` is what goes into the decoder, `given` what it makes.

        Raises:
            InputError: the place cannot be written, or these outputs do not fit into it.
        """
        raise TypeError(f"{type(self).__name__} does not define open")


class Quiet:
    """A channel that does nothing; sinks override what they need."""

    pictures = False

    def write(self, output: Output) -> None: ...

    def signal(self, values: Array) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def close(self, summary: Summary | None) -> None: ...


SINKS: Registry[Sink] = Registry("sink", "myoflow.live.sinks")
