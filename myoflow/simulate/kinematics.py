"""Kinematics: simulated finger movements with the EMG of the muscles that make them.

A simulation, for trying regression with no download and for tests with known answers; scores on it say nothing about
people. One chain from intention to both signals: a command says where each degree of actuation should go; synergies
turn it into the excitation of muscles, with co-contraction; excitation recruits motor units, which the electrodes see
(`surface.py`); it also builds activation with a delay (a first-order process, faster up than down: Thelen 2003, doi
10.1115/1.1531112), and the joint, a damped second-order system, follows the difference of its flexors' and extensors'
activation. So EMG leads the angle by about a tenth of a second, as in people, and the angle follows from what the
electrodes see. Not modelled: force-length and force-velocity curves, tendons, moments that change with the angle,
gravity, contact with objects, fatigue, feedback.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen as plain_frozen

from myoflow.errors import InputError
from myoflow.recording import Events, Recording, Stream
from myoflow.simulate import contamination
from myoflow.simulate.forearm import arm
from myoflow.simulate.surface import surface
from myoflow.typed import Hz, Seconds, frozen

Floats = npt.NDArray[np.floating[Any]]

VOLTS_PER_COUNT = 0.2e-6
STEP_HZ = 1000.0  # of the integration of activation and joints
RISE_S, FALL_S = 0.015, 0.060  # activation's time constants
JOINT_HZ, DAMPING = 3.0, 0.9  # of a joint's own second-order system
PAUSE_S = 2.0  # before the first movement and after the last

# Degree of actuation: its range in degrees; a command of 1 holds it there.
DEGREES: dict[str, float] = {
    "thumb_rotation": 45.0,
    "thumb_flexion": 55.0,
    "index_flexion": 80.0,
    "middle_flexion": 85.0,
    "ring_little_flexion": 85.0,
}

# Muscle or its compartment for some fingers: angle around the arm, depth in cm, share of the signal, as in forearm.py.
MUSCLES: dict[str, tuple[float, float, float]] = {
    "flexor_carpi_radialis": (75, 0.8, 0.8),
    "superficial_flexor_index": (108, 1.2, 0.7),
    "superficial_flexor_middle": (124, 1.1, 0.8),
    "superficial_flexor_ring_little": (140, 1.2, 0.8),
    "deep_flexor_index": (150, 2.0, 0.7),
    "deep_flexor_middle": (163, 2.0, 0.7),
    "deep_flexor_ring_little": (178, 1.8, 0.8),
    "thumb_flexor": (62, 2.0, 0.8),
    "extensor_carpi_ulnaris": (222, 0.8, 0.8),
    "extensor_ring_little": (246, 0.8, 0.8),
    "extensor_middle": (262, 0.8, 0.8),
    "extensor_index": (278, 1.1, 0.7),
    "thumb_extensor": (292, 1.4, 0.7),
    "thumb_abductor": (304, 1.3, 0.8),
    "extensor_carpi_radialis": (320, 0.9, 1.0),
}

# What moves each degree up (+) and back (-): activity at a full command. Neighbouring fingers move along a little.
SYNERGIES: dict[str, dict[str, float]] = {
    "thumb_rotation+": {"thumb_abductor": 0.7, "thumb_extensor": 0.2, "extensor_carpi_radialis": 0.1},
    "thumb_rotation-": {"thumb_extensor": 0.5, "thumb_flexor": 0.2},
    "thumb_flexion+": {"thumb_flexor": 0.7, "flexor_carpi_radialis": 0.2},
    "thumb_flexion-": {"thumb_extensor": 0.6, "thumb_abductor": 0.2},
    "index_flexion+": {"superficial_flexor_index": 0.6, "deep_flexor_index": 0.6, "superficial_flexor_middle": 0.1,
                       "extensor_carpi_radialis": 0.25},
    "index_flexion-": {"extensor_index": 0.7, "extensor_middle": 0.15},
    "middle_flexion+": {"superficial_flexor_middle": 0.6, "deep_flexor_middle": 0.6, "superficial_flexor_index": 0.1,
                        "superficial_flexor_ring_little": 0.15, "extensor_carpi_radialis": 0.2},
    "middle_flexion-": {"extensor_middle": 0.7, "extensor_ring_little": 0.15, "extensor_index": 0.1},
    "ring_little_flexion+": {"superficial_flexor_ring_little": 0.6, "deep_flexor_ring_little": 0.6,
                             "superficial_flexor_middle": 0.15, "extensor_carpi_ulnaris": 0.3},
    "ring_little_flexion-": {"extensor_ring_little": 0.7, "extensor_middle": 0.15, "extensor_carpi_ulnaris": 0.1},
}  # fmt: skip

# Movement: the command of each degree that takes part; the names are those of NinaPro DB8.
MOVEMENTS: dict[str, dict[str, float]] = {
    "thumb_flexion_extension": {"thumb_flexion": 1.0},
    "thumb_abduction_adduction": {"thumb_rotation": 1.0},
    "index_flexion_extension": {"index_flexion": 1.0},
    "middle_flexion_extension": {"middle_flexion": 1.0},
    "ring_little_flexion_extension": {"ring_little_flexion": 1.0},
    "index_pointer": {"thumb_flexion": 0.7, "middle_flexion": 1.0, "ring_little_flexion": 1.0, "index_flexion": -0.25},
    "cylindrical_grip": {"thumb_rotation": 0.7, "thumb_flexion": 0.5, "index_flexion": 0.7, "middle_flexion": 0.7,
                         "ring_little_flexion": 0.7},
    "lateral_grip": {"thumb_flexion": 0.6, "index_flexion": 0.6, "middle_flexion": 0.8, "ring_little_flexion": 0.8},
    "tripod_grip": {"thumb_rotation": 0.8, "thumb_flexion": 0.5, "index_flexion": 0.5, "middle_flexion": 0.5},
}  # fmt: skip


@frozen
class Kinematics:
    """What to simulate: every subject makes every movement `repetitions` times in each session, in a new order.

    A movement goes to an amplitude drawn from `amplitude` at a speed of its own, stays, and comes back past rest;
    events mark it, and rest before it bears its repetition. `drift` turns the electrodes between sessions by up to
    so many pitches. Angles are kept at `angle_hz`.

    Raises InputError for counts below one and rates too low to carry EMG.
    """

    subjects: int = 4
    sessions: int = 3
    repetitions: int = 4
    channels: int = 16
    rate_hz: Hz = 500.0
    angle_hz: Hz = 100.0
    rest_s: Seconds = 1.2
    amplitude: tuple[float, float] = (0.4, 1.0)
    drift: float = 0.15
    mains_hz: Hz = 50.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("subjects", "sessions", "repetitions", "channels"):
            if getattr(self, name) < 1:
                raise InputError(f"simulated kinematics: {name} must be at least 1, got {getattr(self, name)}")
        if not 200 <= self.rate_hz <= 10_000:
            raise InputError(f"simulated kinematics: rate_hz must lie between 200 and 10000 Hz, got {self.rate_hz:g}")
        if not 0 < self.angle_hz <= STEP_HZ:
            raise InputError(f"simulated kinematics: angle_hz must be above 0 and up to {STEP_HZ:g} Hz")
        if not 0 < self.amplitude[0] <= self.amplitude[1] <= 1:
            raise InputError("simulated kinematics: amplitude must be two shares, 0 < low <= high <= 1")
        if not 0 < self.mains_hz < self.rate_hz / 2:
            raise InputError(f"simulated kinematics: mains_hz must lie below {self.rate_hz / 2:g} Hz, half the rate")


@plain_frozen(eq=False)
class _Script:
    """A session: the command `(degree, time)` at STEP_HZ, and its movements' number, repetition, begin and end in s."""

    command: Floats
    movement: npt.NDArray[np.int64]
    repetition: npt.NDArray[np.int64]
    begin_s: Floats
    end_s: Floats


def simulate(settings: Kinematics, subject: int, session: int = 1) -> Recording:
    """One session of one subject, both counted from 1, with the stream `kinematics` in degrees.

    The same settings, subject and session give the same recording, whatever else is simulated. EMG is int16
    `(channel, time)` at 0.2 µV per count. Raises InputError for a number out of range.
    """
    for name, number, most in (("subject", subject, settings.subjects), ("session", session, settings.sessions)):
        if not 1 <= number <= most:
            raise InputError(f"simulated kinematics: no {name} {number}; the settings have 1..{most}")
    person = np.random.default_rng([settings.seed, 11, subject])
    rng = np.random.default_rng([settings.seed, 12, subject, session])
    body = arm(person, MUSCLES, SYNERGIES)
    habit = person.uniform(-0.5, 0.5)
    stiffness = person.lognormal(0, 0.1, (2, len(DEGREES)))  # of joints, and what a full activation reaches
    rotation = habit + settings.drift * rng.uniform(-1, 1)
    script = _script(settings, rng)
    excitation = _excitation(script.command, person.uniform(0.03, 0.08), rng)
    angles = joint_angles(excitation, JOINT_HZ * stiffness[0], stiffness[1])
    drive = np.full((len(MUSCLES), excitation.shape[2]), body.tone)
    for row, name in enumerate(DEGREES):
        for way, sign in enumerate("+-"):
            drive += body.synergy[f"{name}{sign}"][:, None] * excitation[way, row]
    drive = np.clip(drive * (1 + 0.1 * contamination.wander(rng, len(MUSCLES), drive.shape[1], STEP_HZ, 0.3)), 0, 1)
    samples = int(drive.shape[1] * settings.rate_hz / STEP_HZ)
    slow = drive[:, :: int(STEP_HZ // 100)]
    emg = surface(body, slow, 100.0, settings.channels, rotation, settings.rate_hz, samples, settings.mains_hz, rng)
    return _recording(settings, subject, session, script, emg, angles, float(rotation))


def joint_angles(excitation: Floats, joint_hz: Floats, reach: Floats) -> Floats:
    """Angles `(degree, time)` in degrees from `excitation` `(2, degree, time)`, flexing and extending, at STEP_HZ.

    Activation a follows excitation e by `a' = (e - a) / tau`, tau RISE_S up and FALL_S down; the angle x by
    `x'' = w^2 (range reach (a_flex - a_extend) - x) - 2 zeta w x'`. Semi-implicit Euler steps.
    """
    step = 1.0 / STEP_HZ
    full = np.array(list(DEGREES.values())) * reach
    w = 2 * np.pi * joint_hz
    activation = np.zeros(excitation.shape[:2])
    angle, speed = np.zeros(len(DEGREES)), np.zeros(len(DEGREES))
    out = np.empty(excitation.shape[1:])
    for t in range(excitation.shape[2]):
        wanted = excitation[:, :, t]
        activation = activation + step * (wanted - activation) / np.where(wanted > activation, RISE_S, FALL_S)
        speed = speed + step * (w**2 * (full * (activation[0] - activation[1]) - angle) - 2 * DAMPING * w * speed)
        angle = angle + step * speed
        out[:, t] = angle
    return out


def _script(settings: Kinematics, rng: np.random.Generator) -> _Script:
    names = list(MOVEMENTS)
    order = np.concatenate([rng.permutation(len(names)) for _ in range(settings.repetitions)])
    repetition = np.repeat(np.arange(1, settings.repetitions + 1), len(names))
    rest = settings.rest_s * rng.uniform(0.7, 1.4, len(order))
    up, hold, down = (rng.uniform(*span, len(order)) for span in ((0.3, 1.0), (0.2, 1.0), (0.3, 1.0)))
    end = PAUSE_S + np.cumsum(rest + up + hold + down)
    begin = end - (up + hold + down)
    time = np.arange(round((end[-1] + PAUSE_S) * STEP_HZ)) / STEP_HZ
    command = np.zeros((len(DEGREES), len(time)))
    degrees = list(DEGREES)
    for i, movement in enumerate(order):
        amplitude = rng.uniform(*settings.amplitude)
        here = slice(*np.searchsorted(time, [begin[i], end[i]]))
        t = time[here] - begin[i]
        shape = _ease(t / up[i]) * (1 - 1.15 * _ease((t - up[i] - hold[i]) / down[i]))
        shape += 0.15 * _ease((t - up[i] - hold[i] - 0.7 * down[i]) / (0.3 * down[i]))  # back from just past rest
        for name, share in MOVEMENTS[names[movement]].items():
            command[degrees.index(name), here] = amplitude * share * rng.normal(1, 0.08) * shape
    return _Script(command, order, repetition, begin, end)


def _excitation(command: Floats, stiffening: float, rng: np.random.Generator) -> Floats:
    """Flexing and extending excitation `(2, degree, time)`: the command's two sides, and both while it moves."""
    unsteady = 1 + 0.06 * contamination.wander(rng, len(command), command.shape[1], STEP_HZ, 0.4)
    wanted = command * unsteady
    moving = np.minimum(np.abs(np.gradient(command, 1 / STEP_HZ, axis=1)), 3.0) / 3.0
    both = stiffening * (moving + np.abs(command))
    return np.clip(np.stack([np.maximum(wanted, 0), np.maximum(-wanted, 0)]) + both, 0, 1)


def _ease(x: Floats) -> Floats:
    """0 before 0, 1 after 1, and between them the path of least jerk (Flash & Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    eased: Floats = x**3 * (10 - 15 * x + 6 * x**2)
    return eased


def _recording(
    settings: Kinematics, subject: int, session: int, script: _Script, emg: Floats, angles: Floats, rotation: float
) -> Recording:
    """EMG in counts, angles at their rate, and events that cover all but the pauses: rest, movement, rest, ..."""
    rate = settings.rate_hz
    before = np.concatenate(([PAUSE_S], script.end_s[:-1]))
    edges = np.rint(np.stack([before, script.begin_s, script.end_s]) * rate).astype(np.int64)
    onset = np.stack([edges[0], edges[1]], axis=1).ravel()
    stop = np.stack([edges[1], edges[2]], axis=1).ravel()
    label = np.stack([np.zeros_like(script.movement), script.movement + 1], axis=1).ravel()
    at = np.arange(int(angles.shape[1] * settings.angle_hz / STEP_HZ)) * (STEP_HZ / settings.angle_hz)
    read = np.stack([np.interp(at, np.arange(angles.shape[1]), row) for row in angles]).astype(np.float32)
    return Recording(
        subject=f"{subject:02d}",
        session=f"{session:02d}",
        run="1",
        emg=np.clip(np.rint(emg / VOLTS_PER_COUNT), -32768, 32767).astype(np.int16),
        gain=np.full(settings.channels, VOLTS_PER_COUNT, np.float32),
        rate_hz=rate,
        channels=tuple(f"E{n}" for n in range(1, settings.channels + 1)),
        events=Events(
            onset=onset,
            length=stop - onset,
            label=label.astype(np.int16),
            repetition=np.repeat(script.repetition, 2).astype(np.int16),
            names=("rest", *MOVEMENTS),
        ),
        streams={"kinematics": Stream(read, settings.angle_hz, "deg", tuple(DEGREES))},
        attrs={
            "PowerLineFrequency": settings.mains_hz,
            "EMGReference": "bipolar",
            "Manufacturer": "myoflow simulation",
            "BandRotationPitches": round(rotation, 4),
        },
    )
