"""robust: median 0, interquartile range 1."""

from __future__ import annotations

from myoflow.stage import stage
from myoflow.stages.minmax import Scaled
from myoflow.typed import frozen


@stage("robust")
@frozen
class Robust(Scaled):
    """`y = (x - median) / IQR`, per channel or with one median and IQR for all: zscore for signals with spikes.

    The IQR is the 75th less the 25th percentile, linearly interpolated (numpy's default). `over` says what they
    are taken over: each `window` (after the window stage); the `train` split (before or after it, also on
    features; above 2^20 values a channel from an evenly thinned subset); or the whole `recording` (cannot
    stream). Where the IQR is 0 the output is `x - median`. Samples that are not finite stay so and are left out.
    """

    method = "robust"
