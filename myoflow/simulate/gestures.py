"""Gestures: simulated EMG of hand gestures from an armband of eight electrode pairs around the forearm.

A simulation, for trying the whole path with no download and for tests with known answers; scores on it say nothing
about people. It models motor units recruited by size, firing irregularly, seen through a distance law with
crosstalk; subjects who differ in limb, fat, muscle positions, strength and co-ordination; a band that sits rotated,
differently in every session; reaction times, unequal effort and unsteady holds; noise, mains hum, drift and jolts.
It does not model fatigue, sweat and lifting electrodes, limb posture, force feedback, conduction along fibres,
synchronised units, tremor, or the tissue's true layers; movements between gestures are plain ramps through rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen as plain_frozen

from myoflow.errors import InputError, did_you_mean
from myoflow.recording import Events, Recording
from myoflow.simulate import contamination
from myoflow.simulate.forearm import MUSCLES, SYNERGIES, Arm, arm
from myoflow.simulate.surface import surface
from myoflow.typed import Hz, Seconds, frozen

Floats = npt.NDArray[np.floating[Any]]

CHANNELS = 8
VOLTS_PER_COUNT = 0.2e-6
DRIVE_HZ = 100.0  # muscles follow nothing faster than about 5 Hz


@frozen
class Gestures:
    """What to simulate: every subject performs every gesture `repetitions` times in each session.

    A repetition goes through the gestures in random order, each cued for `hold_s`, with `rest_s` between. Events mark
    the cues; the muscles follow `reaction_s` later on average, so a gesture's first moments still look like rest.
    `rotation` is the largest turn of the band, in electrode pitches: half is a habit of the subject, half new in every
    session. `effort` is the range from which each repetition's effort is drawn, as a share of full.

    Raises InputError for counts below one, unknown or repeated gestures, and rates too low to carry EMG.
    """

    subjects: int = 24
    sessions: int = 2
    repetitions: int = 2
    gestures: tuple[str, ...] = ("rest", "fist", "flexion", "extension", "radial", "ulnar")
    rate_hz: Hz = 500.0
    hold_s: Seconds = 2.5
    rest_s: Seconds = 1.0
    reaction_s: Seconds = 0.15
    effort: tuple[float, float] = (0.2, 0.8)
    rotation: float = 0.5
    mains_hz: Hz = 50.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("subjects", "sessions", "repetitions"):
            if getattr(self, name) < 1:
                raise InputError(f"simulated gestures: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("rest_s", "reaction_s", "rotation", "seed"):
            if not getattr(self, name) >= 0:
                raise InputError(f"simulated gestures: {name} must not be negative, got {getattr(self, name)}")
        if not self.gestures or len(set(self.gestures)) < len(self.gestures):
            raise InputError("simulated gestures: gestures must name at least one gesture, each once")
        for gesture in self.gestures:
            if gesture not in SYNERGIES:
                known = ", ".join(SYNERGIES)
                close = did_you_mean(gesture, SYNERGIES)
                raise InputError(f"simulated gestures: unknown gesture '{gesture}'{close} Known: {known}")
        if not 200 <= self.rate_hz <= 10_000:
            raise InputError(f"simulated gestures: rate_hz must lie between 200 and 10000 Hz, got {self.rate_hz:g}")
        if not self.hold_s >= 0.5:
            raise InputError(f"simulated gestures: hold_s must be at least 0.5 s, got {self.hold_s:g}")
        if not 0 < self.effort[0] <= self.effort[1] <= 1:
            raise InputError("simulated gestures: effort must be two shares, 0 < low <= high <= 1")
        if not 0 < self.mains_hz < self.rate_hz / 2:
            raise InputError(f"simulated gestures: mains_hz must lie below {self.rate_hz / 2:g} Hz, half the rate")


@plain_frozen(eq=False)
class _Script:
    """What happens in one session: `gesture` indexes settings.gestures; times in s; all `(cue,)`."""

    gesture: npt.NDArray[np.int16]
    repetition: npt.NDArray[np.int16]
    cue_s: Floats
    duration_s: float


def recordings(settings: Gestures) -> Iterator[Recording]:
    """Every subject's every session, one at a time: subject 1 session 1, subject 1 session 2, ..."""
    for subject in range(1, settings.subjects + 1):
        for session in range(1, settings.sessions + 1):
            yield simulate(settings, subject, session)


def simulate(settings: Gestures, subject: int, session: int = 1) -> Recording:
    """One session of one subject, both counted from 1.

    The same settings, subject and session give the same recording, whatever else is simulated; `subjects` and
    `sessions` only bound the numbers. EMG is int16 `(8, time)` at 0.2 µV per count. Raises InputError for a number
    out of range.
    """
    for name, number, most in (("subject", subject, settings.subjects), ("session", session, settings.sessions)):
        if not 1 <= number <= most:
            raise InputError(f"simulated gestures: no {name} {number}; the settings have 1..{most}")
    person = np.random.default_rng([settings.seed, 1, subject])
    rng = np.random.default_rng([settings.seed, 2, subject, session])
    body = arm(person)
    habit = person.uniform(-0.5, 0.5)
    rotation = settings.rotation * (habit + rng.uniform(-0.5, 0.5))
    script = _script(settings, rng)
    emg = _emg(settings, body, script, rotation, rng)
    counts = np.clip(np.rint(emg / VOLTS_PER_COUNT), -32768, 32767).astype(np.int16)
    onset = np.rint(script.cue_s * settings.rate_hz).astype(np.int64)
    return Recording(
        subject=f"{subject:02d}",
        session=f"{session:02d}",
        run="1",
        emg=counts,
        gain=np.full(CHANNELS, VOLTS_PER_COUNT, np.float32),
        rate_hz=settings.rate_hz,
        channels=tuple(f"E{n}" for n in range(1, CHANNELS + 1)),
        events=Events(
            onset=onset,
            length=np.full(len(onset), round(settings.hold_s * settings.rate_hz), np.int64),
            label=script.gesture,
            repetition=script.repetition,
            names=settings.gestures,
        ),
        attrs={
            "PowerLineFrequency": settings.mains_hz,
            "EMGReference": "bipolar",
            "Manufacturer": "myoflow simulation",
            "BandRotationPitches": round(float(rotation), 4),
        },
    )


def _script(settings: Gestures, rng: np.random.Generator) -> _Script:
    order = [rng.permutation(len(settings.gestures)) for _ in range(settings.repetitions)]
    repetition = np.repeat(np.arange(1, settings.repetitions + 1), len(settings.gestures))
    cue = settings.rest_s + np.arange(len(repetition)) * (settings.hold_s + settings.rest_s)
    end = float(cue[-1] + settings.hold_s + max(settings.rest_s, 0.5))
    return _Script(np.concatenate(order).astype(np.int16), repetition.astype(np.int16), cue, end)


def _emg(settings: Gestures, body: Arm, script: _Script, rotation: float, rng: np.random.Generator) -> Floats:
    """The recorder's input in volts, `(channel, time)`."""
    rate, samples = settings.rate_hz, round(script.duration_s * settings.rate_hz)
    drive = _drive(settings, body, script, rng)
    emg = surface(body, drive, DRIVE_HZ, CHANNELS, rotation, rate, samples, settings.mains_hz, rng)
    for cue in script.cue_s[rng.random(len(script.cue_s)) < 0.1]:
        swing = contamination.jolt(rng, rng.uniform(100e-6, 500e-6), CHANNELS, rate)
        start = round((cue + rng.uniform(0, settings.hold_s)) * rate)
        piece = emg[:, start : start + swing.shape[1]]
        piece += swing[:, : piece.shape[1]]
    return emg


def _drive(settings: Gestures, body: Arm, script: _Script, rng: np.random.Generator) -> Floats:
    """Drive of each muscle, `(muscle, time)` at DRIVE_HZ, 0..1: ramps, a short overshoot, an unsteady hold."""
    steps = int(np.ceil(script.duration_s * DRIVE_HZ))
    t = np.arange(steps) / DRIVE_HZ
    drive = np.full((len(MUSCLES), steps), body.tone)
    unsteady = 0.15 * contamination.wander(rng, len(MUSCLES), steps, DRIVE_HZ, 0.3)
    unsteady += 0.10 * contamination.wander(rng, 1, steps, DRIVE_HZ, 1.0)
    for cue, gesture in zip(script.cue_s, script.gesture, strict=True):
        effort = rng.uniform(*settings.effort)
        repeat = rng.lognormal(0, body.spread, len(MUSCLES))
        begin = cue + settings.reaction_s * rng.uniform(0.5, 1.5) + rng.normal(0, 0.03, len(MUSCLES))
        end = cue + settings.hold_s + settings.reaction_s * rng.uniform(0.5, 1.5)
        rise, fall, overshoot = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.35), rng.uniform(0.0, 0.4)
        now = slice(*np.searchsorted(t, [cue - 0.2, end + fall + 0.1]))
        up = _ramp((t[now] - begin[:, None]) / rise)
        down = _ramp((t[now] - end) / fall)
        burst = 1.0 + overshoot * np.exp(-(((t[now] - begin[:, None] - rise) / 0.2) ** 2))
        level = effort * repeat * body.synergy[settings.gestures[gesture]]
        drive[:, now] += level[:, None] * up * (1.0 - down) * burst * np.exp(unsteady[:, now])
    return np.asarray(np.clip(drive, 0.0, 1.0))


def _ramp(x: Floats) -> Floats:
    """Smooth step from 0 at x <= 0 to 1 at x >= 1."""
    x = np.clip(x, 0.0, 1.0)
    step: Floats = x * x * (3.0 - 2.0 * x)
    return step
