"""Format: the contract of a kind of file, what it gives (`Signals`), and the registry the formats stand in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
from attrs import Factory, frozen

from myoflow.errors import InputError, did_you_mean
from myoflow.readers.source import File
from myoflow.registry import Registry

Beside = Mapping[str, File]
_HEADERS = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".amrk": ".ahdr", ".atr": ".hea", ".sig": ".otb+"}


@frozen
class Mark:
    """Something that happened: `onset_s` counts from the first sample; a length of 0 is a moment."""

    onset_s: float
    length_s: float
    name: str
    repetition: int = 0


@frozen(eq=False)
class Signals:
    """Channels of one rate, as a file has them; `values * gain[:, None]` is in `units`, one text per channel.

    `rate_hz` is None where the file does not say, and an empty unit means the same. `streams` are the file's channels
    of other rates or kinds, each starting with these. `time_s`, where a recorder kept an uneven clock, is a time per
    sample. `notes` say what was odd and what was done about it.
    """

    channels: tuple[str, ...]
    rate_hz: float | None
    units: tuple[str, ...]
    values: npt.NDArray[Any]
    gain: npt.NDArray[np.float64]
    events: tuple[Mark, ...] = ()
    streams: dict[str, Signals] = Factory(dict)
    time_s: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    attrs: dict[str, Any] = Factory(dict)

    @property
    def samples(self) -> int:
        return int(self.values.shape[1])

    def physical(self) -> npt.NDArray[np.float64]:
        """Values in `units`, `(channel, time)`."""
        return np.asarray(self.values, np.float64) * self.gain[:, None]


class Format:
    """A kind of file. `suffixes` are lower case; `fits` says from the content whether a file is one of these."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    rank: ClassVar[int] = 1  # of two formats that fit, the higher one is meant
    what: ClassVar[str]
    head: ClassVar[int | None] = None  # how many bytes `fits` wants; None: all, since `parse` reads all anyway

    def fits(self, data: bytes) -> bool:
        """Whether content of the right suffix is of this format."""
        return True

    def companions(self, file: File, names: Sequence[str]) -> tuple[str, ...]:
        """Which of `names`, all in the file's folder, must be at hand to read it."""
        return ()

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        """The file's signals; may raise whatever damaged bytes lead to, `read` tells it in one line."""
        raise TypeError(f"{type(self).__name__} does not define parse")

    def parse_long(self, file: File, beside: Beside, variable: str | None) -> Signals:
        """`parse`, where the values of a long file may be `Blocks`."""
        return self.parse(file, beside, variable)

    def read(
        self, file: File, beside: Beside | None = None, variable: str | None = None, in_blocks: bool = False
    ) -> Signals:
        """The file's signals. `beside` are its companions by name; `variable` chooses among several in a container.

        With `in_blocks`, values of a long file may be `myoflow.recording.Blocks`, read when they are asked for.

        Raises:
            InputError: not such a file, or a damaged one; names it.
        """
        with guard(file.where, self.what):
            signals = (self.parse_long if in_blocks else self.parse)(file, beside or {}, variable)
            _check(signals)
        return signals

    def open(self, path: Path | str, variable: str | None = None, in_blocks: bool = False) -> Signals:
        """`read` for a file on this machine, with its companions."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        file = File(path.name, str(path), path=path)
        names = [other.name for other in path.parent.iterdir() if other.is_file()]
        with guard(file.where, self.what):
            found = self.companions(file, names)
        beside = {name: File(name, str(path.parent / name), path=path.parent / name) for name in found}
        return self.read(file, beside, variable, in_blocks)


FORMATS: Registry[Format] = Registry("format", "myoflow.formats")


def find_format(name: str, data: bytes, where: str) -> Format:
    """The format of a file by its suffix and content.

    Raises:
        InputError: no format reads such a file.
    """
    lower = name.lower()
    known = [FORMATS[key]() for key in FORMATS]
    candidates = [fmt for fmt in known if lower.endswith(fmt.suffixes)]
    for fmt in sorted(candidates, key=lambda fmt: -fmt.rank):
        if fmt.fits(data):
            return fmt
    if candidates:
        expected = " or ".join(fmt.what for fmt in candidates)
        raise InputError(f"{where}: is not {expected}, as its name says; it starts with {data[:16]!r}")
    suffix = "".join(PurePosixPath(lower).suffixes[-1:])
    if suffix in _HEADERS:
        raise InputError(
            f"{where}: is one part of a recording; give its header ({_HEADERS[suffix]}), which names the parts"
        )
    endings = sorted({end for fmt in known for end in fmt.suffixes})
    close = did_you_mean(suffix, endings) if suffix else ""
    raise InputError(f"{where}: no format reads '{suffix or name}' files{close}. Endings: {', '.join(endings)}")


def format_of(file: File, name: str | None = None) -> Format:
    """The format `name`, or by what the file is; no more of it is read than that takes.

    Raises:
        InputError: no format reads such a file, or it cannot be read.
    """
    if name:
        return FORMATS[name]()
    heads = [FORMATS[key].head for key in FORMATS if file.name.lower().endswith(FORMATS[key].suffixes)]
    sizes = [size for size in heads if size is not None]
    return find_format(file.name, file.head(max(sizes)) if sizes and sizes == heads else file.read(), file.where)


def open_file(
    path: Path | str, like: str | None = None, variable: str | None = None, in_blocks: bool = False
) -> Signals:
    """The signals of one file, by the format `like` or by what the file is; `in_blocks` as for `Format.read`.

    Raises:
        InputError: there is no such file or format, or the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    return format_of(File(path.name, str(path), path=path), like).open(path, variable, in_blocks)


@contextmanager
def guard(where: str, what: str) -> Iterator[None]:
    """Whatever goes wrong in here is the file's fault and is told in one line with its name.

    Bytes that were damaged lead parsers, ours and the libraries', to any exception, from KeyError to MemoryError.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
        raise InputError(f"{where}: cannot be read as {what}: {reason}") from error


def missing(where: str, what: str, package: str) -> InputError:
    """For a library that is not installed."""
    return InputError(f"{where}: {what} needs {package}: pip install 'myoflow[readers]'")


@frozen(eq=False)
class Scaling:
    """From counts `(channel, time)` to values of `dtype` and their `gain`: whole numbers `counts * times + whole`,
    or, with `times` 0, `(counts + whole) * factor` in numbers with a point."""

    dtype: np.dtype[Any]
    gain: npt.NDArray[np.float64]
    times: int
    whole: npt.NDArray[Any]
    factor: npt.NDArray[np.float64]

    def apply(self, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not self.times:
            exact: npt.NDArray[Any] = ((counts + self.whole[:, None]) * self.factor[:, None]).astype(self.dtype)
            return exact
        if self.times == 1 and not self.whole.any():
            return counts.astype(self.dtype, copy=False)
        whole: npt.NDArray[Any] = (counts.astype(np.int64) * self.times + self.whole[:, None]).astype(self.dtype)
        return whole


def scaling(low: npt.NDArray[Any], high: npt.NDArray[Any], gain: Sequence[float], offset: Sequence[float]) -> Scaling:
    """How to get at `(counts + offset) * gain`, in integers where that is exact; counts lie from `low` to `high`.

    Recorders often have an offset of a whole or a half count; half counts are kept by doubling.
    """
    factor = np.asarray(gain, np.float64)
    shift = np.asarray(offset, np.float64)
    for times in (1, 2):
        whole = np.round(shift * times)
        if np.all(np.abs(shift * times - whole) <= 1e-4 * times) and np.all(np.abs(whole) < 2**31):
            steps = whole.astype(np.int64)
            ends = np.stack((low, high)).astype(np.int64) * times + steps
            return Scaling(smallest(ends).dtype, factor / times, times, steps, factor)
    return Scaling(np.dtype(np.float32), np.ones(len(factor)), 0, shift, factor)


def scaled(
    counts: npt.NDArray[Any], gain: Sequence[float], offset: Sequence[float]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Values and gains such that `values * gain` is `(counts + offset) * gain`; see `scaling`."""
    none = np.zeros(len(counts), np.int64)
    low, high = (counts.min(axis=1), counts.max(axis=1)) if counts.size else (none, none)
    how = scaling(low, high, gain, offset)
    return how.apply(counts), how.gain


def smallest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same whole numbers in the smallest signed type that holds them; float32 where none of 32 bits does."""
    if not values.size:
        return values.astype(np.int16)
    low, high = values.min(), values.max()
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    return values.astype(np.float32)


def compact(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers `(channel, time)` of any type as whole numbers where all are, else as float32."""
    if values.dtype.kind in "biu":
        return smallest(values.astype(np.int64))
    if (
        values.size
        and np.isfinite(values).all()
        and (np.abs(values) < 2**31).all()
        and (values == np.rint(values)).all()
    ):
        return smallest(values.astype(np.int64))
    return values.astype(np.float32)


def plain(
    channels: Sequence[str], rate_hz: float | None, units: Sequence[str] | str, values: npt.NDArray[Any], **more: Any
) -> Signals:
    """Signals without a gain."""
    units = (units,) * len(channels) if isinstance(units, str) else tuple(units)
    return Signals(unique(channels), rate_hz, units, compact(values), np.ones(len(channels)), **more)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names stripped, none empty, and told apart by `_2`, `_3` where a file repeats one."""
    taken: dict[str, int] = {}
    out = []
    for i, name in enumerate(names):
        name = " ".join(name.replace("\0", " ").split()) or f"channel{i + 1}"
        count = taken[name] = taken.get(name, 0) + 1
        out.append(name if count == 1 else f"{name}_{count}")
    return tuple(out) if len(set(out)) == len(out) else tuple(f"{name}#{i + 1}" for i, name in enumerate(out))


def joined(blocks: Sequence[tuple[str, Signals]], **more: Any) -> Signals:
    """Blocks of different rates or kinds as one: first the one that is called EMG, else the one with most values."""
    if not blocks:
        raise ValueError("it has no channels")

    def worth(block: Signals) -> tuple[int, float, int]:
        emg = sum("emg" in name.lower() for name in block.channels)
        return (emg > 0, block.rate_hz or 0.0, block.values.size)

    first = max(range(len(blocks)), key=lambda i: (worth(blocks[i][1]), -i))
    streams: dict[str, Signals] = {}
    for i, (name, block) in enumerate(blocks):
        if i != first:
            key = name if name not in streams else f"{name}_{i + 1}"
            streams[key] = block
    return attrs.evolve(blocks[first][1], streams=streams, **more)


def upright(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A table as `(channel, time)`: the long side is time; rows are, where both are equal."""
    if values.ndim == 1:
        return values[None, :]
    return values if values.shape[1] > values.shape[0] else values.T


def _check(signals: Signals) -> None:
    """What every format promises; damaged files meet this where a parser did not notice."""
    for block in (signals, *signals.streams.values()):
        count = len(block.channels)
        if not count or block.values.ndim != 2 or block.values.shape[0] != count or block.gain.shape != (count,):
            raise ValueError(f"{count} channels do not go with values of shape {block.values.shape}")
        if block.values.dtype.kind not in "if" or len(block.units) != count or len(set(block.channels)) != count:
            raise ValueError("its channels have no proper values, names or units")
        if block.rate_hz is not None and not (1e-3 <= block.rate_hz <= 1e7):
            raise ValueError(f"its rate is {block.rate_hz:g} Hz")
        if not np.isfinite(block.gain).all() or (block.gain == 0).any():
            raise ValueError("a channel's scale is zero or no number")
    if not signals.samples:
        raise ValueError("it has no samples")
    if signals.time_s is not None and signals.time_s.shape != (signals.samples,):
        raise ValueError("its times do not go with its samples")
    if not all(np.isfinite(mark.onset_s) and np.isfinite(mark.length_s) for mark in signals.events):
        raise ValueError("an event has no time")
