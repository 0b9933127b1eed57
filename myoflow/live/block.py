"""Block: a piece of signal as a source gave it, and what the source said of itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from myoflow.errors import InputError, did_you_mean
from myoflow.spec import Spec
from myoflow.units import VOLTS, spelt

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


@frozen
class Signal:
    """What a source gives: `values * gain` are in `units`.

    `clock` says how a lost sample shows: sources that number their samples (`count`), that stamp them with a time
    (`stamp`), or neither. `pace` is seconds of signal per second of ours; None: as fast as it is asked for.
    `jitter_s`: a stamp this far from where it should be is still no gap.
    """

    channels: tuple[str, ...]
    rate_hz: float
    units: str = "V"
    gain: tuple[float, ...] = field()
    dtype: str = "float32"
    clock: Literal["count", "stamp", "none"] = "none"
    pace: float | None = 1.0
    jitter_s: float = 0.1
    labels: tuple[str, ...] = ()

    @gain.default
    def _ones(self) -> tuple[float, ...]:
        return (1.0,) * len(self.channels)

    def spec(self) -> Spec:
        """The Spec of `values * gain`."""
        return Spec.signal(self.channels, self.rate_hz, units=self.units, labels=self.labels)


@frozen(eq=False)
class Block:
    """Some samples `(channel, time)`, in the source's own numbers.

    `arrived_s` is when they came here (`time.perf_counter`). `first` is the source's number of the first sample,
    `stamp_s` the source's time of the newest one, None where it has none. `lost` samples before this block were
    thrown away here, because nobody took them in time.
    """

    values: Array
    arrived_s: float
    first: int | None = None
    stamp_s: float | None = None
    lost: int = 0


def stamped(values: Array, stamps: Array, arrived_s: float, signal: Signal) -> list[Block]:
    """Samples `(channel, time)`, each with its stamp, as blocks without a hole inside.

    A loss may lie in the middle of what came at once; only there may a filled gap go.
    """
    import numpy as np

    jumps = np.flatnonzero(np.diff(stamps) - 1 / signal.rate_hz > signal.jitter_s) + 1
    edges = [0, *jumps.tolist(), len(stamps)]
    return [Block(values[:, a:b], arrived_s, stamp_s=float(stamps[b - 1])) for a, b in pairwise(edges)]


@frozen
class Match:
    """How a source's channels become those of a decoder: rows in order, and a factor for each.

    `told` says in words that they are taken by their order, where their names are not those of the decoder.
    """

    rows: tuple[int, ...]
    factors: tuple[float, ...]
    told: str | None = None

    def __call__(self, values: Array) -> Array:
        """Samples `(channel, time)` as float32 in the decoder's channels and units."""
        import numpy as np

        if self.rows != tuple(range(len(values))):
            values = values[list(self.rows)]
        out = values.astype(np.float32)
        if any(factor != 1.0 for factor in self.factors):
            out *= np.asarray(self.factors, np.float32)[:, None]
        return out


def match(signal: Signal, wanted: Spec) -> Match:
    """Fit a source to what a decoder was made for: by channel name where the names are there, else by order.

    Raises:
        InputError: another rate, units that do not convert, or channels that cannot be told or are mixed up.
    """
    if abs(signal.rate_hz - wanted.rate_hz) > 1e-6 * wanted.rate_hz:
        raise InputError(
            f"the source gives {signal.rate_hz:g} Hz, but the pipeline takes {wanted.rate_hz:g} Hz; set the device's "
            f"rate, or train a recipe that begins with `resample: {{rate: ...}}` on data of the device's rate"
        )
    count, told = wanted.size("channel"), None
    if set(wanted.channels) <= set(signal.channels):
        rows = tuple(signal.channels.index(name) for name in wanted.channels)
    elif len(signal.channels) == count:
        for name, other in zip(signal.channels, wanted.channels, strict=True):
            if name != other and name in wanted.channels:
                raise InputError(
                    f"the source has a channel {name} where the pipeline takes {other}, and not all of "
                    f"{', '.join(wanted.channels)}; choose with `channels=` in the source, such as ?channels=2,1,3"
                )
        rows = tuple(range(count))
        told = (
            f"the source's channels ({', '.join(signal.channels)}) are taken for {', '.join(wanted.channels)}, in order"
        )
    else:
        raise InputError(
            f"the source gives {len(signal.channels)} channels ({', '.join(signal.channels)}), but the pipeline takes "
            f"{count} ({', '.join(wanted.channels)}); choose with `channels=` in the source, such as ?channels=1,2,3"
        )
    scale = _scale(signal.units, wanted.units)
    return Match(rows, tuple(signal.gain[row] * scale for row in rows), told)


def _scale(given: str, wanted: str) -> float:
    given, wanted = spelt(given), spelt(wanted)
    if given == wanted:
        return 1.0
    if given in VOLTS and wanted in VOLTS:
        return VOLTS[given] / VOLTS[wanted]
    told = f"in '{given}'" if given else "in units that it does not tell"
    raise InputError(f"the source is {told}, the pipeline takes {wanted}; say what they are with ?units=uV")


def choose(signal: Signal, wanted: str) -> tuple[int, ...]:
    """Rows of the channels that an option `channels=1,2,5..8` or `channels=E1,E2` names.

    Raises:
        InputError: there is no such channel, or one is named twice.
    """
    from myoflow.split import units_of

    rows: list[int] = []
    for word in (part.strip() for part in wanted.split(",")):
        if word in signal.channels:
            rows.append(signal.channels.index(word))
            continue
        numbers = units_of(word) if word.replace("..", "").isdigit() else []
        if not numbers or not all(1 <= int(number) <= len(signal.channels) for number in numbers):
            there = ", ".join(signal.channels)
            close = did_you_mean(word, signal.channels) or "."
            raise InputError(f"the source has no channel '{word}'{close} It has: {there}; or count from 1")
        rows += [int(number) - 1 for number in numbers]
    if len(set(rows)) != len(rows):
        raise InputError(f"channels={wanted} names a channel twice")
    return tuple(rows)
