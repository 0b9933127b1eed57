"""Filter design: what a stage's fields mean as second-order sections, and which of them cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from myoflow.errors import PlanError
from myoflow.stage import Cost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Sections = npt.NDArray[np.float64]

Start = Literal["first", "zero"]


def check_frequency(value_hz: float, rate_hz: float, field: str) -> None:
    """Raise PlanError unless `0 < value_hz < rate_hz / 2`."""
    if not value_hz > 0:
        raise PlanError(f"needs {field} above 0 Hz, got {value_hz:g} Hz", field=field)
    if not value_hz < rate_hz / 2:
        raise PlanError(
            f"needs {field} below half the rate, which is {rate_hz / 2:g} Hz here, got {value_hz:g} Hz", field=field
        )


def check_order(order: int) -> None:
    """Raise PlanError unless `1 <= order <= 16`; above that a Butterworth filter is a mistake in float64, too."""
    if not 1 <= order <= 16:
        raise PlanError(f"needs an order from 1 to 16, got {order}", field="order")


def no_stream(name: str) -> str:
    """Why a zero-phase filter blocks streaming, and what does not."""
    return f"{name} with zero_phase: true runs backwards from the end of the recording; zero_phase: false is causal"


def sections_cost(sections: int, channels: int, zero_phase: bool) -> Cost:
    """Five multiply-accumulates a section, channel and sample; two float64 of state a section and channel."""
    passes = 2 if zero_phase else 1
    return Cost(macs=5 * sections * channels * passes, memory_bytes=16 * sections * channels + 40 * sections)


def butterworth(
    kind: Literal["bandpass", "highpass", "lowpass"], order: int, cut_hz: float | tuple[float, float], rate_hz: float
) -> Sections:
    """Butterworth filter as sections `(section, 6)`: `scipy.signal.butter(order, cut, kind, fs=rate)`.

    In scipy's meaning `order` is that of the low-pass prototype: a band-pass of order 4 has 8 poles.
    """
    from scipy import signal

    sections: Any = signal.butter(order, cut_hz, kind, fs=rate_hz, output="sos")
    return sections  # type: ignore[no-any-return]


def notches(freq_hz: float, q: float, harmonics: int, rate_hz: float) -> Sections:
    """Notches at `freq, 2 freq, ...` as sections `(harmonics, 6)`; each is `scipy.signal.iirnotch(f, q, rate)`.

    With constant q the -3 dB width is `f / q`: wider for higher harmonics.
    """
    import numpy as np
    from scipy import signal

    rows = [np.concatenate(signal.iirnotch(freq_hz * (i + 1), q, rate_hz)) for i in range(harmonics)]
    return np.asarray(rows, np.float64)
