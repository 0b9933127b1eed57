"""features: numbers that describe a window, for classical classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from myoflow.errors import PlanError
from myoflow.spec import FEATURES, WINDOWS, Spec
from myoflow.stage import Cost, Stage, State, stage
from myoflow.typed import Volts, frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array, Kernel

Feature = Literal[
    "hudgins",
    "mav",
    "rms",
    "wl",
    "zc",
    "ssc",
    "var",
    "log_mav",
    "log_rms",
    "log_wl",
    "log_var",
    "ar",
    "mnf",
    "mdf",
]
HUDGINS = ("mav", "wl", "zc", "ssc")


@stage("features")
@frozen
class Features(Stage):
    """Features per window and channel; `set` lists them, or is the word hudgins: mav, wl, zc, ssc.

    With x of n samples, d = x[i+1] - x[i]:
      - mav mean |x|; rms root of mean x^2; var mean (x - mean x)^2 n / (n - 1); wl sum |d|;
      - zc counts i where x[i] and x[i+1] have different signs (0 counts as positive) and |d| is at least
        `zc_threshold`;
      - ssc counts turning points: x[i] above or below both neighbours, by `ssc_threshold` or more from one of them;
      - log_* is the natural logarithm of the value, floored at 1e-9 (1e-18 for var);
      - ar: coefficients a1 to a`order` of x[i] = a1 x[i-1] + ... by Yule-Walker (biased autocorrelation,
        Levinson-Durbin), 0 for a window of zeros;
      - mnf, mdf: mean and median frequency in Hz of the periodogram without its mean; the median is the first
        frequency at which the cumulated power reaches half; 0 for a constant window.
    Hudgins, Parker, Scott 1993 (doi 10.1109/10.204774); Phinyomark et al. 2012 (doi 10.1016/j.eswa.2012.01.102).
    `parts` cuts the window into so many equal parts, each described alone (what is left over at the start is not seen),
    for answers that change within a window.
    The output's columns run channel by channel, each part with its features in the order of `set`. A sample that is not
    finite makes all features of its channel and window NaN.
    """

    set: Literal["hudgins"] | tuple[Feature, ...] = "hudgins"
    order: int = 4
    zc_threshold: Volts = 0.0
    ssc_threshold: Volts = 0.0
    parts: int = 1

    @property
    def chosen(self) -> tuple[str, ...]:
        """The features in order, with hudgins spelt out."""
        wanted = (self.set,) if isinstance(self.set, str) else self.set
        return tuple(name for word in wanted for name in (HUDGINS if word == "hudgins" else (word,)))

    def columns(self, spec: Spec) -> tuple[str, ...]:
        """Names of the output's columns: `ch1_mav`, `ch1_wl`, ..., `ch2_mav`, ..."""
        per_channel: list[str] = []
        for name in self.chosen:
            per_channel += [f"ar{i + 1}" for i in range(self.order)] if name == "ar" else [name]
        places = ("",) if self.parts == 1 else tuple(f"_part{i + 1}" for i in range(self.parts))
        return tuple(
            f"{channel}{place}_{name}" for channel in spec.channels for place in places for name in per_channel
        )

    def plan(self, spec: Spec) -> Spec:
        spec.expect(WINDOWS)
        if not self.chosen:
            raise PlanError("needs at least one feature", field="set")
        twice = [name for i, name in enumerate(self.chosen) if name in self.chosen[:i]]
        if twice:
            raise PlanError(f"has {twice[0]} twice in its set", field="set")
        if self.parts < 1:
            raise PlanError(f"parts must be at least 1, got {self.parts}", field="parts")
        length = spec.size("time") // self.parts
        if length < 3:
            what = "windows" if self.parts == 1 else "parts"
            raise PlanError(f"needs {what} of 3 samples or more, got {length}")
        if "ar" in self.chosen and not 1 <= self.order < length:
            raise PlanError(f"needs an order from 1 to {length - 1}, got {self.order}", field="order")
        for field in ("zc_threshold", "ssc_threshold"):
            value = getattr(self, field)
            if value < 0:
                raise PlanError(f"needs {field} at 0 V or above, got {value:g} V", field=field)
            if value and spec.units != "V":
                raise PlanError(f"has {field} in volts, but the signal is in '{spec.units}'", field=field)
        return spec.evolve(dims=FEATURES, sizes=(None, len(self.columns(spec))))

    def cost(self, spec: Spec) -> Cost:
        length, channels = spec.size("time") // self.parts, spec.size("channel") * self.parts
        each = 5 * length
        if "ar" in self.chosen:
            each += (self.order + 1) * length
        if {"mnf", "mdf"} & {*self.chosen}:
            each += 2 * length * length.bit_length()
        return Cost(macs=each * channels)

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.features import feature_function
        from myoflow.dsp.kernel import Mapped

        function = feature_function(
            self.chosen, spec.rate_hz, order=self.order, zc=self.zc_threshold, ssc=self.ssc_threshold
        )
        count, length = self.parts, spec.size("time") // self.parts

        def described(x: Array) -> Array:
            pieces = x[:, :, x.shape[2] - count * length :].reshape(len(x), count * x.shape[1], length)
            return function(pieces)

        return Mapped(function if count == 1 else described, (0, len(self.columns(spec))), axis=0)
