"""lowpass: Butterworth low-pass."""

from __future__ import annotations

from myoflow.stage import stage
from myoflow.stages.highpass import OneCut
from myoflow.typed import frozen


@stage("lowpass")
@frozen
class Lowpass(OneCut):
    """Butterworth low-pass per channel, `scipy.signal.butter(order, cut, "lowpass")`, causal unless `zero_phase`.

    `start` and `zero_phase` are those of bandpass: `start: first` begins in the steady state of the first
    sample, `zero_phase` runs forwards and backwards over the whole recording. A sample that is not finite makes
    its channel NaN from there on.
    """

    kind = "lowpass"
