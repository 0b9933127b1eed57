"""Spec: what flows between two stages, known before any data is read."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from myoflow.errors import InputError, PlanError

if TYPE_CHECKING:
    import xarray as xr

SIGNAL = ("channel", "time")
WINDOWS = ("window", "channel", "time")
FEATURES = ("window", "feature")
TOKENS = ("window", "channel", "patch", "feature")
SCORES = ("window", "label")
TRAJECTORIES = ("window", "step", "target")  # continuous values over the window, at the target's own rate
UTTERANCES = ("utterance", "channel", "time")  # each of its own length: `time` is open
FRAMES = ("utterance", "frame", "feature")
EVENTS = ("window", "frame", "label")  # which events happen now, frame by frame
SAID = ("said",)  # what a task's decoder makes of a live stream: moments, words


@frozen
class Target:
    """A stream beside the EMG that a pipeline learns: its name in the recordings, channels, rate and units."""

    stream: str
    channels: tuple[str, ...]
    rate_hz: float
    units: str = "n/a"

    @classmethod
    def of(cls, values: Any) -> Target | None:
        """From plain values as `attrs.asdict` gives them; None for none."""
        return cls(**{**values, "channels": tuple(values["channels"])}) if values else None


@frozen
class Spec:
    """Dims, sizes, rate, units and channels of an array, and the delay collected on the way to it.

    `sizes` runs parallel to `dims`; None is an open axis: `time` of a stream, `window` of a batch. `rate_hz` is
    the rate of the `time` axis, also inside windows. `step_s` is the time from one window to the next and
    `window_s` a window's length, None before windowing; `longest_s` is that of the longest
    utterance that is meant to come. `delay_s` is algorithmic look-ahead: how much later than its own time stamp an
    output can be known, without compute time. `blockers` says why the pipeline so far
    cannot stream, one reason a stage; empty means it can. `labels` and `target` are what the data offers to learn.
    """

    dims: tuple[str, ...]
    sizes: tuple[int | None, ...]
    rate_hz: float
    channels: tuple[str, ...]
    units: str = "V"
    step_s: float | None = None
    window_s: float | None = None
    longest_s: float | None = None
    delay_s: float = 0.0
    labels: tuple[str, ...] = ()
    target: Target | None = None
    blockers: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if len(self.dims) != len(self.sizes):
            raise ValueError(f"dims {self.dims} and sizes {self.sizes} differ in length")

    @classmethod
    def signal(
        cls,
        channels: int | tuple[str, ...],
        rate_hz: float,
        *,
        units: str = "V",
        labels: tuple[str, ...] = (),
        target: Target | None = None,
    ) -> Spec:
        """Spec of a continuous signal `(channel, time)` of unknown length."""
        names = tuple(f"ch{i + 1}" for i in range(channels)) if isinstance(channels, int) else tuple(channels)
        return cls(
            dims=SIGNAL,
            sizes=(len(names), None),
            rate_hz=float(rate_hz),
            channels=names,
            units=units,
            labels=labels,
            target=target,
        )

    @classmethod
    def of(cls, array: xr.DataArray) -> Spec:
        """Spec of a labelled signal `(channel, time)`.

        The rate is `attrs["SamplingFrequency"]` (BIDS' word) in Hz, or else read off the `time` coordinate.

        Raises:
            PlanError: other dims, or no rate to be found.
        """
        if not hasattr(array, "dims") or not hasattr(array, "attrs"):
            kind = type(array).__name__
            raise PlanError(f"expected an xarray.DataArray with dims (channel, time), got a {kind}")
        if tuple(array.dims) != SIGNAL:
            raise PlanError(f"expected dims (channel, time), got {tuple(array.dims)}; use .transpose(...)")
        rate = array.attrs.get("SamplingFrequency")
        if rate is None and "time" in array.coords and array.sizes["time"] > 1:
            times = array.coords["time"].values
            if times.dtype.kind not in "iuf" or not times[-1] > times[0]:
                raise PlanError("the array's time coordinate must be rising numbers in s, or set SamplingFrequency")
            rate = (len(times) - 1) / float(times[-1] - times[0])
        if rate is None:
            raise PlanError(
                "the array has no rate: set attrs['SamplingFrequency'] in Hz, or give it a time coordinate in s"
            )
        if not isinstance(rate, Real) or not 0 < float(rate) < float("inf"):
            raise PlanError(f"the array's rate must be a number above 0 in Hz, got {rate!r}")
        count = array.sizes["channel"]
        names: int | tuple[str, ...] = count
        if "channel" in array.coords:
            names = tuple(str(name) for name in array.coords["channel"].values)
        spec = cls.signal(names, float(rate), units=str(array.attrs.get("units", "V")))
        return attrs.evolve(spec, labels=tuple(array.attrs.get("labels", ())), target=array.attrs.get("target"))

    def size(self, dim: str) -> int:
        """Size of one axis. Raises PlanError when the axis is missing or open."""
        if dim not in self.dims:
            raise PlanError(f"there is no {dim} axis here; the axes are {self.describe()}")
        size = self.sizes[self.dims.index(dim)]
        if size is None:
            raise PlanError(f"the {dim} axis has no fixed size here; the axes are {self.describe()}")
        return size

    @property
    def open_axis(self) -> int:
        """The axis along which pieces are joined: the one without a fixed size."""
        return self.sizes.index(None)

    def expect(self, *dims: tuple[str, ...]) -> None:
        """Raise PlanError unless the dims are one of those given."""
        if self.dims not in dims:
            wanted = " or ".join(f"({', '.join(d)})" for d in dims)
            hint = ""
            if self.dims == SIGNAL and WINDOWS in dims:
                hint = "; put a window stage before it"
            elif self.dims == WINDOWS and SIGNAL in dims:
                hint = "; put it before the window stage"
            raise PlanError(f"takes {wanted}, but gets {self.describe()}{hint}")

    def require_source(self, given: Spec) -> None:
        """Raise PlanError unless a signal has the channels (by number), rate and units of this one, trained on."""
        if given.size("channel") != self.size("channel"):
            raise PlanError(f"trained on {self.size('channel')} channels, got {given.size('channel')}")
        if abs(given.rate_hz - self.rate_hz) > 1e-6 * self.rate_hz:
            raise PlanError(f"trained at {self.rate_hz:g} Hz, got {given.rate_hz:g} Hz; resample first")
        if given.units != self.units:
            raise PlanError(f"trained on {self.units}, got {given.units}; convert first")

    def require_recording(self, array: xr.DataArray, *, mended: bool = False) -> None:
        """Raise InputError unless a recording `(channel, time)` is as this one, trained on: rate, units, channels and
        their order, and no gaps. `mended`: the pipeline mends gaps itself; a filter would never recover from one."""
        import numpy as np

        given = Spec.of(array)
        if "units" not in array.attrs:
            raise InputError(f"the array has no units; trained on {self.units}: set attrs['units']")
        self.require_source(given)
        if "channel" in array.coords and given.channels != self.channels:
            raise InputError(
                f"trained on channels {', '.join(self.channels)}, got {', '.join(given.channels)}; put them in that "
                "order, or drop the channel coordinate if they are the same electrodes by other names"
            )
        bad = None if mended else ~np.isfinite(array.values)
        if bad is not None and bad.any():
            channel, sample = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"{int(bad.sum())} samples are not finite, the first in channel {self.channels[channel]} at "
                f"{sample / self.rate_hz:.3f} s; mend them, or begin the pipeline with a quality stage"
            )

    def evolve(self, **changes: Any) -> Spec:
        """A copy with some fields changed."""
        return attrs.evolve(self, **changes)

    def with_channels(self, names: tuple[str, ...]) -> Spec:
        """A copy with other channels, in the channel axis and by name."""
        sizes = list(self.sizes)
        sizes[self.dims.index("channel")] = len(names)
        return attrs.evolve(self, sizes=tuple(sizes), channels=names)

    def block(self, reason: str) -> Spec:
        """A copy that cannot stream, for `reason`."""
        return attrs.evolve(self, blockers=(*self.blockers, reason))

    def wait(self, seconds: float) -> Spec:
        """A copy with more algorithmic delay."""
        return attrs.evolve(self, delay_s=self.delay_s + seconds)

    def describe(self) -> str:
        """`(channel 8, time …)`."""
        return f"({self._axes(self.dims)})"

    def brief(self) -> str:
        """`channel 8, time …`, without the window axis: what one item of the output is."""
        return self._axes(tuple(dim for dim in self.dims if dim != "window"))

    def _axes(self, dims: tuple[str, ...]) -> str:
        sizes = dict(zip(self.dims, self.sizes, strict=True))
        return ", ".join(f"{dim} {'…' if sizes[dim] is None else sizes[dim]}" for dim in dims)
