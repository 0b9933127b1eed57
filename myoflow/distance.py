"""Distance: how far numbers of one place are from those of another, against their size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

MOST = 0.999  # of all numbers are judged by the tolerance
WRECK = 10  # tolerances that no single number may be away

Floats = npt.NDArray[np.float32]


@frozen
class Distance:
    """Absolute differences from a reference: `mean`, `most`, which 99.9 % of them do not exceed, and `largest`; `scale`
    is the root mean square of the reference.

    Of tens of thousands of numbers in 8 bits one is always far off, the further the more there are; what most of them
    keep does not depend on how many were asked for. A wreck, such as a window gone wrong, still shows in `largest`.
    """

    mean: float
    most: float
    largest: float
    scale: float

    @classmethod
    def between(cls, reference: npt.NDArray[Any], other: npt.NDArray[Any]) -> Distance:
        """Raises ValueError: they have other shapes, or nothing in them."""
        if reference.shape != other.shape:
            raise ValueError(f"{other.shape} cannot be compared with {reference.shape}")
        gap = np.abs(np.subtract(reference, other, dtype=np.float64))
        scale = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64))))
        return cls(float(gap.mean()), float(np.quantile(gap, MOST, method="higher")), float(gap.max()), scale)

    def problem(self, tolerance: float) -> str | None:
        """What is beyond a tolerance, which is a share of `scale`: most numbers, or ten times that a single one.

        What is no number is beyond any.
        """
        allowed = f"{tolerance:g} is allowed"
        unit = self.scale or 1.0
        if not self.most <= tolerance * self.scale:
            return f"differs by {self.most / unit:.2g} of its size (99.9 % of numbers by less), {allowed}"
        if not self.largest <= WRECK * tolerance * self.scale:
            return f"differs by {self.largest / unit:.2g} of its size in a single number, {WRECK} times {allowed}"
        return None

    def told(self) -> str:
        """In words."""
        return (
            f"{self.mean:.2g} on average, 99.9 % of numbers by {self.most:.2g} at most, the worst by "
            f"{self.largest:.2g}; its size is {self.scale:.2g}"
        )
