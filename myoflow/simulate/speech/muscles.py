"""Muscles: from timed phones to what the muscles of the face are told, and to the potentials that this leaves.

EMG comes from articulation alone, never from the sound: what no muscle under an electrode does is not in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoflow.simulate import motor_units
from myoflow.simulate.contamination import wander
from myoflow.simulate.speech.face import GROUPS, LARYNX, MUSCLES, Mounting, weights
from myoflow.simulate.speech.phones import GESTURES, phones
from myoflow.simulate.speech.timing import Script

Floats = npt.NDArray[np.floating[Any]]

DRIVE_HZ = 200.0
LEAD_S = 0.06  # muscles are told before the articulators move
SPREAD_S = (0.045, 0.08)  # half widths between which gestures flow into each other: quick tips, slow jaws
TONE = 0.012
_QUICK = ("lips_closed", "labiodental", "tip", "dental", "voiced")


def articulation(script: Script) -> Floats:
    """How far each gesture is made, `(gesture, time)` at DRIVE_HZ, 0 to 1."""
    from scipy.ndimage import convolve1d

    steps = round(script.seconds * DRIVE_HZ) + 1
    held = np.zeros((len(GESTURES), steps))
    for span in script.phones:
        begin, end = (max(0, round((at - LEAD_S) * DRIVE_HZ)) for at in (span.begin, span.end))
        phone = phones()[span.name]
        middle = (begin + end) // 2 if phone.ends else end
        held[:, begin:middle] = np.asarray(phone.gestures)[:, None]
        held[:, middle:end] = np.asarray(phone.end()[1])[:, None]
    for row, name in enumerate(GESTURES):
        half = SPREAD_S[0] if name in _QUICK else SPREAD_S[1]
        window = np.hanning(2 * round(half * DRIVE_HZ) + 3)
        held[row] = convolve1d(held[row], window / window.sum(), mode="nearest")
    return held


def drive(gesture: Floats, rng: np.random.Generator, *, effort: Floats) -> Floats:
    """Drive of each muscle `(muscle, time)` at DRIVE_HZ, 0 to 1: a hold, a burst at each beginning, and some tone.

    `effort` `(muscle,)` multiplies what the gestures ask for.
    """
    rising = np.maximum(0.0, np.gradient(gesture, axis=1) * DRIVE_HZ)
    asked = 0.7 * weights() @ (0.55 * gesture + 0.6 * 0.05 * rising)
    unsteady = 0.12 * wander(rng, len(MUSCLES), gesture.shape[1], DRIVE_HZ, 0.5)
    habit = effort * np.exp(0.12 * rng.standard_normal(len(MUSCLES)))
    return np.asarray(np.clip(habit[:, None] * np.exp(unsteady) * asked + TONE, 0.0, 1.0))


def emg(muscle: Floats, mounting: Mounting, samples: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """Potentials at the electrodes `(electrode, time)` float32 in µV, of the drive of all muscles."""
    motor = motor_units.pool()
    unit = np.arange(len(motor.size))
    group = 2 * (unit % 2) + (unit < len(unit) // 2)  # left, right; the smaller half has the slower potentials
    trains = np.empty((len(MUSCLES) * GROUPS, samples), np.float32)
    for row, level in enumerate(muscle):
        who, when = motor_units.spikes(motor, level, DRIVE_HZ, rng)
        block = slice(row * GROUPS, (row + 1) * GROUPS)
        trains[block] = motor_units.impulse_trains(motor, who, when, group, GROUPS, samples, rate_hz)
    return motor_units.potentials(trains, mounting.gain, mounting.width_s, mounting.phase, rate_hz)


def efforts(rng: np.random.Generator, *, silent: bool) -> Floats:
    """How strongly each muscle works in a session `(muscle,)`: silently a little more, but the larynx much less."""
    if not silent:
        return np.ones(len(MUSCLES))
    effort = np.exp(rng.normal(0.05, 0.15, len(MUSCLES)))
    effort[LARYNX] *= 0.25
    return np.asarray(effort)
