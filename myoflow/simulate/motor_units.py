"""Motor units: from muscle drive to the potential at the skin, shared by every EMG simulator.

Drive (0..1 of full effort) recruits units in order of size and sets their firing rates; spikes leave with
gamma-distributed intervals; each spike adds a motor unit action potential (MUAP) whose height falls and whose width
grows with the distance between fibres and electrode.

Recruitment and rate coding follow Fuglevand, Winter and Patla, J. Neurophysiol. 70:2470 (1993), eqs. 1-6, with
peak rates falling with threshold. MUAPs are derivatives of a Gaussian and the decay with distance is one power law:
a stand-in for a volume conductor of muscle, fat and skin, not a solution of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

MIN_RATE_HZ = 8.0
RATE_SLOPE_HZ = 45.0  # per unit of drive above the threshold
INTERVAL_SHAPE = 25.0  # gamma shape; coefficient of variation 1/sqrt(25) = 0.2
REACH_CM = 0.4  # softens the power law next to the electrode: poles and fibres have a size
WIDTH_STEP = 1.25  # MUAP widths are blended from kernels this factor apart


@frozen(eq=False)
class Pool:
    """The motor units of one muscle, smallest first, each array `(unit,)`.

    `threshold` is the drive at which a unit starts, `size` its potential's share (the largest is 1), `peak_hz` the
    rate it never exceeds.
    """

    threshold: Floats
    size: Floats
    peak_hz: Floats


def pool(units: int = 60, *, last_threshold: float = 0.7, recruitment_range: float = 30.0, sizes: float = 20.0) -> Pool:
    """A muscle's units: thresholds and sizes rise exponentially (Fuglevand 1993, eqs. 1 and 6).

    `recruitment_range` and `sizes` are the ratios of last to first. Raises InputError for fewer than two units.
    """
    if units < 2:
        raise InputError(f"a motor pool needs at least 2 units, got {units}")
    rank = np.linspace(0.0, 1.0, units)
    threshold = last_threshold * recruitment_range ** (rank - 1.0)
    return Pool(threshold, sizes ** (rank - 1.0), 40.0 - 12.0 * threshold)


def firing_rates(motor: Pool, drive: Floats) -> Floats:
    """Rates `(unit, time)` in Hz for `drive` `(time,)`: zero below threshold, then linear up to the peak."""
    above = np.asarray(drive, np.float32)[None] - motor.threshold[:, None].astype(np.float32)
    rate = np.minimum(MIN_RATE_HZ + RATE_SLOPE_HZ * above, motor.peak_hz[:, None].astype(np.float32))
    return np.where(above > 0, rate, np.float32(0))


def spikes(motor: Pool, drive: Floats, drive_hz: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Which unit fires and when: `(spike,)` unit numbers and times in s, grouped by unit, rising within one.

    Time rescaling: a unit fires where the integral of its rate crosses cumulated gamma intervals of mean 1
    (Brown et al., Neural Comput. 14:325, 2002). The units' integrals are laid end to end, so one draw serves all.
    """
    rates = firing_rates(motor, drive)
    passed = np.cumsum(rates.ravel(), dtype=np.float64) / drive_hz
    expected = float(passed[-1])
    count = int(expected + 6.0 * np.sqrt(expected / INTERVAL_SHAPE) + 10)
    marks = np.cumsum(rng.gamma(INTERVAL_SHAPE, 1.0 / INTERVAL_SHAPE, count)) - rng.random()
    marks = marks[(marks > 0) & (marks < expected)]
    # The integral reaches passed[k] at the end of step k, that is at step boundary k + 1.
    step = np.interp(marks, passed, np.arange(1.0, len(passed) + 1.0))
    unit = np.minimum((step / rates.shape[1]).astype(np.int64), rates.shape[0] - 1)
    return unit, (step - unit * rates.shape[1]) / drive_hz


def impulse_trains(
    motor: Pool, unit: Ints, time_s: Floats, group: Ints, groups: int, samples: int, rate_hz: float
) -> Floats:
    """Size-weighted impulses `(groups, samples)` float32 of the units pooled in groups; `group` is `(unit,)`.

    A spike between two samples is split between them by its distance to each.
    """
    position = np.maximum(time_s * rate_hz, 0.0)
    sample = position.astype(np.int64)
    inside = sample < samples - 1
    sample, unit, share = sample[inside], unit[inside], (position - sample)[inside]
    weight = motor.size[unit]
    index = group[unit] * samples + sample
    trains = np.bincount(index, weight * (1.0 - share), groups * samples)
    trains += np.bincount(index + 1, weight * share, groups * samples)
    return trains.reshape(groups, samples).astype(np.float32)


def muap(width_s: float, phase: float, rate_hz: float) -> Floats:
    """A MUAP of unit energy over time: `cos(phase) (1 - t²/w²) e^(-t²/2w²) + sin(phase) (t/w) e^(-t²/2w²)`.

    Both parts have unit energy of their own and are orthogonal. The even part, a fibre's triphasic potential, peaks
    at sqrt(2) / (2 pi w) Hz; the odd part is the biphasic one near the end plate or the tendon. Odd length, centred.
    """
    half = int(np.ceil(5.0 * width_s * rate_hz))
    t = np.arange(-half, half + 1) / (rate_hz * width_s)
    bell = np.exp(-0.5 * t * t)
    even = (1.0 - t * t) * bell / np.sqrt(0.75 * np.sqrt(np.pi))
    odd = t * bell / np.sqrt(0.5 * np.sqrt(np.pi))
    wave: Floats = (np.cos(phase) * even + np.sin(phase) * odd) / np.sqrt(width_s * rate_hz)
    return wave


def transfer(distance_cm: Floats, exponent: float = 2.4) -> Floats:
    """How strongly an electrode sees fibres at a distance: `(d² + 0.4²)^(-exponent/2)`, d in cm, no unit."""
    return (np.square(distance_cm) + REACH_CM**2) ** (-0.5 * exponent)


def width(distance_cm: Floats, *, nearest_s: float = 1.6e-3, per_cm_s: float = 0.35e-3) -> Floats:
    """MUAP width in s at a distance: far fibres are seen blurred, which lowers the spectrum."""
    return nearest_s + per_cm_s * np.asarray(distance_cm)


def potentials(trains: Floats, gain: Floats, width_s: Floats, phase: Floats, rate_hz: float) -> Floats:
    """Potential `(electrode, time)` float32 of impulse trains `(group, time)`.

    `gain` and `width_s` are `(electrode, group)`, `phase` is `(group,)`. Each pair's MUAP is blended, linearly in
    the logarithm of the width, from a few kernels shared by all pairs, so the cost is that of the kernels, not of
    the pairs. The kernels are centred: a spike's potential stands around its time.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    samples = trains.shape[1]
    rung = np.log(width_s / width_s.min()) / np.log(WIDTH_STEP)
    rungs = int(np.ceil(rung.max() - 1e-9)) + 1
    kernels = [
        muap(float(width_s.min()) * WIDTH_STEP**k, quarter * np.pi / 2, rate_hz)
        for k in range(rungs)
        for quarter in (0, 1)
    ]
    size = next_fast_len(samples + max(len(k) for k in kernels), real=True)
    total = np.zeros((len(gain), size // 2 + 1), np.complex64)
    for number, kernel in enumerate(kernels):
        k, quarter = divmod(number, 2)
        blend = np.clip(1.0 - np.abs(rung - k), 0.0, None) * gain * (np.sin(phase) if quarter else np.cos(phase))
        centred = np.zeros(size, np.float32)
        centred[: len(kernel)] = kernel
        centred = np.roll(centred, -(len(kernel) // 2))
        total += rfft(blend.astype(np.float32) @ trains, size, axis=1) * rfft(centred)
    return np.asarray(irfft(total, size, axis=1)[:, :samples], np.float32)
