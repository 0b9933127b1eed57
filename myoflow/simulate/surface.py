"""Surface: from muscle drive to what a ring of electrode pairs around the forearm records."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.simulate import contamination, motor_units
from myoflow.simulate.forearm import GROUPS, Arm

Floats = npt.NDArray[np.floating[Any]]

VOLTS = 700e-6  # a full-size unit's MUAP energy at transfer 1: sets 50-300 µV RMS for firm contractions


def surface(
    body: Arm,
    drive: Floats,
    drive_hz: float,
    channels: int,
    rotation: float,
    rate_hz: float,
    samples: int,
    mains_hz: float,
    rng: np.random.Generator,
) -> Floats:
    """The recorder's input in volts, `(channel, time)`, for `drive` `(muscle, time)`, 0..1 of full effort.

    `channels` pairs stand evenly around the arm, turned by `rotation` pitches. Noise, hum and drift are in it.
    """
    motor = motor_units.pool()
    # Units alternate between a muscle's two territories; there, small and large ones have their own shapes.
    unit = np.arange(len(motor.size))
    group = unit % 2 + 2 * (unit >= len(unit) // 2)
    trains = np.empty((len(drive) * GROUPS, samples), np.float32)
    for muscle, row in enumerate(drive):
        who, when = motor_units.spikes(motor, row, drive_hz, rng)
        block = slice(muscle * GROUPS, (muscle + 1) * GROUPS)
        trains[block] = motor_units.impulse_trains(motor, who, when, group, GROUPS, samples, rate_hz)
    angle = 2 * np.pi * (np.arange(channels) + rotation) / channels
    skin = body.radius_cm * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = np.linalg.norm(skin[:, None] - body.position[None], axis=2)
    contact = rng.lognormal(0, 0.18, (channels, 1))
    gain = VOLTS * contact * motor_units.transfer(distance) * body.strength
    emg = motor_units.potentials(trains, gain, motor_units.width(distance), body.phase, rate_hz)
    emg += contamination.white(rng, 2e-6 * rng.lognormal(0, 0.25, channels), samples)
    hum = 4e-6 * rng.lognormal(0, 0.6) * rng.lognormal(0, 0.4, channels)
    emg += contamination.mains(rng, hum, samples, rate_hz, mains_hz)
    emg += contamination.drift(rng, 30e-6, channels, samples, rate_hz)
    return emg
