"""Scaled: the kernels of scaling stages that need no whole recording, with what they scale by in sight."""

from __future__ import annotations

import numpy as np

from myoflow.dsp import statistics
from myoflow.dsp.kernel import Array, Mapped


class Affine(Mapped):
    """`(x - centre) / scale` with learned numbers that broadcast against a chunk."""

    def __init__(self, centre: Array, scale: Array, empty: tuple[int, ...], axis: int) -> None:
        self.centre, self.scale = centre, scale
        super().__init__(lambda x: np.asarray((x - centre) / scale, np.float32), empty, axis)


class PerWindow(Mapped):
    """Each window by its own centre and scale; `method` and `pooled` as in `statistics.scale_windows`."""

    def __init__(self, method: str, pooled: bool, empty: tuple[int, ...], axis: int) -> None:
        self.method, self.pooled = method, pooled
        super().__init__(lambda x: statistics.scale_windows(method, x, pooled), empty, axis)
